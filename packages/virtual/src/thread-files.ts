import type { FsStat, IFileSystem } from "just-bash";
import type { FileArgument, FileOperation } from "./messages.ts";

type FileContent = Parameters<IFileSystem["writeFile"]>[1];
type WriteOptions = Parameters<IFileSystem["writeFile"]>[2];
type ReadOptions = Parameters<IFileSystem["readFile"]>[1];

/** Sends one file call to the disk's process. */
export type FileCall = (operation: FileOperation, ...argumentList: readonly FileArgument[]) => Promise<unknown>;

interface StatAnswer {
  readonly type: "file" | "directory" | "symlink";
  readonly mode: number;
  readonly size: number;
  readonly modifiedMs: number;
}

const toStat = (value: unknown): FsStat => {
  const { type, mode, size, modifiedMs } = value as StatAnswer;
  return { isFile: type === "file", isDirectory: type === "directory", isSymbolicLink: type === "symlink", mode, size, mtime: new Date(modifiedMs) };
};

const encodingOf = (options: WriteOptions | ReadOptions): string => (typeof options === "string" ? options : (options?.encoding ?? "utf8"));

function toBytes(content: FileContent, options: WriteOptions): Uint8Array {
  if (typeof content !== "string") return new Uint8Array(content);
  const encoding = encodingOf(options);
  return new Uint8Array(Buffer.from(content, encoding === "binary" ? "latin1" : (encoding as BufferEncoding)));
}

/** just-bash's file system, with the files in another thread. */
export function remoteFiles(call: FileCall): IFileSystem {
  const bytes = async (path: string): Promise<Uint8Array> => (await call("readFileBuffer", path)) as Uint8Array;
  return {
    readFile: async (path, options) => {
      const encoding = encodingOf(options);
      return Buffer.from(await bytes(path)).toString(encoding === "binary" ? "latin1" : (encoding as BufferEncoding));
    },
    readFileBuffer: bytes,
    writeFile: async (path, content, options) => void (await call("writeFile", path, toBytes(content, options))),
    appendFile: async (path, content, options) => void (await call("appendFile", path, toBytes(content, options))),
    exists: async (path) => (await call("exists", path)) === true,
    stat: async (path) => toStat(await call("stat", path)),
    lstat: async (path) => toStat(await call("lstat", path)),
    mkdir: async (path, options) => void (await call("mkdir", path, options?.recursive === true)),
    readdir: async (path) => ((await call("readdirWithFileTypes", path)) as { name: string }[]).map(({ name }) => name),
    readdirWithFileTypes: async (path) =>
      ((await call("readdirWithFileTypes", path)) as { name: string; type: StatAnswer["type"] }[]).map(({ name, type }) => ({
        name,
        isFile: type === "file",
        isDirectory: type === "directory",
        isSymbolicLink: type === "symlink",
      })),
    rm: async (path, options) => void (await call("rm", path, options?.recursive === true, options?.force === true)),
    cp: async (source, target, options) => void (await call("cp", source, target, options?.recursive === true)),
    mv: async (source, target) => void (await call("mv", source, target)),
    resolvePath: (base, path) => normalise(path.startsWith("/") ? path : `${base}/${path}`),
    getAllPaths: () => [],
    chmod: async (path, mode) => void (await call("chmod", path, mode)),
    symlink: async (target, path) => void (await call("symlink", target, path)),
    link: async (existing, path) => void (await call("link", existing, path)),
    readlink: async (path) => (await call("readlink", path)) as string,
    realpath: async (path) => (await call("realpath", path)) as string,
    utimes: async (path, _accessed, modified) => void (await call("utimes", path, modified.getTime())),
  };
}

function normalise(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") segments.pop();
    else if (segment !== "" && segment !== ".") segments.push(segment);
  }
  return `/${segments.join("/")}`;
}
