import { type Limits, bounded } from "./calls.ts";
import { checkMode, checkName, checkText, checkWhole, invalid, resolvePath, unsupported } from "./checks.ts";
import type { DriverCalls, KeyedLimits } from "./driver-calls.ts";
import { emulatedText } from "./emulate/text.ts";
import { SandboxError } from "./errors.ts";
import type { DirectoryEntry, FileStat, PathRequest, Root, TextFacet } from "./provider.ts";
import { type Content, contentStream, guarded } from "./streams.ts";
import { type TreeEntry, treeSegments } from "./tree.ts";

/** Where a call must stay. */
export interface Rooted {
  /** Absolute directory trees; held against links as `capabilities.files.confined` says. Default: the whole file system. */
  readonly roots?: readonly Root[];
}

export interface FileOptions extends Limits, Rooted {}
export interface FileMutationOptions extends KeyedLimits, Rooted {}

export interface ReadOptions extends FileOptions {
  /** First byte, from 0. Default 0. */
  readonly offset?: number;
  /** How many bytes at most. Default: to the end. */
  readonly length?: number;
}

export interface WriteOptions extends FileMutationOptions {
  /** Of a new file; an old one keeps its own. Default 0o644. */
  readonly mode?: number;
  /** Make missing directories. Default true. */
  readonly createParents?: boolean;
  /** Of the directories made so. Default 0o755. */
  readonly parentMode?: number;
  /** Fail with `already_exists` when it is there. Default false. */
  readonly exclusive?: boolean;
}

export interface TransferOptions extends Rooted {
  readonly signal?: AbortSignal;
}

/** How many files a directory transfer has under way at once. */
const transferWidth = 8;

/**
 * Files of a sandbox, with the rights of its user. Relative paths start at the work directory. Errors are those of `PathRequest`.
 * A path is any text without NUL and lone surrogates; both are `invalid_argument`.
 */
export class SandboxFiles {
  readonly #calls: DriverCalls;

  constructor(calls: DriverCalls) {
    this.#calls = calls;
  }

  /** A whole file, or a range of it, in memory. Use {@link readStream} for what may be large. */
  async read(path: string, options: ReadOptions & { readonly maxBytes?: number } = {}): Promise<Uint8Array> {
    const { maxBytes = 67_108_864 } = options;
    checkWhole("maxBytes", maxBytes, 0);
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    for await (const chunk of await this.readStream(path, options)) {
      bytes += chunk.byteLength;
      if (bytes > maxBytes) throw tooLarge(path, maxBytes);
      chunks.push(chunk);
    }
    const result = new Uint8Array(bytes);
    chunks.reduce((offset, chunk) => (result.set(chunk, offset), offset + chunk.byteLength), 0);
    return result;
  }

  /** As {@link read}, as UTF-8; what is none becomes U+FFFD, and a byte order mark stays. */
  async readText(path: string, options: ReadOptions & { readonly maxBytes?: number } = {}): Promise<string> {
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(await this.read(path, options));
  }

  /** A regular file as a stream with back-pressure. Cancel it, or read it to its end. `signal` holds until then, `timeoutMs` until it opens. */
  async readStream(path: string, options: ReadOptions = {}): Promise<ReadableStream<Uint8Array>> {
    const request = {
      ...this.#request(path, options),
      ...(options.offset === undefined ? {} : { offset: checkWhole("offset", options.offset, 0) }),
      ...(options.length === undefined ? {} : { length: checkWhole("length", options.length, 0) }),
    };
    // the driver's stream must outlive the deadline of its opening, so it follows the caller's signal alone
    const stop = new AbortController();
    const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
    const discard = (late: { readonly content: ReadableStream<Uint8Array> }): Promise<void> => late.content.cancel();
    try {
      const { content } = await this.#calls.call({ name: "files.read", effect: "none", discard }, options, () =>
        this.#calls.driver.files.read(request, { signal }),
      );
      return guarded(content, signal, `${this.#calls.provider} files.read`);
    } catch (error) {
      stop.abort(error);
      throw error;
    }
  }

  /** Replace or make a file: whole or not at all. A stream may be of any size and is never held in memory. No time-out unless one is given. */
  async write(path: string, content: Content, options: WriteOptions = {}): Promise<{ readonly sizeBytes: number }> {
    const request = {
      ...this.#request(path, options),
      mode: checkMode(options.mode ?? 0o644),
      createParents: options.createParents ?? true,
      parentMode: checkMode(options.parentMode ?? 0o755),
      exclusive: options.exclusive ?? false,
    };
    const key = this.#calls.key(options.call);
    options.signal?.throwIfAborted();
    this.#calls.checkState("files.write");
    const source = contentStream("content", content);
    const limits = { ...(options.signal && { signal: options.signal }), ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }) };
    return await bounded({ name: `${this.#calls.provider} files.write`, effect: "unknown" }, limits, (signal) =>
      this.#calls.driver.files.write(request, source, key === undefined ? { signal } : { signal, call: key }),
    );
  }

  /** @param options `follow: false` tells of a symlink itself. Default true */
  async stat(path: string, options: FileOptions & { readonly follow?: boolean } = {}): Promise<FileStat> {
    const follow = options.follow ?? true;
    if (!follow) this.#needSymlinks();
    const request = { ...this.#request(path, options), follow };
    return await this.#calls.call({ name: "files.stat", effect: "none" }, options, (call) => this.#calls.driver.files.stat(request, call));
  }

  /** Whether anything is there, a dangling link included where links can be told. */
  async exists(path: string, options: FileOptions = {}): Promise<boolean> {
    try {
      await this.stat(path, { ...options, follow: this.#calls.driver.capabilities.files.symlinks === false });
      return true;
    } catch (error) {
      if (SandboxError.is(error) && (error.code === "not_found" || error.reason === "ENOTDIR")) return false;
      throw error;
    }
  }

  /** In no particular order; links are not followed. `timeoutMs` holds for each entry. */
  async *list(path: string, options: FileOptions & { readonly recursive?: boolean } = {}): AsyncGenerator<DirectoryEntry, void, undefined> {
    const request = { ...this.#request(path, options), recursive: options.recursive ?? false };
    options.signal?.throwIfAborted();
    this.#calls.checkState("files.list");
    const stop = new AbortController();
    const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
    const iterator = this.#calls.driver.files.list(request, { signal })[Symbol.asyncIterator]();
    let ended = false;
    try {
      for (;;) {
        const step = await this.#calls.call({ name: "files.list", effect: "none" }, options, () => iterator.next());
        ended = step.done === true;
        if (step.done === true) return;
        yield step.value;
      }
    } finally {
      if (!ended) {
        stop.abort(new SandboxError("aborted", "the listing was left", { effect: "none" }));
        void iterator.return?.().catch(() => undefined);
      }
    }
  }

  /** @param options `createParents`: like `mkdir -p`, what is there is success. Default true. `mode`: default 0o755 */
  async mkdir(path: string, options: FileMutationOptions & { readonly mode?: number; readonly createParents?: boolean } = {}): Promise<void> {
    const request = { ...this.#request(path, options), mode: checkMode(options.mode ?? 0o755), createParents: options.createParents ?? true };
    await this.#calls.mutate({ name: "files.mkdir" }, options, (call) => this.#calls.driver.files.mkdir(request, call));
  }

  /** Links are removed, never followed. @param options `recursive`: default false. `missingOk`: an absent path is success, default false */
  async remove(path: string, options: FileMutationOptions & { readonly recursive?: boolean; readonly missingOk?: boolean } = {}): Promise<void> {
    const request = { ...this.#request(path, options), recursive: options.recursive ?? false, missingOk: options.missingOk ?? false };
    await this.#calls.mutate({ name: "files.remove" }, options, (call) => this.#calls.driver.files.remove(request, call));
  }

  /** Replaces a file at `to`, as rename(2) does. */
  async rename(path: string, to: string, options: FileMutationOptions = {}): Promise<void> {
    const request = { ...this.#request(path, options), to: resolvePath(to, this.#calls.driver.workdir) };
    await this.#calls.mutate({ name: "files.rename" }, options, (call) => this.#calls.driver.files.rename(request, call));
  }

  /** Make a symlink at `path` that says `target`, which need not be there. */
  async symlink(path: string, target: string, options: FileMutationOptions = {}): Promise<void> {
    this.#needSymlinks();
    if (checkName("a link's target", target) === "") invalid("a link's target is empty");
    const request = { ...this.#request(path, options), target };
    await this.#calls.mutate({ name: "files.symlink" }, options, (call) => this.#calls.driver.files.symlink(request, call));
  }

  /** @param mode permission bits, such as 0o755 */
  async chmod(path: string, mode: number, options: FileMutationOptions = {}): Promise<void> {
    const request = { ...this.#request(path, options), mode: checkMode(mode) };
    await this.#calls.mutate({ name: "files.chmod" }, options, (call) => this.#calls.driver.files.chmod(request, call));
  }

  /**
   * Bring a directory tree in, below `to`, which is made. Files that are there are replaced, others stay. Nothing goes through a link that
   * this upload made, and nothing out of `to` where `capabilities.files.confined` is `resolved`. Stops at the first failure; what came before stays.
   * @throws {SandboxError} `invalid_argument`: an entry's path is absolute, holds `..`, or lies below one of the upload's own links
   */
  async upload(entries: AsyncIterable<TreeEntry> | Iterable<TreeEntry>, to: string, options: TransferOptions = {}): Promise<void> {
    const base = resolvePath(to, this.#calls.driver.workdir);
    const { confined } = this.#calls.driver.capabilities.files;
    const failed = new AbortController();
    const signal = options.signal === undefined ? failed.signal : AbortSignal.any([options.signal, failed.signal]);
    // the base itself may be reached by links of the caller's choice, what lies below must stay below
    await this.mkdir(base, options);
    const call: FileMutationOptions = { signal, roots: options.roots ?? (confined === "resolved" ? [{ path: base, writable: true }] : []) };
    const within = call.roots?.length === 0 ? { signal } : call;
    const links = new Set<string>();
    const underWay = new Set<Promise<void>>();
    const directoryModes: (readonly [string, number])[] = [];
    const sendFile = async (entry: TreeEntry & { readonly type: "file" }): Promise<void> => {
      const path = `${base}/${entry.path}`;
      await this.write(path, await entry.open(), { ...within, ...(entry.mode === undefined ? {} : { mode: entry.mode }) });
      if (entry.mode !== undefined) await this.chmod(path, entry.mode, within);
    };
    try {
      for await (const entry of entries) {
        signal.throwIfAborted();
        const segments = treeSegments(entry.path);
        if (segments.some((_, index) => index > 0 && links.has(segments.slice(0, index).join("/")))) {
          invalid(`entry ${JSON.stringify(entry.path)} lies below a link of this upload`);
        }
        if (entry.type === "file") {
          if (links.has(entry.path)) invalid(`entry ${JSON.stringify(entry.path)} is a link of this upload already`);
          const sending = sendFile(entry).catch((error: unknown) => failed.abort(error));
          underWay.add(sending);
          void sending.finally(() => underWay.delete(sending));
          if (underWay.size >= transferWidth) await Promise.race(underWay);
          continue;
        }
        await Promise.all(underWay);
        signal.throwIfAborted();
        if (entry.type === "directory") {
          await this.mkdir(`${base}/${entry.path}`, within);
          if (entry.mode !== undefined) directoryModes.push([`${base}/${entry.path}`, entry.mode]);
        } else {
          if (segments.length > 1) await this.mkdir(`${base}/${segments.slice(0, -1).join("/")}`, within);
          await this.symlink(`${base}/${entry.path}`, entry.target, within);
          links.add(entry.path);
        }
      }
      await Promise.all(underWay);
      signal.throwIfAborted();
      // last and from below, so that a directory without write permission can be filled first
      for (const [path, mode] of directoryModes.toReversed()) await this.chmod(path, mode, within);
    } catch (error) {
      failed.abort(error);
      throw failed.signal.reason;
    }
  }

  /**
   * A directory tree out of the sandbox, files opened one by one as they are asked for. Links are told, not followed; sockets, FIFOs and devices
   * are left out. Names come from the sandbox and are hostile: those that would leave the tree fail the download.
   */
  async *download(path: string, options: TransferOptions = {}): AsyncGenerator<TreeEntry, void, undefined> {
    const base = resolvePath(path, this.#calls.driver.workdir);
    for await (const entry of this.list(base, { ...options, recursive: true })) {
      treeSegments(entry.path);
      const { type, mode, sizeBytes } = entry;
      if (type === "directory") yield { type, path: entry.path, mode };
      else if (type === "symlink") yield { type, path: entry.path, target: entry.target ?? "" };
      else if (type === "file") {
        yield { type, path: entry.path, mode, sizeBytes, open: async () => await this.readStream(`${base}/${entry.path}`, options) };
      }
    }
  }

  /**
   * Lines `start` to `end`, 1-based and inclusive, raw with their line ends. A start past the end gives nothing.
   * @param options `end`: default the last. `maxBytes`: default 1 MiB, more is `resource_exhausted`, reason `too_large`
   */
  async readLines(
    path: string,
    options: FileOptions & { readonly start?: number; readonly end?: number; readonly maxBytes?: number } = {},
  ): Promise<{ readonly content: Uint8Array; readonly sizeBytes: number }> {
    const start = checkWhole("start", options.start ?? 1, 1);
    const request = {
      ...this.#request(path, options),
      start,
      ...(options.end === undefined ? {} : { end: checkWhole("end", options.end, start) }),
      maxBytes: checkWhole("maxBytes", options.maxBytes ?? 1_048_576, 1),
    };
    return await this.#calls.call({ name: "files.readLines", effect: "none" }, options, (call) => this.#text().readLines(request, call));
  }

  /**
   * Replace literal text; the file's mode stays. Nothing is written when the old text is not found, or found several times without `replaceAll`.
   * Where `capabilities.text` is `emulated`, a change by others between reading and writing is lost.
   * @param options `maxBytes`: of the file, default 64 MiB
   */
  async edit(
    path: string,
    oldString: string,
    newString: string,
    options: FileMutationOptions & { readonly replaceAll?: boolean; readonly maxBytes?: number } = {},
  ): Promise<{ readonly occurrences: number; readonly edited: boolean }> {
    if (checkText("oldString", oldString) === "") invalid("oldString is empty; give the text to replace");
    const request = {
      ...this.#request(path, options),
      oldString,
      newString: checkText("newString", newString),
      replaceAll: options.replaceAll ?? false,
      maxBytes: checkWhole("maxBytes", options.maxBytes ?? 67_108_864, 1),
    };
    return await this.#calls.mutate({ name: "files.edit" }, options, (call) => this.#text().edit(request, call));
  }

  /**
   * Regular files below a directory that match a pattern of `*`, `**`, `?`, `[…]` and `{a,b}`: absolute, newest first. Not into `.git` and `node_modules`.
   * @param options `path`: default the work directory. `maxResults`: default 1,000. `maxEntries` looked at: default 1,000,000; beyond either, `cut` is set
   */
  async glob(
    pattern: string,
    options: FileOptions & { readonly path?: string; readonly maxResults?: number; readonly maxEntries?: number } = {},
  ): Promise<{ readonly paths: readonly string[]; readonly cut: boolean }> {
    if (checkName("pattern", pattern) === "") invalid("the pattern is empty");
    const request = {
      ...this.#request(options.path ?? this.#calls.driver.workdir, options),
      pattern,
      maxResults: checkWhole("maxResults", options.maxResults ?? 1_000, 1),
      maxEntries: checkWhole("maxEntries", options.maxEntries ?? 1_000_000, 1),
    };
    return await this.#calls.call({ name: "files.glob", effect: "none" }, options, (call) => this.#text().glob(request, call));
  }

  /**
   * Lines that match a regular expression, as `path:line:text`, by ripgrep where the image has it.
   * @param options `path`: default the work directory. `maxBytes` of output: default 1 MiB, beyond it `cut` is set. `timeoutMs`: default 60,000
   */
  async grep(
    pattern: string,
    options: FileOptions & { readonly path?: string; readonly maxBytes?: number } = {},
  ): Promise<{ readonly output: Uint8Array; readonly matched: boolean; readonly cut: boolean; readonly engine: "ripgrep" | "builtin" }> {
    if (checkName("pattern", pattern) === "") invalid("the pattern is empty");
    const { timeoutMs = 60_000 } = options;
    const request = {
      ...this.#request(options.path ?? this.#calls.driver.workdir, options),
      pattern,
      maxBytes: checkWhole("maxBytes", options.maxBytes ?? 1_048_576, 1),
      timeoutMs,
    };
    // the search has the whole time for itself, the call a little more to tell of it
    const limits = { ...options, timeoutMs: timeoutMs + 5_000 };
    return await this.#calls.call({ name: "files.grep", effect: "none" }, limits, (call) => this.#text().grep(request, call));
  }

  #text(): TextFacet {
    return this.#calls.driver.text ?? emulatedText(this.#calls.driver);
  }

  #needSymlinks(): void {
    if (this.#calls.driver.capabilities.files.symlinks === false) unsupported(this.#calls.provider, "knows no symlinks (capability files.symlinks)");
  }

  #request(path: string, { roots }: Rooted): PathRequest {
    const { driver, provider } = this.#calls;
    const request = { path: resolvePath(path, driver.workdir) };
    if (roots === undefined) return request;
    if (driver.capabilities.files.confined === false) unsupported(provider, "cannot hold a call within roots (capability files.confined)");
    if (roots.length === 0) invalid("roots is empty, so no path would do; leave it out for the whole file system");
    for (const root of roots)
      if (!checkName("a root", root.path).startsWith("/")) invalid(`root ${JSON.stringify(root.path)}; give an absolute path`);
    return { ...request, roots };
  }
}

function tooLarge(path: string, maxBytes: number): SandboxError {
  return new SandboxError("resource_exhausted", `${path} has more than ${maxBytes} bytes; use readStream, or a larger maxBytes`, {
    effect: "none",
    reason: "too_large",
  });
}
