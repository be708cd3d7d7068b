import { posix } from "node:path";
import { SandboxError } from "@glovebox/core";
import type { DirectoryEntry, FileStat, FilesFacet, PathRequest } from "@glovebox/core";

interface Entry {
  /** Absent: a directory. */
  content?: Uint8Array;
  mode: number;
  modifiedAt: string;
}

const failed = (code: "not_found" | "permission_denied" | "failed_precondition" | "already_exists", path: string, reason: string): SandboxError =>
  new SandboxError(code, `${path}: ${reason}`, { effect: "none", reason });

/** Files in a map from absolute path to entry. There are no links, so what a path says is where it leads. */
export function memoryFiles(workdir: string): FilesFacet {
  const entries = new Map<string, Entry>();
  const now = (): string => new Date().toISOString();
  const addDirectories = (path: string, mode: number): void => {
    for (let at = path; !entries.has(at); at = posix.dirname(at)) entries.set(at, { mode, modifiedAt: now() });
  };
  entries.set("/", { mode: 0o755, modifiedAt: now() });
  addDirectories(workdir, 0o755);

  const resolve = ({ path, roots }: PathRequest, writing: boolean): string => {
    const resolved = posix.resolve("/", path);
    const holding = roots?.filter((root) => resolved === root.path || resolved.startsWith(root.path === "/" ? "/" : `${root.path}/`));
    if (holding?.length === 0) throw failed("permission_denied", path, "outside_roots");
    if (writing && holding?.every(({ writable }) => !writable)) throw failed("permission_denied", path, "read_only_root");
    return resolved;
  };
  const find = (request: PathRequest, writing = false): [string, Entry] => {
    const path = resolve(request, writing);
    const entry = entries.get(path);
    if (entry === undefined) throw failed("not_found", request.path, "ENOENT");
    return [path, entry];
  };
  /** Where something new may stand. */
  const place = (request: PathRequest, createParents: boolean, parentMode: number): string => {
    const path = resolve(request, true);
    const parent = posix.dirname(path);
    if (createParents) addDirectories(parent, parentMode);
    if (!entries.has(parent)) throw failed("not_found", request.path, "ENOENT");
    if (entries.get(parent)?.content !== undefined) throw failed("failed_precondition", request.path, "ENOTDIR");
    return path;
  };
  const below = (path: string): string[] =>
    [...entries.keys()].filter((other) => other.startsWith(path === "/" ? "/" : `${path}/`) && other !== path);
  const statOf = ({ content, mode, modifiedAt }: Entry): FileStat => {
    return { type: content === undefined ? "directory" : "file", sizeBytes: content?.byteLength ?? 0, mode, modifiedAt, uid: 1000, gid: 1000 };
  };

  return {
    stat: async (request) => statOf(find(request)[1]),
    read: async (request) => {
      const { content } = find(request)[1];
      if (content === undefined) throw failed("failed_precondition", request.path, "not_regular_file");
      const { offset = 0, length = content.byteLength } = request;
      return { sizeBytes: content.byteLength, content: new Blob([content.slice(offset, offset + length)]).stream() };
    },
    write: async (request, content, { signal }) => {
      const bytes = new Uint8Array(await new Response(content).arrayBuffer()); // whole or not at all: nothing is stored before the end
      signal.throwIfAborted();
      const path = place(request, request.createParents, request.parentMode);
      const old = entries.get(path);
      if (old !== undefined && request.exclusive) throw failed("already_exists", request.path, "EEXIST");
      if (old !== undefined && old.content === undefined) throw failed("failed_precondition", request.path, "EISDIR");
      entries.set(path, { content: bytes, mode: old?.mode ?? request.mode, modifiedAt: now() });
      return { sizeBytes: bytes.byteLength };
    },
    list: async function* (request) {
      const [path, { content }] = find(request);
      if (content !== undefined) throw failed("failed_precondition", request.path, "ENOTDIR");
      for (const other of below(path)) {
        const relative = posix.relative(path, other);
        const entry = entries.get(other);
        if (entry !== undefined && (request.recursive || !relative.includes("/")))
          yield { ...statOf(entry), path: relative } satisfies DirectoryEntry;
      }
    },
    mkdir: async (request) => {
      const path = place(request, request.createParents, request.mode);
      const old = entries.get(path);
      if (old !== undefined && !(request.createParents && old.content === undefined)) throw failed("already_exists", request.path, "EEXIST");
      if (old === undefined) entries.set(path, { mode: request.mode, modifiedAt: now() });
    },
    remove: async (request) => {
      const path = resolve(request, true);
      if (!entries.has(path)) {
        if (request.missingOk) return;
        throw failed("not_found", request.path, "ENOENT");
      }
      const children = below(path);
      if (children.length > 0 && !request.recursive) throw failed("failed_precondition", request.path, "ENOTEMPTY");
      for (const gone of [path, ...children]) entries.delete(gone);
    },
    rename: async (request) => {
      const [from] = find(request, true);
      const to = place({ ...request, path: request.to }, false, 0);
      for (const path of [from, ...below(from)]) {
        const entry = entries.get(path);
        entries.delete(path);
        if (entry !== undefined) entries.set(to + path.slice(from.length), entry);
      }
    },
    symlink: async ({ path }) => {
      throw new SandboxError("unsupported", `${path}: the toy has no links`, { effect: "none" });
    },
    chmod: async (request) => {
      find(request, true)[1].mode = request.mode;
    },
  };
}
