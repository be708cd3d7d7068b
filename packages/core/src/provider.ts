import type { Capabilities, Probe } from "./capabilities.ts";
import type { EgressPolicy, SandboxSpec } from "./spec.ts";

/** What every call that waits is given. The abort reason is thrown as it is. */
export interface CallOptions {
  readonly signal: AbortSignal;
}

/**
 * The key under which a call happens at most once, across crashes, reconnects and several workers; needs `capabilities.calls`.
 * The first use claims the key. Used again: a call still running is joined, a finished one returns its stored result without
 * running, and one whose end nobody knows is refused with `unknown`, effect `unknown`, reason `claim_without_result`.
 * The same key with another request is refused with `invalid_argument`, reason `call_mismatch`.
 * From a worker that was taken over it is refused with `aborted`, effect `none`, reason `fenced`.
 */
export interface CallKey {
  /** Unique in this sandbox; 1 to 128 characters of `[A-Za-z0-9_-]`. */
  readonly id: string;
}

/** Options of a call that changes something. */
export interface MutationOptions extends CallOptions {
  readonly call?: CallKey;
}

/**
 * How to find a sandbox again. Serialisable; store the newest one, because some vendors give new ids on resume.
 * A label proves nothing: `proof` is checked against the one given at creation.
 */
export interface SandboxRef {
  readonly provider: string;
  /** The id that the caller minted. */
  readonly id: string;
  /** The provider's own id where that differs. */
  readonly vendorId?: string;
  /** See {@link CreateRequest.proof}. */
  readonly proof: string;
}

/** Who ends the sandbox: the process that made it, or the session that it belongs to. */
export type Ownership =
  | { readonly by: "process"; readonly host: string; readonly pid: number }
  | { readonly by: "session"; readonly session: string };

/** Complete and checked: defaults are filled in, unsupported options were refused. */
export interface CreateRequest {
  /**
   * Minted by the caller: 1 to 63 characters of `[a-z0-9-]`, beginning with a letter. The vendor's unique name where there is one.
   * A name that is taken is `already_exists`.
   */
  readonly id: string;
  readonly spec: SandboxSpec & Required<Pick<SandboxSpec, "workdir">>;
  readonly ownership: Ownership;
  /** An authenticator of owner, provider and id, hexadecimal: {@link ownershipProof}. Stored with the sandbox, outside of it. */
  readonly proof: string;
}

/**
 * `takeover`: this worker serves from now on, keyed calls of all others are refused. `join`: look and use, but no keyed calls.
 */
export type AttachMode = "takeover" | "join";

/** One sandbox in a listing. */
export interface SandboxEntry {
  readonly ref: Omit<SandboxRef, "proof">;
  readonly state: "running" | "paused" | "stopped" | "creating" | "ending";
  readonly image: string | undefined;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly ownership: Ownership | undefined;
  /** As given in the spec. */
  readonly labels: Readonly<Record<string, string>>;
}

/** One kind of sandbox, as an adapter implements it: few methods, no defaults, no validation, no retries. */
export interface SandboxProvider {
  readonly name: string;
  readonly specVersion: 1;
  /** Pure; before `probe` it says what holds everywhere. */
  capabilitiesFor(spec: SandboxSpec): Capabilities;
  /**
   * Look at the engine or account once, so that {@link capabilitiesFor} can be exact.
   * @throws {SandboxError} `unavailable`: nobody answers, with what to do. `unauthenticated`: the credentials are refused
   */
  probe?(options: CallOptions): Promise<Probe>;
  /**
   * Make a sandbox with its egress policy in force before its first instruction, connect, and take it over.
   * An abort, or a failure at any step, leaves nothing behind; but one that a session owns and that runs is left: another worker may be in it.
   * @throws {SandboxError} `already_exists`: the id is taken. `not_found`: no such image. `unavailable`: no engine
   */
  create(request: CreateRequest, options: CallOptions): Promise<SandboxDriver>;
  /**
   * Connect to a sandbox that exists, starting it when it was stopped.
   * @throws {SandboxError} `not_found`: it is gone. `permission_denied`: the proof is wrong
   */
  attach(ref: SandboxRef, options: CallOptions & { readonly mode: AttachMode }): Promise<SandboxDriver>;
  /** Sandboxes that Glovebox made, whoever owns them, that carry all of `labels`. */
  list(filter: { readonly labels?: Readonly<Record<string, string>> }, options: CallOptions): AsyncIterable<SandboxEntry>;
  /** Free everything without connecting. Idempotent. Checks the proof. */
  destroy(ref: SandboxRef, options: CallOptions): Promise<void>;
  /** Present exactly when `capabilities.suspend` is not `false`. */
  resume?(
    ref: SuspendedRef,
    options: CallOptions,
  ): Promise<{ readonly driver: SandboxDriver; readonly lost: readonly ("processes" | "memory" | "files")[] }>;
}

/** How output beyond a limit is cut. Dropped bytes are counted in {@link ProcessExit}. */
export interface OutputLimit {
  /** For each stream. */
  readonly maxBytes: number;
  readonly keep: "head" | "tail";
}

/** Complete and checked. */
export interface SpawnRequest {
  /** A program, found on the PATH of `env` when it has no slash, and its arguments; never joined into a shell string. */
  readonly argv: readonly [string, ...string[]];
  /** Absolute. */
  readonly cwd: string;
  /** Added to the sandbox's own environment. */
  readonly env: Readonly<Record<string, string>>;
  /** `uid`, `uid:gid` or a name. Absent: the sandbox's user. */
  readonly user?: string;
  /** `null`: reads give end of file at once. */
  readonly stdin: "pipe" | "null";
  /** Into one stream, in the order written: `stderr` stays empty. */
  readonly mergeStderr?: boolean;
  /**
   * With a limit, output is collected inside and delivered when the program has ended, so that an unread stream or a lost
   * connection never stops it. Without one it is streamed, with back-pressure; the program dies with the connection.
   * A call with a key needs a limit.
   */
  readonly output?: OutputLimit;
  /** From the start of the program; then its group is killed and `timedOut` is set. Absent: none. */
  readonly timeoutMs?: number;
  /** Needs `capabilities.pty`. */
  readonly pty?: PtySize;
}

export interface PtySize {
  readonly columns: number;
  readonly rows: number;
}

/** How a program ended. */
export interface ProcessExit {
  /** Its exit code, or `null` when a signal ended it. */
  readonly code: number | null;
  /** Such as `SIGKILL`, or `null`. */
  readonly signal: string | null;
  /** Present and `false` where the vendor cannot tell a signal from `exit 128+n`. */
  readonly signalExact?: false;
  readonly timedOut: boolean;
  /** Bytes that {@link OutputLimit} dropped. */
  readonly droppedBytes: { readonly stdout: number; readonly stderr: number };
  /** True when this is the stored result of a call that ran before. */
  readonly replayed: boolean;
  /** For a shell command: whether the shell lives on, with its directory, variables, functions and jobs. */
  readonly shellKept?: boolean;
}

/** A running program. */
export interface SandboxProcess {
  /** `null` when `stdin` was `"null"`. Closing it is end of file. Writing to a program that ended is `failed_precondition`. */
  readonly stdin: WritableStream<Uint8Array> | null;
  /** Ends when the program has ended and what it had written was read, whoever else still holds the descriptor. */
  readonly stdout: ReadableStream<Uint8Array>;
  readonly stderr: ReadableStream<Uint8Array>;
  /**
   * Settles when the program has ended, even if nobody reads its streams.
   * @throws {SandboxError} `unavailable`, effect `unknown`: the connection or sandbox was lost first
   */
  readonly exit: Promise<ProcessExit>;
  /**
   * Send a signal to the program's whole group; a program that has ended is success.
   * @param name such as `SIGTERM`
   */
  signal(name: string, options: CallOptions): Promise<void>;
  /** Present exactly with `pty`. */
  resize?(size: PtySize, options: CallOptions): Promise<void>;
}

/** One sandbox, as an adapter implements it. Calls may overlap. */
export interface SandboxDriver {
  readonly ref: SandboxRef;
  /** Of the spec that it was made with: absolute, where relative paths and commands without `cwd` start. */
  readonly workdir: string;
  /** Resolved from its spec and the probed engine; limits included. */
  readonly capabilities: Capabilities;
  /** Resolves when the connection or sandbox is lost, with the reason; never rejects. Not after `close` or `destroy`. */
  readonly lost: Promise<Error>;
  /**
   * Start one program. Its exit code, whatever it is, is a result and not an error. An abort after the start kills the group.
   * @throws {SandboxError} `not_found`, reason `ENOENT`: no such program or directory. `permission_denied`, reason `EACCES`.
   * `resource_exhausted`, reason `EAGAIN`: at the process limit. `failed_precondition`: the sandbox is paused
   */
  spawn(request: SpawnRequest, options: MutationOptions): Promise<SandboxProcess>;
  readonly files: FilesFacet;
  /** Close the channels to it and leave it as it is. Idempotent. */
  close(options: CallOptions): Promise<void>;
  /** Free everything, billed resources included. Idempotent: an absent sandbox is success. */
  destroy(options: CallOptions): Promise<void>;

  // Present exactly when the capability of that name is not `false`, and `text` when it is `native`.
  readonly shell?: ShellFacet;
  readonly text?: TextFacet;
  readonly calls?: CallsFacet;
  readonly pausing?: PauseFacet;
  readonly suspending?: SuspendFacet;
  readonly snapshots?: SnapshotFacet;
  readonly forking?: ForkFacet;
  readonly resizing?: ResizeFacet;
  readonly ports?: PortsFacet;
  readonly egress?: EgressFacet;
  readonly expiry?: ExpiryFacet;
  readonly labels?: LabelsFacet;
}

/** A directory tree in which a file call must stay, after every link on the way was followed. */
export interface Root {
  /** Absolute. */
  readonly path: string;
  readonly writable: boolean;
}

/**
 * Where a file is. Acts with the rights of the sandbox's user.
 * @throws {SandboxError} on every file call: `not_found` (`ENOENT`), `permission_denied` (`EACCES`, `EPERM`, `EROFS`;
 * `outside_roots`, `read_only_root`), `failed_precondition` (`ENOTDIR`, `EISDIR`, `ENOTEMPTY`, `ELOOP`, `not_regular_file`),
 * `already_exists` (`EEXIST`), `invalid_argument` (`ENAMETOOLONG`), `resource_exhausted` (`ENOSPC`, `EDQUOT`, `EMFILE`).
 * The message begins with the path as given.
 */
export interface PathRequest {
  /** Absolute; any bytes but NUL that UTF-8 can say. */
  readonly path: string;
  /** Absent: the whole file system. */
  readonly roots?: readonly Root[];
}

export interface FileStat {
  readonly type: "file" | "directory" | "symlink" | "other";
  readonly sizeBytes: number;
  /** Permission bits. */
  readonly mode: number;
  /** ISO 8601. */
  readonly modifiedAt: string;
  readonly uid: number;
  readonly gid: number;
  /** Of a symlink: what it says. */
  readonly target?: string;
}

export interface DirectoryEntry extends FileStat {
  /** Relative to the listed directory, with `/` between segments. */
  readonly path: string;
}

export interface FilesFacet {
  /** @param request `follow: false` tells of a symlink itself */
  stat(request: PathRequest & { readonly follow: boolean }, options: CallOptions): Promise<FileStat>;
  /**
   * Read a regular file, or a range of it.
   * @throws {SandboxError} `failed_precondition`, reason `not_regular_file`, for anything else
   */
  read(
    request: PathRequest & { readonly offset?: number; readonly length?: number },
    options: CallOptions,
  ): Promise<{ readonly sizeBytes: number; readonly content: ReadableStream<Uint8Array> }>;
  /**
   * Replace or make a file. Whole or not at all: what reads meanwhile sees the old one; an aborted write leaves nothing.
   * @param request `mode`: of a new file, an old one keeps its own. `exclusive`: `already_exists` when it is there
   */
  write(
    request: PathRequest & { readonly mode: number; readonly createParents: boolean; readonly parentMode: number; readonly exclusive: boolean },
    content: ReadableStream<Uint8Array>,
    options: MutationOptions,
  ): Promise<{ readonly sizeBytes: number }>;
  /** In no particular order; links are not followed. What vanishes meanwhile is left out. */
  list(request: PathRequest & { readonly recursive: boolean }, options: CallOptions): AsyncIterable<DirectoryEntry>;
  /** @param request `createParents`: like `mkdir -p`, what is there is success */
  mkdir(request: PathRequest & { readonly mode: number; readonly createParents: boolean }, options: MutationOptions): Promise<void>;
  /** Links are removed, never followed. `missingOk`: an absent path is success. */
  remove(request: PathRequest & { readonly recursive: boolean; readonly missingOk: boolean }, options: MutationOptions): Promise<void>;
  /** Replaces a file at `to`, as rename(2) does. */
  rename(request: PathRequest & { readonly to: string }, options: MutationOptions): Promise<void>;
  /** Make a symlink at `path` that says `target`. */
  symlink(request: PathRequest & { readonly target: string }, options: MutationOptions): Promise<void>;
  chmod(request: PathRequest & { readonly mode: number }, options: MutationOptions): Promise<void>;
}

/** The agent tools' ways with text, each in one round trip. */
export interface TextFacet {
  /**
   * Lines `start` to `end` (1-based, inclusive; `end` absent: to the last), raw bytes with their line ends. A start past the end gives nothing.
   * @throws {SandboxError} `resource_exhausted`, reason `too_large`: more than `maxBytes`; `line` is set in the message when one line alone is
   */
  readLines(
    request: PathRequest & { readonly start: number; readonly end?: number; readonly maxBytes: number },
    options: CallOptions,
  ): Promise<{ readonly content: Uint8Array; readonly sizeBytes: number }>;
  /**
   * Replace literal text; the file's mode stays. Whole or not at all.
   * @throws {SandboxError} `resource_exhausted`, reason `too_large`: the file has more than `maxBytes`
   * @returns `occurrences` found and whether it wrote: nothing is written when none was found, or several without `replaceAll`
   */
  edit(
    request: PathRequest & { readonly oldString: string; readonly newString: string; readonly replaceAll: boolean; readonly maxBytes: number },
    options: MutationOptions,
  ): Promise<{ readonly occurrences: number; readonly edited: boolean }>;
  /**
   * Regular files below `path` that match, absolute, newest first. Patterns: `*`, `**`, `?`, `[…]`, `{a,b}`. Not into `.git` and `node_modules`.
   */
  glob(
    request: PathRequest & { readonly pattern: string; readonly maxResults: number; readonly maxEntries: number },
    options: CallOptions,
  ): Promise<{ readonly paths: readonly string[]; readonly cut: boolean }>;
  /** Lines that match, as ripgrep prints them (`path:line:text`); ripgrep when the image has it. */
  grep(
    request: PathRequest & { readonly pattern: string; readonly maxBytes: number; readonly timeoutMs: number },
    options: CallOptions,
  ): Promise<{ readonly output: Uint8Array; readonly matched: boolean; readonly cut: boolean; readonly engine: "ripgrep" | "builtin" }>;
}

/** Complete and checked. */
export interface ShellRequest {
  /** Which shell; made at its first command. 1 to 128 characters of `[A-Za-z0-9_-]`. */
  readonly shell: string;
  /** Any text; what the shell cannot parse is a result. Reads of stdin give end of file. */
  readonly command: string;
  /** Where a new shell starts, and what is added to its environment. */
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  /** As {@link SpawnRequest.output}. */
  readonly output?: OutputLimit;
  /** As {@link SpawnRequest.timeoutMs}; the shell goes with it, and the next command gets a fresh one. */
  readonly timeoutMs?: number;
}

export interface ShellFacet {
  /**
   * Run a command in a persistent shell; commands of one shell run one after another. `stdout` is stdout and stderr as a terminal
   * shows them, `stderr` is empty. Ends when the command has ended, whatever it left in the background.
   */
  run(request: ShellRequest, options: MutationOptions): Promise<SandboxProcess>;
  /** End the shell and everything in it; the next command gets a fresh one. */
  restart(shell: string, options: MutationOptions): Promise<void>;
}

/** Records of calls with a key. */
export interface CallsFacet {
  /** Bumped by each takeover. */
  readonly generation: number;
  /** What is known of a key. */
  status(key: CallKey, options: CallOptions): Promise<"unclaimed" | "running" | "finished" | "unknown">;
  /** The results of these (1 to 256) have been delivered: their payloads may go. The claims stay. All or, when one still runs, none. */
  release(keys: readonly CallKey[], options: CallOptions): Promise<void>;
}

export interface PauseFacet {
  pause(options: CallOptions): Promise<void>;
  resume(options: CallOptions): Promise<void>;
}

/** Serialisable. */
export interface SnapshotRef {
  readonly provider: string;
  readonly snapshotId: string;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly expiresAt?: string;
}

/** A sandbox put away, and how to get it back. Serialisable. */
export interface SuspendedRef {
  readonly ref: SandboxRef;
  readonly spec: SandboxSpec;
  readonly snapshot: SnapshotRef;
}

export interface SuspendFacet {
  /** Frees what is billed for running. */
  suspend(options: CallOptions): Promise<SuspendedRef>;
}

export interface SnapshotFacet {
  snapshot(options: CallOptions): Promise<SnapshotRef>;
}

export interface ForkFacet {
  fork(request: CreateRequest, options: CallOptions): Promise<SandboxDriver>;
}

export interface ResizeFacet {
  resize(request: Pick<SandboxSpec, "cpu" | "memoryBytes" | "diskBytes">, options: CallOptions): Promise<void>;
}

export interface PortsFacet {
  /** A duplex byte stream to a TCP port inside. */
  connect(
    port: number,
    options: CallOptions,
  ): Promise<{ readonly readable: ReadableStream<Uint8Array>; readonly writable: WritableStream<Uint8Array> }>;
  /** Present exactly when `capabilities.ports.url` is not `false`. */
  url?(port: number, options: CallOptions): Promise<URL>;
}

export interface EgressFacet {
  /** Replace the policy; in force when the call returns. */
  set(policy: EgressPolicy, options: CallOptions): Promise<void>;
}

export interface ExpiryFacet {
  /** ISO 8601, or `undefined` when nothing ends it. */
  expiresAt(options: CallOptions): Promise<string | undefined>;
  /** @returns the new end, ISO 8601 */
  extend(byMs: number, options: CallOptions): Promise<string>;
}

export interface LabelsFacet {
  get(options: CallOptions): Promise<Readonly<Record<string, string>>>;
  set(labels: Readonly<Record<string, string>>, options: CallOptions): Promise<void>;
}
