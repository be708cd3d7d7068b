import { type Limits, asSandboxError, bounded, checkTimeout } from "./calls.ts";
import { checkEnv, checkName, checkWhole, invalid, resolvePath, unsupported } from "./checks.ts";
import type { DriverCalls, KeyedLimits } from "./driver-calls.ts";
import { SandboxError } from "./errors.ts";
import { type OutputCollector, collect } from "./output.ts";
import type { OutputLimit, ProcessExit, PtySize, SandboxProcess, SpawnRequest } from "./provider.ts";
import { type Content, contentStream, feed, guarded } from "./streams.ts";

/** Options that `exec` and `spawn` share. */
export interface CommandOptions extends KeyedLimits {
  /** Relative to the sandbox's work directory, which is the default. */
  readonly cwd?: string;
  /** Added to the sandbox's own. */
  readonly env?: Readonly<Record<string, string>>;
  /** `uid`, `uid:gid` or a name. Default: the sandbox's user. Needs `capabilities.exec.user`. */
  readonly user?: string;
  /** Both streams as one, in the order written: `stderr` stays empty. */
  readonly mergeStderr?: boolean;
}

/** Limits of output that is collected. */
export interface OutputOptions {
  /** For each stream. Default 1 MiB (1,048,576). What was cut is counted in `droppedBytes`. */
  readonly maxOutputBytes?: number;
  /** Whether the first or the last bytes stay. Default `head`. */
  readonly keep?: "head" | "tail";
}

export interface ExecOptions extends CommandOptions, OutputOptions {
  /** Default: end of file at once. A stream is read while the program runs. */
  readonly stdin?: Content;
  /**
   * How long the program may run, in milliseconds. Default 120,000. Then its process group is killed and `timedOut` is set.
   * Where it does not end even so, the call fails with `deadline_exceeded`, effect `unknown`, 10 s later.
   */
  readonly timeoutMs?: number;
}

export interface SpawnOptions extends CommandOptions {
  /** `null`: end of file at once. Default `null`. */
  readonly stdin?: "pipe" | "null";
  /** Collected inside and delivered at the end; see {@link SpawnRequest.output}. Default: streamed, with back-pressure. */
  readonly output?: OutputLimit;
  /** As {@link ExecOptions.timeoutMs}. Default: none. */
  readonly timeoutMs?: number;
  /** Needs `capabilities.pty`. */
  readonly pty?: PtySize;
}

export const execTimeoutMs = 120_000;
const execOutput: OutputLimit = { maxBytes: 1_048_576, keep: "head" };
const startTimeoutMs = 120_000;
const graceMs = 5_000;

export function outputLimit({ maxOutputBytes = execOutput.maxBytes, keep = execOutput.keep }: OutputOptions): OutputLimit {
  if (keep !== "head" && keep !== "tail") invalid(`keep is ${JSON.stringify(keep)}; give "head" or "tail"`);
  return { maxBytes: checkWhole("maxOutputBytes", maxOutputBytes, 0), keep };
}

/** How a program ended, and what it wrote. Its code, whatever it is, is a result and no error. */
export class ExecResult {
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  /** `null` when a signal ended it. */
  readonly code: number | null;
  /** Such as `SIGKILL`, or `null`. */
  readonly signal: string | null;
  /** Present and `false` where the provider cannot tell a signal from `exit 128+n`. */
  declare readonly signalExact?: false;
  readonly timedOut: boolean;
  readonly droppedBytes: { readonly stdout: number; readonly stderr: number };
  /** True when this is the stored result of a call that ran before. */
  readonly replayed: boolean;
  /** From the call to its end, as seen from outside. */
  readonly durationMs: number;

  constructor(exit: ProcessExit, stdout: Uint8Array, stderr: Uint8Array, durationMs: number) {
    this.stdout = stdout;
    this.stderr = stderr;
    this.code = exit.code;
    this.signal = exit.signal;
    if (exit.signalExact === false) this.signalExact = false;
    this.timedOut = exit.timedOut;
    this.droppedBytes = exit.droppedBytes;
    this.replayed = exit.replayed;
    this.durationMs = durationMs;
  }

  /** As UTF-8; what is none becomes U+FFFD. */
  get stdoutText(): string {
    return new TextDecoder().decode(this.stdout);
  }

  /** As UTF-8; what is none becomes U+FFFD. */
  get stderrText(): string {
    return new TextDecoder().decode(this.stderr);
  }
}

/** A program that runs. Disposing kills its process group and waits for its end. */
export class RunningProcess implements AsyncDisposable {
  readonly stdin: WritableStream<Uint8Array> | null;
  /**
   * @throws {SandboxError} `unavailable`: the sandbox was lost first; `deadline_exceeded`: it did not end when its time was over.
   * The abort reason as it is. Effect `unknown`.
   */
  readonly exit: Promise<ProcessExit>;
  readonly #process: SandboxProcess;
  readonly #calls: DriverCalls;
  readonly #stop: AbortSignal;
  #stdout: ReadableStream<Uint8Array> | undefined;
  #stderr: ReadableStream<Uint8Array> | undefined;

  constructor(calls: DriverCalls, process: SandboxProcess, stop: AbortController, timeoutMs: number | undefined) {
    this.#process = process;
    this.#calls = calls;
    this.stdin = process.stdin;
    this.#stop = stop.signal;
    this.exit = this.#end(stop, timeoutMs);
    this.exit.catch(() => undefined); // who only reads the streams learns of it there
  }

  /** Ends when the program has ended. Fails at once with the abort reason. */
  get stdout(): ReadableStream<Uint8Array> {
    return (this.#stdout ??= guarded(this.#process.stdout, this.#stop, `${this.#calls.provider} stdout`));
  }

  get stderr(): ReadableStream<Uint8Array> {
    return (this.#stderr ??= guarded(this.#process.stderr, this.#stop, `${this.#calls.provider} stderr`));
  }

  /** Read both streams to their ends, in place of {@link stdout} and {@link stderr}. An abort ends it as it ends {@link exit}. */
  async collect(limit: OutputLimit): Promise<{ readonly stdout: OutputCollector; readonly stderr: OutputCollector }> {
    const { stdout, stderr } = this.#process;
    const { provider } = this.#calls;
    try {
      const [first, second] = await Promise.all([collect(stdout, limit, this.#stop), collect(stderr, limit, this.#stop)]);
      return { stdout: first, stderr: second };
    } catch (error) {
      throw this.#stop.aborted ? this.#stop.reason : asSandboxError(error, `${provider} output`);
    }
  }

  /**
   * Signal the whole process group; a program that has ended is success.
   * @param name such as `SIGTERM`
   * @throws {SandboxError} `unsupported`: this provider cannot, or does not know that signal
   */
  async signal(name: string, limits: Limits = {}): Promise<void> {
    const { signal: capability } = this.#calls.driver.capabilities.exec;
    if (!/^SIG[A-Z0-9+-]{1,12}$/u.test(name)) invalid(`signal ${JSON.stringify(name)}; give a name such as SIGTERM`);
    if (capability === false || (capability.names !== "all" && !capability.names.includes(name))) {
      unsupported(this.#calls.provider, `cannot send ${name} (capability exec.signal)`);
    }
    await this.#calls.call({ name: "signal", effect: "unknown" }, limits, (options) => this.#process.signal(name, options));
  }

  /** @throws {SandboxError} `unsupported`: the program has no terminal, or its size is fixed */
  async resize(size: PtySize, limits: Limits = {}): Promise<void> {
    const resize = this.#process.resize?.bind(this.#process) ?? unsupported(this.#calls.provider, "cannot resize this program's terminal");
    await this.#calls.call({ name: "resize terminal", effect: "unknown" }, limits, (options) => resize(size, options));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#kill();
    await this.exit.catch(() => undefined);
  }

  async #end(stop: AbortController, timeoutMs: number | undefined): Promise<ProcessExit> {
    const { promise: given, reject } = Promise.withResolvers<never>();
    const onAbort = (): void => {
      this.#kill();
      reject(stop.signal.reason);
    };
    if (stop.signal.aborted) onAbort();
    else stop.signal.addEventListener("abort", onAbort, { once: true });
    const unwatch = this.#calls.onLost((reason) => reject(lostError(reason)));
    // the driver's own time-out comes first; this is for one that does not hold
    let overdue = false;
    const timers: ReturnType<typeof setTimeout>[] = [];
    if (timeoutMs !== undefined) {
      timers.push(setTimeout(() => (this.#kill(), (overdue = true)), timeoutMs + graceMs));
      timers.push(setTimeout(() => stop.abort(overdueError(timeoutMs)), timeoutMs + 2 * graceMs));
    }
    try {
      const exit = await Promise.race([this.#process.exit, given]);
      return overdue ? { ...exit, timedOut: true } : exit;
    } catch (error) {
      throw stop.signal.aborted && error === stop.signal.reason ? error : asSandboxError(error, `${this.#calls.provider} exit`);
    } finally {
      unwatch();
      for (const timer of timers) clearTimeout(timer);
      stop.signal.removeEventListener("abort", onAbort);
    }
  }

  /** Best effort: what cannot be killed so ends with the sandbox, and a driver that was given the abort does it itself. */
  #kill(): void {
    void bounded({ name: "kill", effect: "unknown" }, { timeoutMs: graceMs }, (signal) => this.#process.signal("SIGKILL", { signal })).catch(
      () => undefined,
    );
  }
}

/** The checked request of a command. */
function spawnRequest(calls: DriverCalls, command: string | readonly string[], options: SpawnOptions): SpawnRequest {
  const { capabilities, workdir } = calls.driver;
  const { exec } = capabilities;
  const argv = typeof command === "string" ? (["/bin/sh", "-c", command] as const) : command;
  const [program, ...rest] = argv.map((argument) => checkName("an argument", argument));
  if (program === undefined || program === "") invalid("the command names no program");
  const argvBytes = argv.reduce((sum, argument) => sum + new TextEncoder().encode(argument).byteLength, 0);
  if (exec.maxArgvBytes !== undefined && argvBytes > exec.maxArgvBytes) {
    unsupported(
      calls.provider,
      `takes ${exec.maxArgvBytes} bytes of arguments, not ${argvBytes} (capability exec.maxArgvBytes); pass data by stdin or a file`,
    );
  }
  if (options.user !== undefined && exec.user === false) unsupported(calls.provider, "cannot choose the user of one call (capability exec.user)");
  if (options.stdin === "pipe" && exec.stdin === false) unsupported(calls.provider, "gives programs no input (capability exec.stdin)");
  if (options.pty !== undefined && capabilities.pty === false) unsupported(calls.provider, "has no terminals (capability pty)");
  if (options.call !== undefined && options.output === undefined) invalid("a call with a key needs an output limit; give output");
  checkTimeout(options.timeoutMs);
  return {
    argv: [program, ...rest],
    cwd: resolvePath(options.cwd ?? workdir, workdir),
    env: checkEnv(options.env ?? {}),
    stdin: options.stdin ?? "null",
    ...(options.user === undefined ? {} : { user: checkName("user", options.user) }),
    ...(options.mergeStderr === undefined ? {} : { mergeStderr: options.mergeStderr }),
    ...(options.output === undefined ? {} : { output: outputLimit({ maxOutputBytes: options.output.maxBytes, keep: options.output.keep }) }),
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    ...(options.pty === undefined
      ? {}
      : { pty: { columns: checkWhole("pty.columns", options.pty.columns, 1), rows: checkWhole("pty.rows", options.pty.rows, 1) } }),
  };
}

/** Start one program, over `spawn` or a shell, so that the abort reaches it from its start to its end. */
export async function start(
  calls: DriverCalls,
  name: string,
  options: { readonly signal?: AbortSignal; readonly call?: string; readonly timeoutMs?: number; readonly startTimeoutMs?: number },
  work: (options: { readonly signal: AbortSignal; readonly call?: { readonly id: string } }) => Promise<SandboxProcess>,
): Promise<RunningProcess> {
  options.signal?.throwIfAborted();
  calls.checkState(name);
  const key = calls.key(options.call);
  const stop = new AbortController();
  const follow = (): void => stop.abort(options.signal?.reason);
  options.signal?.addEventListener("abort", follow, { once: true });
  const unfollow = (): void => options.signal?.removeEventListener("abort", follow);
  try {
    const discard = (late: SandboxProcess): Promise<void> => late.signal("SIGKILL", { signal: AbortSignal.timeout(graceMs) });
    const limits = { signal: stop.signal, ...(options.startTimeoutMs === undefined ? {} : { timeoutMs: options.startTimeoutMs }) };
    const process = await bounded({ name: `${calls.provider} ${name}`, effect: "unknown", discard }, limits, () =>
      work(key === undefined ? { signal: stop.signal } : { signal: stop.signal, call: key }),
    );
    const running = new RunningProcess(calls, process, stop, options.timeoutMs);
    running.exit.then(unfollow, unfollow);
    return running;
  } catch (error) {
    unfollow();
    stop.abort(error);
    throw error;
  }
}

export async function spawn(calls: DriverCalls, command: string | readonly string[], options: SpawnOptions): Promise<RunningProcess> {
  if (options.stdin === "pipe" && calls.driver.capabilities.exec.stdinWhileRunning === false) {
    unsupported(calls.provider, "takes a program's input only before its start (capability exec.stdinWhileRunning); use exec");
  }
  const request = spawnRequest(calls, command, options);
  return await start(calls, "spawn", { ...options, startTimeoutMs }, (callOptions) => calls.driver.spawn(request, callOptions));
}

/** Run to the end, collecting what it writes. */
export async function exec(calls: DriverCalls, command: string | readonly string[], options: ExecOptions): Promise<ExecResult> {
  const { stdin, timeoutMs = execTimeoutMs, maxOutputBytes, keep, ...rest } = options;
  const limit = outputLimit({ ...(maxOutputBytes === undefined ? {} : { maxOutputBytes }), ...(keep === undefined ? {} : { keep }) });
  const source = stdin === undefined ? undefined : contentStream("stdin", stdin);
  const startedAt = performance.now();
  const request = spawnRequest(calls, command, { ...rest, timeoutMs, output: limit, stdin: source === undefined ? "null" : "pipe" });
  const running = await start(calls, "exec", { ...rest, timeoutMs, startTimeoutMs }, (callOptions) => calls.driver.spawn(request, callOptions));
  const { exit, stdout, stderr } = await finish(running, limit, source);
  return new ExecResult(exit, stdout, stderr, performance.now() - startedAt);
}

/** Feed a program, read it to its end, and count what the limit cut, here or inside. */
export async function finish(
  running: RunningProcess,
  limit: OutputLimit,
  source?: ReadableStream<Uint8Array>,
): Promise<{ readonly exit: ProcessExit; readonly stdout: Uint8Array; readonly stderr: Uint8Array }> {
  const ended = new AbortController();
  const { promise: failed, reject } = Promise.withResolvers<never>();
  if (source !== undefined && running.stdin !== null) feed(source, running.stdin, ended.signal).catch(reject);
  try {
    const [exit, { stdout, stderr }] = await Promise.race([Promise.all([running.exit, running.collect(limit)]), failed]);
    const droppedBytes = {
      stdout: exit.droppedBytes.stdout + stdout.droppedBytes,
      stderr: exit.droppedBytes.stderr + stderr.droppedBytes,
    };
    return { exit: { ...exit, droppedBytes }, stdout: stdout.bytes(), stderr: stderr.bytes() };
  } catch (error) {
    void running[Symbol.asyncDispose]();
    throw error;
  } finally {
    if (source !== undefined) ended.abort();
  }
}

function lostError(reason: Error): SandboxError {
  return new SandboxError("unavailable", "the sandbox was lost while a program ran in it", { effect: "unknown", cause: reason });
}

function overdueError(timeoutMs: number): SandboxError {
  return new SandboxError("deadline_exceeded", `the program did not end when its ${timeoutMs} ms were over, nor when it was killed`, {
    effect: "unknown",
  });
}
