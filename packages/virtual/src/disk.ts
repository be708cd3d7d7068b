import type { FileStat, PathRequest, Root } from "@glovebox/core";
import { DiskError } from "./disk-error.ts";
import type { DirectoryNode, DiskNode, FileNode, Location } from "./disk-tree.ts";
import { confinement, locate, maxPathBytes } from "./disk-tree.ts";

export interface DiskLimits {
  /** Bytes of all files together, with what appending keeps in reserve. */
  readonly maxBytes: number;
  /** Files, directories and links together. */
  readonly maxEntries: number;
}

/** A place as the files facet names it. */
export type Place = Pick<PathRequest, "path" | "roots">;

const empty = new Uint8Array();

/**
 * The file system of one sandbox, kept in this process and apart from the threads that run programs, so that ending a thread
 * loses no file. Every call is synchronous and so atomic. Mode bits are kept, not enforced.
 */
export class VirtualDisk {
  readonly #top: DirectoryNode = { kind: "directory", mode: 0o755, modifiedMs: Date.now(), entries: new Map() };
  readonly #limits: DiskLimits;
  #bytes = 0;
  #entries = 1;

  constructor(limits: DiskLimits) {
    this.#limits = limits;
  }

  /** What may still be written. */
  get freeBytes(): number {
    return this.#limits.maxBytes - this.#bytes;
  }

  stat(place: Place, follow: boolean): FileStat {
    return describe(this.#existing(place, follow, "none").node);
  }

  /** What stands in a regular file now; later writes do not change these bytes. */
  read(place: Place): Uint8Array {
    const { node } = this.#existing(place, true, "none");
    if (node.kind !== "file") throw new DiskError("EISDIR", place.path);
    return node.buffer.subarray(0, node.size);
  }

  /** @param options `exclusive`: EEXIST when anything, a link too, is there */
  write(
    place: Place,
    content: Uint8Array,
    options: { readonly mode: number; readonly createParents: boolean; readonly parentMode: number; readonly exclusive: boolean },
  ): void {
    if (options.createParents) this.makeParents(place, options.parentMode);
    const found = this.#locate(place, !options.exclusive, "entry");
    const { node } = found;
    if (node !== undefined && options.exclusive) throw new DiskError("EEXIST", place.path);
    if (node === undefined) {
      if (place.path.endsWith("/")) throw new DiskError("EISDIR", place.path);
      this.#reserve(content.byteLength, 1, place.path);
      this.#put(found, { kind: "file", mode: options.mode, modifiedMs: Date.now(), buffer: content, size: content.byteLength, links: 1 });
      return;
    }
    if (node.kind !== "file") throw new DiskError("EISDIR", place.path);
    this.#reserve(content.byteLength - node.buffer.byteLength, 0, place.path);
    node.buffer = content;
    node.size = content.byteLength;
    node.modifiedMs = Date.now();
  }

  append(place: Place, content: Uint8Array, mode: number): void {
    const { node } = this.#locate(place, true, "entry");
    if (node === undefined) {
      this.write(place, content, { mode, createParents: false, parentMode: 0o755, exclusive: false });
      return;
    }
    if (node.kind !== "file") throw new DiskError("EISDIR", place.path);
    const size = node.size + content.byteLength;
    if (size > node.buffer.byteLength) {
      const capacity = Math.min(Math.max(size, Math.ceil(size * 1.25)), Math.max(size, node.buffer.byteLength + this.#limits.maxBytes - this.#bytes));
      this.#reserve(capacity - node.buffer.byteLength, 0, place.path);
      const buffer = new Uint8Array(capacity);
      buffer.set(node.buffer.subarray(0, node.size));
      node.buffer = buffer;
    }
    node.buffer.set(content, node.size);
    node.size = size;
    node.modifiedMs = Date.now();
  }

  /** Entries of one directory, by name. */
  list(place: Place): readonly { readonly name: string; readonly stat: FileStat }[] {
    const { node } = this.#existing(place, true, "none");
    if (node.kind !== "directory") throw new DiskError("ENOTDIR", place.path);
    return [...node.entries].map(([name, entry]) => ({ name, stat: describe(entry) }));
  }

  makeDirectory(place: Place, mode: number, createParents: boolean): void {
    if (createParents) {
      const there = this.#find(place);
      if (there?.kind === "directory") return;
      this.makeParents(place, mode);
    }
    const found = this.#locate({ ...place, path: place.path.replace(/(?<=.)\/+$/u, "") }, false, "entry");
    if (found.node !== undefined) throw new DiskError("EEXIST", place.path);
    this.#reserve(0, 1, place.path);
    this.#put(found, { kind: "directory", mode, modifiedMs: Date.now(), entries: new Map() });
  }

  /** Make the directories above a place that are not there. */
  makeParents(place: Place, mode: number): void {
    if (this.#find({ ...place, path: place.path.replace(/\/+[^/]*\/*$/u, "") || "/" })?.kind === "directory") return;
    const segments = place.path.split("/").filter((segment) => segment !== "");
    for (let depth = 1; depth < segments.length; depth += 1) {
      const path = `/${segments.slice(0, depth).join("/")}`;
      if (this.#find({ path })?.kind === "directory") continue;
      this.makeDirectory({ ...place, path }, mode, false);
    }
  }

  /** A link is removed itself. */
  remove(place: Place, options: { readonly recursive: boolean; readonly missingOk: boolean }): void {
    let found: Location;
    try {
      found = this.#locate(place, false, "entry");
    } catch (error) {
      if (options.missingOk && error instanceof DiskError && error.errno === "ENOENT") return;
      throw error;
    }
    if (found.canonical === "/") throw new DiskError("EBUSY", place.path);
    if (found.node === undefined) {
      if (options.missingOk) return;
      throw new DiskError("ENOENT", place.path);
    }
    if (found.node.kind === "directory" && found.node.entries.size > 0 && !options.recursive) throw new DiskError("ENOTEMPTY", place.path);
    found.parent.entries.delete(found.name);
    found.parent.modifiedMs = Date.now();
    this.#forget(found.node);
  }

  /** As rename(2). */
  rename(place: Place, to: string): void {
    const from = this.#existing(place, false, "entry");
    const target = this.#locate({ ...place, path: to }, false, "entry");
    if (from.canonical === "/" || target.canonical === "/") throw new DiskError("EBUSY", place.path);
    if (from.node === target.node) return;
    if (from.node.kind === "directory" && target.canonical.startsWith(`${from.canonical}/`)) throw new DiskError("EINVAL", to);
    if (target.node !== undefined) {
      if (from.node.kind === "directory" && target.node.kind !== "directory") throw new DiskError("ENOTDIR", to);
      if (from.node.kind !== "directory" && target.node.kind === "directory") throw new DiskError("EISDIR", to);
      if (target.node.kind === "directory" && target.node.entries.size > 0) throw new DiskError("ENOTEMPTY", to);
      this.#forget(target.node);
    }
    from.parent.entries.delete(from.name);
    from.parent.modifiedMs = Date.now();
    this.#put(target, from.node);
  }

  symlink(place: Place, target: string): void {
    if (target === "") throw new DiskError("ENOENT", place.path);
    if (new TextEncoder().encode(target).byteLength > maxPathBytes) throw new DiskError("ENAMETOOLONG", place.path);
    const found = this.#locate(place, false, "entry");
    if (found.node !== undefined) throw new DiskError("EEXIST", place.path);
    this.#reserve(0, 1, place.path);
    this.#put(found, { kind: "symlink", mode: 0o777, modifiedMs: Date.now(), target });
  }

  /** A second name for a file. */
  link(existing: string, place: Place): void {
    const { node } = this.#existing({ ...place, path: existing }, true, "none");
    if (node.kind !== "file") throw new DiskError("EISDIR", existing);
    const found = this.#locate(place, false, "entry");
    if (found.node !== undefined) throw new DiskError("EEXIST", place.path);
    this.#reserve(0, 1, place.path);
    node.links += 1;
    this.#put(found, node);
  }

  chmod(place: Place, mode: number): void {
    this.#existing(place, true, "inside").node.mode = mode & 0o7777;
  }

  touch(place: Place, modifiedMs: number): void {
    if (!(Math.abs(modifiedMs) <= 8.64e15)) throw new DiskError("EINVAL", place.path); // no Date beyond
    this.#existing(place, true, "inside").node.modifiedMs = modifiedMs;
  }

  /** The path without links and dots. */
  realpath(place: Place): string {
    return this.#existing(place, true, "none").canonical;
  }

  readlink(place: Place): string {
    const { node } = this.#existing(place, false, "none");
    if (node.kind !== "symlink") throw new DiskError("EINVAL", place.path);
    return node.target;
  }

  #find(place: Place): DiskNode | undefined {
    try {
      return this.#locate(place, true, "none").node;
    } catch (error) {
      if (error instanceof DiskError && error.errno === "ENOENT") return undefined;
      throw error;
    }
  }

  #locate(
    { path, roots }: { readonly path: string; readonly roots?: readonly Root[] },
    follow: boolean,
    change: "none" | "inside" | "entry",
  ): Location {
    return locate(this.#top, path, follow, confinement(this.#top, roots, path, change));
  }

  #existing(place: Place, follow: boolean, change: "none" | "inside" | "entry"): Location & { readonly node: DiskNode } {
    const found = this.#locate(place, follow, change);
    if (found.node === undefined) throw new DiskError("ENOENT", place.path);
    return { ...found, node: found.node };
  }

  #put(at: Location, node: DiskNode): void {
    at.parent.entries.set(at.name, node);
    at.parent.modifiedMs = Date.now();
  }

  #reserve(bytes: number, entries: number, path: string): void {
    if ((bytes > 0 && this.#bytes + bytes > this.#limits.maxBytes) || this.#entries + entries > this.#limits.maxEntries) {
      throw new DiskError("ENOSPC", path);
    }
    this.#bytes += bytes;
    this.#entries += entries;
  }

  #forget(removed: DiskNode): void {
    const pending: DiskNode[] = [removed];
    for (let node = pending.pop(); node !== undefined; node = pending.pop()) {
      this.#entries -= 1;
      if (node.kind === "directory") for (const entry of node.entries.values()) pending.push(entry);
      else if (node.kind === "file") this.#forgetLink(node);
    }
  }

  #forgetLink(file: FileNode): void {
    file.links -= 1;
    if (file.links > 0) return;
    this.#bytes -= file.buffer.byteLength;
    file.buffer = empty;
  }
}

function describe(node: DiskNode): FileStat {
  const common = { mode: node.mode, modifiedAt: new Date(node.modifiedMs).toISOString(), uid: 1000, gid: 1000 };
  if (node.kind === "file") return { ...common, type: "file", sizeBytes: node.size };
  if (node.kind === "symlink")
    return { ...common, type: "symlink", sizeBytes: new TextEncoder().encode(node.target).byteLength, target: node.target };
  return { ...common, type: "directory", sizeBytes: 0 };
}
