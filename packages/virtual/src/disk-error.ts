/** POSIX error names that the virtual disk gives. */
export type Errno =
  | "ENOENT"
  | "EACCES"
  | "ENOTDIR"
  | "EISDIR"
  | "EEXIST"
  | "ENOTEMPTY"
  | "ELOOP"
  | "ENOSPC"
  | "EINVAL"
  | "ENAMETOOLONG"
  | "EBUSY"
  | "not_regular_file"
  | "outside_roots"
  | "read_only_root";

const texts: Readonly<Record<Errno, string>> = {
  ENOENT: "no such file or directory",
  EACCES: "permission denied",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  EEXIST: "file already exists",
  ENOTEMPTY: "directory not empty",
  ELOOP: "too many levels of symbolic links",
  ENOSPC: "no space left on the virtual disk",
  EINVAL: "invalid argument",
  ENAMETOOLONG: "file name too long",
  EBUSY: "resource busy",
  not_regular_file: "not a regular file",
  outside_roots: "outside of the directories that this call may touch",
  read_only_root: "this call may only read here",
};

/** What the virtual disk throws; `errors.ts` makes a SandboxError of it, the thread one that just-bash's commands understand. */
export class DiskError extends Error {
  readonly errno: Errno;

  constructor(errno: Errno, path: string) {
    super(`${path}: ${texts[errno]}`);
    this.errno = errno;
  }

  /** As Node's file system words it, which is what just-bash's commands read. */
  toNodeText(operation: string, path: string): string {
    return `${this.errno}: ${texts[this.errno]}, ${operation} '${path}'`;
  }
}
