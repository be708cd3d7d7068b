import type { Root } from "@glovebox/core";
import { DiskError } from "./disk-error.ts";

interface Inode {
  mode: number;
  modifiedMs: number;
}

/** `buffer` may be longer than the content. The first `size` bytes of a buffer never change: a new content gets a new buffer. */
export interface FileNode extends Inode {
  readonly kind: "file";
  buffer: Uint8Array;
  size: number;
  /** Directory entries that hold it. */
  links: number;
}

export interface DirectoryNode extends Inode {
  readonly kind: "directory";
  readonly entries: Map<string, DiskNode>;
}

export interface LinkNode extends Inode {
  readonly kind: "symlink";
  readonly target: string;
}

export type DiskNode = FileNode | DirectoryNode | LinkNode;

/** Where a path leads after every link on the way. `node` is absent when only its directory exists. */
export interface Location {
  readonly parent: DirectoryNode;
  readonly name: string;
  readonly node: DiskNode | undefined;
  /** Without links and dots. */
  readonly canonical: string;
}

const maxLinks = 40;
export const maxPathBytes: number = 4096;
const maxNameBytes = 255;

const encoder = new TextEncoder();
const bytes = (text: string): number => encoder.encode(text).byteLength;

/** What a path goes through, the last first. */
const segmentsOf = (path: string): string[] =>
  path
    .split("/")
    .filter((segment) => segment !== "" && segment !== ".")
    .toReversed();

/**
 * Follow a path from `top`.
 * @param follow whether a link at the very end is followed too
 * @param inside called with the directory in which the walk fails, or with the end; throws when it lies outside
 * @throws {DiskError} ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG
 */
export function locate(top: DirectoryNode, path: string, follow: boolean, inside: (canonical: string, isEnd: boolean) => void): Location {
  if (bytes(path) > maxPathBytes) throw new DiskError("ENAMETOOLONG", path);
  const mustBeDirectory = /\/\.{0,2}$/u.test(path) && path !== "/";
  const pending = segmentsOf(path);
  const trail: { readonly name: string; readonly node: DirectoryNode }[] = [];
  const canonical = (): string => `/${trail.map(({ name }) => name).join("/")}`;
  const fail = (errno: "ENOENT" | "ENOTDIR" | "ELOOP" | "ENAMETOOLONG"): never => {
    inside(canonical(), false);
    throw new DiskError(errno, path);
  };
  let links = 0;
  for (;;) {
    const segment = pending.pop();
    if (segment === undefined) break;
    if (segment === "..") {
      trail.pop();
      continue;
    }
    if (bytes(segment) > maxNameBytes) fail("ENAMETOOLONG");
    const parent = trail.at(-1)?.node ?? top;
    const node = parent.entries.get(segment);
    const last = pending.length === 0;
    if (node?.kind === "symlink" && (!last || follow || mustBeDirectory)) {
      links += 1;
      if (links > maxLinks) fail("ELOOP");
      if (node.target.startsWith("/")) trail.length = 0;
      pending.push(...segmentsOf(node.target));
      continue;
    }
    if (node?.kind === "directory") {
      trail.push({ name: segment, node });
      continue;
    }
    if (!last) fail(node === undefined ? "ENOENT" : "ENOTDIR");
    if (mustBeDirectory && node !== undefined) fail("ENOTDIR");
    const end = `${trail.length === 0 ? "" : canonical()}/${segment}`;
    inside(end, true);
    return { parent, name: segment, node, canonical: end };
  }
  const end = canonical();
  inside(end, true);
  return { parent: trail.at(-2)?.node ?? top, name: trail.at(-1)?.name ?? "", node: trail.at(-1)?.node ?? top, canonical: end };
}

const within = (canonical: string, root: string): boolean => root === "/" || canonical === root || canonical.startsWith(`${root}/`);

/**
 * A check that a place lies in one of `roots`; the deepest root that holds it decides whether it may be written.
 * @param change `entry`: an entry of a directory is made or removed, so a root itself cannot be meant. `inside`: what is there is changed
 */
export function confinement(
  top: DirectoryNode,
  roots: readonly Root[] | undefined,
  path: string,
  change: "none" | "inside" | "entry",
): (canonical: string, isEnd: boolean) => void {
  if (roots === undefined) return () => undefined;
  const places = roots.flatMap((root) => {
    try {
      return [{ ...root, path: locate(top, root.path, true, () => undefined).canonical }];
    } catch {
      return []; // a root that is not there holds nothing
    }
  });
  return (canonical, isEnd) => {
    const holder = places.filter((place) => within(canonical, place.path)).sort((left, right) => right.path.length - left.path.length)[0];
    const isRoot = isEnd && change === "entry" && holder?.path === canonical && canonical !== "/";
    if (holder === undefined || isRoot) throw new DiskError("outside_roots", path);
    if (change !== "none" && !holder.writable) throw new DiskError("read_only_root", path);
  };
}
