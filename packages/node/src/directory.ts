import { SandboxError, type TreeEntry, treeSegments } from "@glovebox/core";
import { randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, open, opendir, readlink, rename, rm, symlink } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { fail, localFileStream } from "./local-files.ts";

/**
 * A local directory tree, for `sandbox.files.upload`: parents before what is in them, in the order of their names. Links are told, not followed;
 * sockets, FIFOs and devices are left out, and so are names that are not UTF-8, which a sandbox path cannot say.
 * @throws {SandboxError} `not_found`, `permission_denied`, `failed_precondition`: not a directory
 */
export async function* directoryEntries(localPath: string): AsyncGenerator<TreeEntry, void, undefined> {
  const waiting = [""];
  for (let directory = waiting.shift(); directory !== undefined; directory = waiting.shift()) {
    const names: string[] = [];
    for await (const { name } of await opendir(join(localPath, directory)).catch((error: unknown) => fail(join(localPath, directory), error))) {
      if (!name.includes("\u{fffd}")) names.push(name);
    }
    for (const name of names.toSorted()) {
      const path = directory === "" ? name : `${directory}/${name}`;
      const local = join(localPath, path);
      const stat = await lstat(local).catch((error: unknown) => fail(local, error));
      const mode = stat.mode & 0o777;
      if (stat.isDirectory()) {
        waiting.push(path);
        yield { type: "directory", path, mode };
      } else if (stat.isSymbolicLink()) {
        yield { type: "symlink", path, target: await readlink(local) };
      } else if (stat.isFile()) {
        yield { type: "file", path, mode, sizeBytes: stat.size, open: async () => await localFileStream(local) };
      }
    }
  }
}

export interface WriteDirectoryOptions {
  /** Of all files together. Default 10 GiB. */
  readonly maxBytes?: number;
  /** Default 1,000,000. */
  readonly maxEntries?: number;
  readonly signal?: AbortSignal;
}

/**
 * Write a tree that came out of a sandbox, and so from a stranger, below a local directory, which is made. Nothing is written through a link, and no
 * link that is made leads out: targets are relative, climb with `..` only at their beginning, and stay below `localPath`. Files that are there are replaced,
 * each whole. Permission bits are kept, set-uid and the like are not. Stops at the first failure; what came before stays.
 * @throws {SandboxError} `invalid_argument`: an absolute name, or one with `..`; `permission_denied`, reason `outside_roots`: a link that leads out, or a
 * name below a link; `resource_exhausted`, reason `too_large`: more than `maxBytes` or `maxEntries`
 */
export async function writeDirectory(
  entries: AsyncIterable<TreeEntry> | Iterable<TreeEntry>,
  localPath: string,
  options: WriteDirectoryOptions = {},
): Promise<void> {
  const { maxBytes = 10 * 1_024 ** 3, maxEntries = 1_000_000, signal } = options;
  const root = resolve(localPath);
  const writer = new TreeWriter(root, maxBytes, signal);
  await mkdir(root, { recursive: true }).catch((error: unknown) => fail(root, error));
  let count = 0;
  for await (const entry of entries) {
    signal?.throwIfAborted();
    if (++count > maxEntries) throw tooLarge(`the tree has more than ${maxEntries} entries`);
    await writer.write(entry);
  }
  await writer.finish();
}

class TreeWriter {
  readonly #root: string;
  readonly #signal: AbortSignal | undefined;
  readonly #maxBytes: number;
  #bytesLeft: number;
  /** Seen to be directories and no links; what this writer does never makes one a link. */
  readonly #directories = new Set<string>([""]);
  readonly #directoryModes: (readonly [string, number])[] = [];

  constructor(root: string, maxBytes: number, signal: AbortSignal | undefined) {
    this.#root = root;
    this.#maxBytes = maxBytes;
    this.#bytesLeft = maxBytes;
    this.#signal = signal;
  }

  async write(entry: TreeEntry): Promise<void> {
    const segments = treeSegments(entry.path);
    if (entry.type === "directory") {
      await this.#enter(segments);
      if (entry.mode !== undefined) this.#directoryModes.push([entry.path, entry.mode & 0o777]);
      return;
    }
    await this.#enter(segments.slice(0, -1));
    const target = join(this.#root, entry.path);
    const draft = join(dirname(target), `.glovebox-${randomBytes(8).toString("hex")}`);
    try {
      if (entry.type === "symlink") await this.#link(entry.target, segments, draft);
      else await this.#file(entry, draft);
      // replaces a file or a link, never what a link leads to, and fails on a directory
      await rename(draft, target).catch((error: unknown) => fail(entry.path, error));
    } finally {
      await rm(draft, { force: true });
    }
  }

  /** Last and from below, so that a directory without write permission can be filled first. */
  async finish(): Promise<void> {
    for (const [path, mode] of this.#directoryModes.toReversed())
      await chmod(join(this.#root, path), mode).catch((error: unknown) => fail(path, error));
  }

  async #enter(segments: readonly string[]): Promise<void> {
    for (let depth = 1; depth <= segments.length; depth++) {
      const path = segments.slice(0, depth).join("/");
      if (this.#directories.has(path)) continue;
      const local = join(this.#root, path);
      await mkdir(local, { mode: 0o700 }).then(
        async () => await chmod(local, 0o755),
        (error: NodeJS.ErrnoException) => (error.code === "EEXIST" ? undefined : fail(path, error)),
      );
      const stat = await lstat(local).catch((error: unknown) => fail(path, error));
      if (stat.isSymbolicLink()) throw outside(`${path} is a link, so nothing is written below it`);
      if (!stat.isDirectory()) throw new SandboxError("failed_precondition", `${path}: not a directory`, { effect: "none", reason: "ENOTDIR" });
      this.#directories.add(path);
    }
  }

  async #link(target: string, segments: readonly string[], draft: string): Promise<void> {
    const parts = target.split("/");
    const climbs = parts.findIndex((part) => part !== "..");
    const upwards = climbs < 0 ? parts.length : climbs;
    // a `..` behind a name climbs from wherever that name leads, which text alone cannot tell
    if (target === "" || target.startsWith("/") || target.includes("\0") || upwards >= segments.length || parts.slice(upwards).includes("..")) {
      throw outside(`${segments.join("/")}: the link leads out, or may (${JSON.stringify(target)})`);
    }
    await symlink(target, draft).catch((error: unknown) => fail(segments.join("/"), error));
  }

  async #file(entry: TreeEntry & { readonly type: "file" }, draft: string): Promise<void> {
    const handle = await open(draft, "wx", 0o600).catch((error: unknown) => fail(entry.path, error));
    try {
      for await (const chunk of await entry.open()) {
        this.#signal?.throwIfAborted();
        this.#bytesLeft -= chunk.byteLength;
        if (this.#bytesLeft < 0) throw tooLarge(`${entry.path}: the tree has more than ${this.#maxBytes} bytes`);
        await handle.writeFile(chunk).catch((error: unknown) => fail(entry.path, error));
      }
      await handle.chmod((entry.mode ?? 0o644) & 0o777);
    } finally {
      await handle.close();
    }
  }
}

function outside(message: string): SandboxError {
  return new SandboxError("permission_denied", message, { effect: "none", reason: "outside_roots" });
}

function tooLarge(message: string): SandboxError {
  return new SandboxError("resource_exhausted", message, { effect: "none", reason: "too_large" });
}
