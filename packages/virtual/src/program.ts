import type { CallOptions, OutputLimit, ProcessExit, SandboxProcess } from "@glovebox/core";
import { SandboxError } from "@glovebox/core";
import type { VirtualDisk } from "./disk.ts";
import type { EndedMessage, RunMessage } from "./messages.ts";
import type { RunningJob, ThreadPool } from "./thread-pool.ts";

export interface ProgramRequest {
  readonly program: RunMessage["program"];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: "pipe" | "null";
  readonly merge: boolean;
  readonly output?: OutputLimit;
  readonly timeoutMs?: number;
}

export interface StartedProgram extends SandboxProcess {
  /** What it said at its end; absent when it was stopped. Never rejects. */
  readonly said: Promise<EndedMessage | undefined>;
  /** End it as SIGKILL would. */
  kill(): void;
}

/** Input is handed over whole, before the program starts. */
const maxInputBytes = 67_108_864;
const chunkBytes = 65_536;

/**
 * Run a program in the pool's next free thread, once all of its input is there. Output comes when it has ended.
 * An abort, time-out or kill ends it with its thread: its output so far is lost, what it did to files stays.
 */
export function startProgram(pool: ThreadPool, disk: VirtualDisk, request: ProgramRequest, signal: AbortSignal): StartedProgram {
  const input: Uint8Array[] = [];
  let inputBytes = 0;
  let job: RunningJob | undefined;
  let timer: NodeJS.Timeout | undefined;
  let why: "timeout" | "kill" | undefined;
  let over = false;
  const result = Promise.withResolvers<EndedMessage | undefined>();

  const end = (): void => {
    over = true;
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  };
  const stop = (reason: "timeout" | "kill"): void => {
    if (over) return;
    why ??= reason;
    if (job === undefined) result.resolve(undefined);
    else job.stop();
  };
  const onAbort = (): void => {
    result.reject(signal.reason); // at once; the thread follows
    stop("kill");
  };
  const start = (): void => {
    if (over || why !== undefined) return;
    const stdin = new Uint8Array(inputBytes);
    let offset = 0;
    for (const chunk of input) {
      stdin.set(chunk, offset);
      offset += chunk.byteLength;
    }
    const { program, cwd, env, merge, output, timeoutMs } = request;
    job = pool.run({
      disk,
      message: { program, cwd, env, merge, stdin, ...(output === undefined ? {} : { output }) },
      started: () => {
        if (timeoutMs !== undefined) timer = setTimeout(() => stop("timeout"), timeoutMs);
      },
    });
    job.ended.then(result.resolve, result.reject);
  };

  result.promise.then(end, end);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  if (request.stdin === "null") start();

  const stdin = new WritableStream<Uint8Array>({
    write: (chunk) => {
      if (over) throw new SandboxError("failed_precondition", "the program has ended; its input goes nowhere", { effect: "none" });
      if (inputBytes + chunk.byteLength > maxInputBytes) {
        throw new SandboxError("resource_exhausted", `input is limited to ${maxInputBytes} bytes; write a file instead`, {
          effect: "none",
          reason: "too_large",
        });
      }
      input.push(chunk.slice());
      inputBytes += chunk.byteLength;
    },
    close: start,
    abort: start,
  });
  const said = result.promise.catch(() => undefined);
  const exit = result.promise.then((ended): ProcessExit => {
    const droppedBytes = ended?.droppedBytes ?? { stdout: 0, stderr: 0 };
    if (why !== undefined) return { code: null, signal: "SIGKILL", timedOut: why === "timeout", droppedBytes, replayed: false };
    if (ended === undefined) throw new SandboxError("internal", "the program was stopped by nobody", { effect: "unknown" });
    return { code: ended.code, signal: null, timedOut: false, droppedBytes, replayed: false };
  });
  exit.catch(() => undefined); // seen by whoever awaits it
  return {
    stdin: request.stdin === "pipe" ? stdin : null,
    stdout: later(result.promise.then((ended) => ended?.stdout)),
    stderr: later(result.promise.then((ended) => ended?.stderr)),
    exit,
    said,
    kill: () => stop("kill"),
    signal: async (name: string, options: CallOptions): Promise<void> => {
      options.signal.throwIfAborted();
      if (over) return;
      if (name !== "SIGKILL")
        throw new SandboxError("unsupported", `virtual cannot send ${name}, only SIGKILL (capability exec.signal)`, { effect: "none" });
      stop("kill");
      await said;
    },
  };
}

/** A stream of bytes that come all at once. */
function later(bytes: Promise<Uint8Array | undefined>): ReadableStream<Uint8Array> {
  bytes.catch(() => undefined); // seen by whoever reads
  let offset = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        const all = (await bytes) ?? new Uint8Array();
        if (offset < all.byteLength) controller.enqueue(all.slice(offset, offset + chunkBytes));
        offset += chunkBytes;
        if (offset >= all.byteLength) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}
