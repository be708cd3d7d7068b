import { SandboxError, type SandboxErrorCode } from "../src/errors.ts";
import type { DirectoryEntry, FileStat, FilesFacet, PathRequest } from "../src/provider.ts";

type Node =
  | { readonly type: "file"; bytes: Uint8Array; mode: number; modifiedAt: number }
  | { readonly type: "directory"; mode: number; modifiedAt: number }
  | { readonly type: "symlink"; target: string; mode: number; modifiedAt: number };

const codes = {
  ENOENT: "not_found",
  EEXIST: "already_exists",
  EISDIR: "failed_precondition",
  ENOTDIR: "failed_precondition",
  ENOTEMPTY: "failed_precondition",
  ELOOP: "failed_precondition",
} as const satisfies Record<string, SandboxErrorCode>;

function refuse(path: string, reason: keyof typeof codes): never {
  throw new SandboxError(codes[reason], `${path}: ${reason}`, { effect: "none", reason });
}

/** A file system in memory that keeps the contract, links and roots included. Each change is a tick of its clock, a second long. */
export class FakeFiles implements FilesFacet {
  readonly #nodes = new Map<string, Node>([["/", { type: "directory", mode: 0o755, modifiedAt: 0 }]]);
  #clock = 0;

  constructor(workdir: string) {
    void this.mkdir({ path: workdir, mode: 0o755, createParents: true });
  }

  async stat(request: PathRequest & { readonly follow: boolean }): Promise<FileStat> {
    const path = this.#resolve(request, request.follow);
    return this.#tell(this.#nodes.get(path) ?? refuse(request.path, "ENOENT"));
  }

  async read(request: Parameters<FilesFacet["read"]>[0]): ReturnType<FilesFacet["read"]> {
    const node = this.#nodes.get(this.#resolve(request, true)) ?? refuse(request.path, "ENOENT");
    if (node.type !== "file") {
      throw new SandboxError("failed_precondition", `${request.path}: not a regular file`, { effect: "none", reason: "not_regular_file" });
    }
    const { offset = 0, length = Infinity } = request;
    const bytes = Uint8Array.from(node.bytes).subarray(offset, offset + length);
    return { sizeBytes: node.bytes.byteLength, content: new Blob([bytes]).stream() };
  }

  async write(request: Parameters<FilesFacet["write"]>[0], content: ReadableStream<Uint8Array>): Promise<{ readonly sizeBytes: number }> {
    const path = this.#resolve(request, true, true);
    const old = this.#nodes.get(path);
    if (old?.type === "directory") refuse(request.path, "EISDIR");
    if (old !== undefined && request.exclusive) refuse(request.path, "EEXIST");
    const bytes = new Uint8Array(await new Response(content).arrayBuffer());
    if (request.createParents) await this.mkdir({ path: parentOf(path), mode: request.parentMode, createParents: true });
    this.#parent(path, request.path);
    this.#nodes.set(path, { type: "file", bytes, mode: old?.mode ?? request.mode, modifiedAt: ++this.#clock });
    return { sizeBytes: bytes.byteLength };
  }

  async *list(request: PathRequest & { readonly recursive: boolean }): AsyncGenerator<DirectoryEntry, void, undefined> {
    const path = this.#resolve(request, true);
    const node = this.#nodes.get(path) ?? refuse(request.path, "ENOENT");
    if (node.type !== "directory") refuse(request.path, "ENOTDIR");
    const prefix = path === "/" ? "/" : `${path}/`;
    for (const [each, found] of new Map(this.#nodes)) {
      const relative = each.startsWith(prefix) ? each.slice(prefix.length) : "";
      if (relative !== "" && (request.recursive || !relative.includes("/"))) yield { path: relative, ...this.#tell(found) };
    }
  }

  async mkdir(request: PathRequest & { readonly mode: number; readonly createParents: boolean }): Promise<void> {
    const path = this.#resolve(request, true, true);
    const old = this.#nodes.get(path);
    if (old !== undefined && (!request.createParents || old.type !== "directory"))
      refuse(request.path, old.type === "directory" ? "EEXIST" : "ENOTDIR");
    if (old !== undefined) return;
    if (request.createParents) await this.mkdir({ ...request, path: parentOf(path) });
    this.#parent(path, request.path);
    this.#nodes.set(path, { type: "directory", mode: request.mode, modifiedAt: ++this.#clock });
  }

  async remove(request: PathRequest & { readonly recursive: boolean; readonly missingOk: boolean }): Promise<void> {
    const path = this.#resolve(request, false, true);
    if (!this.#nodes.has(path)) return request.missingOk ? undefined : refuse(request.path, "ENOENT");
    const below = [...this.#nodes.keys()].filter((each) => each.startsWith(`${path}/`));
    if (below.length > 0 && !request.recursive) refuse(request.path, "ENOTEMPTY");
    for (const each of [...below, path]) this.#nodes.delete(each);
  }

  async rename(request: PathRequest & { readonly to: string }): Promise<void> {
    const [path, to] = [this.#resolve(request, false), this.#resolve({ ...request, path: request.to }, false, true)];
    const node = this.#nodes.get(path) ?? refuse(request.path, "ENOENT");
    this.#parent(to, request.to);
    this.#nodes.delete(path);
    this.#nodes.set(to, node);
    for (const [each, found] of new Map(this.#nodes)) {
      if (!each.startsWith(`${path}/`)) continue;
      this.#nodes.delete(each);
      this.#nodes.set(to + each.slice(path.length), found);
    }
  }

  async symlink(request: PathRequest & { readonly target: string }): Promise<void> {
    const path = this.#resolve(request, false, true);
    if (this.#nodes.has(path)) refuse(request.path, "EEXIST");
    this.#parent(path, request.path);
    this.#nodes.set(path, { type: "symlink", target: request.target, mode: 0o777, modifiedAt: ++this.#clock });
  }

  async chmod(request: PathRequest & { readonly mode: number }): Promise<void> {
    const node = this.#nodes.get(this.#resolve(request, true)) ?? refuse(request.path, "ENOENT");
    node.mode = request.mode;
  }

  #parent(path: string, given: string): void {
    const parent = this.#nodes.get(parentOf(path)) ?? refuse(given, "ENOENT");
    if (parent.type !== "directory") refuse(given, "ENOTDIR");
  }

  #tell(node: Node): FileStat {
    const { type, mode } = node;
    const sizeBytes = type === "file" ? node.bytes.byteLength : 0;
    const common = { type, mode, sizeBytes, uid: 1000, gid: 1000, modifiedAt: new Date(node.modifiedAt * 1_000).toISOString() };
    return type === "symlink" ? { ...common, target: node.target } : common;
  }

  /** Every link on the way followed, then held against the roots. */
  #resolve({ path, roots }: PathRequest, followLast: boolean, writing = false, hops = 0): string {
    if (hops > 8) refuse(path, "ELOOP");
    const segments = path.split("/").filter((each) => each !== "" && each !== ".");
    let at = "/";
    for (const [index, segment] of segments.entries()) {
      at = segment === ".." ? parentOf(at) : at === "/" ? `/${segment}` : `${at}/${segment}`;
      const node = this.#nodes.get(at);
      const last = index === segments.length - 1;
      if (node?.type === "file" && !last) refuse(path, "ENOTDIR");
      if (node?.type !== "symlink" || (last && !followLast)) continue;
      const base = node.target.startsWith("/") ? node.target : `${parentOf(at)}/${node.target}`;
      return this.#resolve(
        { path: [base, ...segments.slice(index + 1)].join("/"), ...(roots === undefined ? {} : { roots }) },
        followLast,
        writing,
        hops + 1,
      );
    }
    const root = roots?.find((each) => at === each.path || at.startsWith(each.path === "/" ? "/" : `${each.path}/`));
    const reason = roots === undefined ? undefined : root === undefined ? "outside_roots" : writing && !root.writable ? "read_only_root" : undefined;
    if (reason !== undefined) throw new SandboxError("permission_denied", `${path}: ${reason}`, { effect: "none", reason });
    return at;
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}
