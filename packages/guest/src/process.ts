import { type MutationOptions, type ProcessExit, SandboxError, type SandboxProcess } from "@glovebox/core";
import { askAgain, type GuestLink } from "./call.ts";
import type { GuestConnection } from "./connection.ts";
import { disconnected, invalidRequest, violation } from "./failures.ts";
import type { JsonObject } from "./json.ts";
import { Channel, type CallHandler, type CallStream, type OutputChannelNumber } from "./mux.ts";
import { OutputChannel } from "./output.ts";
import { parseExit } from "./results.ts";

/** A program to start, of `exec` or `shell.run`. */
export interface ProgramRequest {
  readonly request: JsonObject & { readonly op: string };
  /** `pipe`: what the caller writes. Else all there is, or nothing. */
  readonly input: "pipe" | readonly Uint8Array[] | undefined;
  /** The most bytes of each stream of output; absent: no bound. */
  readonly maxOutputBytes: number | undefined;
}

const signalNames: ReadonlySet<string> = new Set(
  (
    "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF " +
    "WINCH IO PWR SYS"
  )
    .split(" ")
    .map((name) => `SIG${name}`),
);

/**
 * Start a program and wait until it runs.
 * With a key and without a pipe it is asked for again after a lost connection, and goes on where the output stood.
 */
export async function startProgram(link: GuestLink, program: ProgramRequest, { signal, call }: MutationOptions): Promise<SandboxProcess> {
  const running = new Program(program, signal);
  // With a pipe it cannot be asked for again: nobody knows how much of the input was read.
  const key = program.input === "pipe" ? undefined : call;
  const request = call === undefined ? program.request : { ...program.request, call: call.id };
  askAgain(link, key, "unknown", signal, (connection) => running.attempt(connection, request)).then(
    (exit) => running.ended(exit),
    (error: unknown) => running.failed(error),
  );
  await running.started;
  return running.process;
}

class Program {
  readonly #program: ProgramRequest;
  readonly #signal: AbortSignal;
  readonly #started = Promise.withResolvers<void>();
  readonly #exit = Promise.withResolvers<ProcessExit>();
  readonly #output: Readonly<Record<OutputChannelNumber, OutputChannel>>;
  /** Bytes of each channel that were passed on, so that a replay adds only what is new. */
  readonly #passed: Record<OutputChannelNumber, number> = { 1: 0, 2: 0 };
  readonly #stdin: WritableStream<Uint8Array> | null;
  #stdinController: WritableStreamDefaultController | undefined;
  #stream: CallStream | undefined;
  #over = false;
  readonly #onAbort = (): void => {
    this.#stream?.cancel();
    this.failed(this.#signal.reason);
  };

  constructor(program: ProgramRequest, signal: AbortSignal) {
    this.#program = program;
    this.#signal = signal;
    this.#output = { 1: this.#channel(Channel.output), 2: this.#channel(Channel.errors) };
    this.#stdin = program.input === "pipe" ? this.#input() : null;
    this.#started.promise.catch(() => undefined);
    this.#exit.promise.catch(() => undefined);
    signal.addEventListener("abort", this.#onAbort, { once: true });
  }

  get started(): Promise<void> {
    return this.#started.promise;
  }

  get process(): SandboxProcess {
    return {
      stdin: this.#stdin,
      stdout: this.#output[Channel.output].readable,
      stderr: this.#output[Channel.errors].readable,
      exit: this.#exit.promise,
      signal: (name, { signal }) => this.#send(name, signal),
    };
  }

  /** Run it, join it or replay it on one connection. */
  attempt(connection: GuestConnection, request: JsonObject): Promise<ProcessExit> {
    const { promise, resolve, reject } = Promise.withResolvers<ProcessExit>();
    const came: Record<OutputChannelNumber, number> = { 1: 0, 2: 0 };
    const handler: CallHandler = {
      data: (channel, bytes) => this.#data(channel, bytes, came),
      end: (channel) => this.#output[channel].end(),
      event: (event) => this.#event(event),
      result: (result) => resolve(parseExit(result)),
      fail: reject,
    };
    const { input } = this.#program;
    this.#stream = connection.call(request, handler, input === "pipe" ? undefined : input);
    return promise;
  }

  ended(exit: ProcessExit): void {
    if (this.#over) return;
    this.#finish(exit.replayed ? "its result was kept from before" : "the program has ended");
    this.#started.resolve();
    this.#exit.resolve(exit);
    this.#output[1].end();
    this.#output[2].end();
  }

  failed(error: unknown): void {
    if (this.#over) return;
    this.#finish("the program has ended");
    this.#started.reject(error);
    this.#exit.reject(error);
    this.#output[1].fail(error);
    this.#output[2].fail(error);
  }

  #finish(why: string): void {
    this.#over = true;
    this.#signal.removeEventListener("abort", this.#onAbort);
    this.#stdinController?.error(new SandboxError("failed_precondition", `cannot write to stdin: ${why}`, { effect: "none" }));
  }

  #data(channel: OutputChannelNumber, bytes: Uint8Array, came: Record<OutputChannelNumber, number>): void {
    this.#started.resolve();
    const from = came[channel];
    came[channel] += bytes.length;
    const { maxOutputBytes } = this.#program;
    if (maxOutputBytes !== undefined && came[channel] > maxOutputBytes) throw violation("more output than was allowed");
    const known = Math.min(Math.max(this.#passed[channel] - from, 0), bytes.length);
    if (known > 0) this.#stream?.consumed(channel, known);
    if (known === bytes.length) return;
    this.#passed[channel] += bytes.length - known;
    this.#output[channel].push(known === 0 ? bytes : bytes.subarray(known));
  }

  #event(event: JsonObject): void {
    if (event["event"] === "started") this.#started.resolve();
    else if (event["event"] === "exited") {
      this.#started.resolve();
      this.#exit.resolve(parseExit(event));
    }
  }

  #channel(channel: OutputChannelNumber): OutputChannel {
    return new OutputChannel((bytes) => this.#stream?.consumed(channel, bytes));
  }

  #input(): WritableStream<Uint8Array> {
    return new WritableStream<Uint8Array>({
      start: (controller) => {
        this.#stdinController = controller;
      },
      write: (chunk) => {
        if (!(chunk instanceof Uint8Array)) throw invalidRequest("stdin takes Uint8Array chunks");
        return this.#stream?.send(chunk);
      },
      close: () => this.#stream?.finish(),
      abort: () => this.#stream?.finish(), // a pipe knows no other end
    });
  }

  async #send(name: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (!signalNames.has(name)) throw invalidRequest(`${name} is no signal; give a name such as SIGTERM`);
    if (this.#over) return;
    if (this.#stream === undefined || this.#stream.over) throw disconnected(new Error("reconnecting"), "none");
    this.#stream.control({ control: "signal", name });
  }
}
