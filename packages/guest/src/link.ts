import { type AttachMode, SandboxError } from "@glovebox/core";
import type { GuestLink } from "./call.ts";
import { GuestConnection } from "./connection.ts";
import { disconnected } from "./failures.ts";
import type { GuestStream } from "./guest-stream.ts";

export interface LinkOptions {
  readonly mode: AttachMode;
  readonly connect: (signal: AbortSignal) => Promise<GuestStream>;
  readonly diagnose?: ((signal: AbortSignal) => Promise<SandboxError | undefined>) | undefined;
  readonly secret?: string | undefined;
  readonly reconnectMs: number;
  readonly helloMs: number;
}

const FIRST_DELAY_MS = 20;
const LONGEST_DELAY_MS = 1_000;
/** A connection that lasted so long was sound: what comes after it is counted anew. */
const SOUND_MS = 5_000;

/** Keeps one worker connected to one guest: after a loss it asks what happened, backs off and resumes, until that is hopeless. */
export class ReconnectingLink implements GuestLink {
  /** As the guest gave it at first; another worker may have bumped it since, and then this one stays fenced. */
  readonly generation: number;
  readonly #options: LinkOptions;
  readonly #lost = Promise.withResolvers<Error>();
  readonly #stop = new AbortController();
  #connection: GuestConnection;
  #next: PromiseWithResolvers<GuestConnection> | undefined;
  #end: SandboxError | undefined;
  #connectedAt = performance.now();
  /** When the losses began that no sound connection has ended. */
  #troubledSince: number | undefined;
  #delayMs = 0;

  private constructor(options: LinkOptions, connection: GuestConnection) {
    this.#options = options;
    this.#connection = connection;
    this.generation = connection.hello.generation;
    this.#watch(connection);
  }

  /** @throws {SandboxError} as {@link GuestConnection.open}, and what `connect` throws */
  static async open(options: LinkOptions, signal: AbortSignal): Promise<ReconnectingLink> {
    const { mode, secret, helloMs } = options;
    const stream = await options.connect(signal);
    const connection = await GuestConnection.open(stream, { mode, helloMs, ...(secret !== undefined && { secret }) }, signal);
    return new ReconnectingLink(options, connection);
  }

  /** Resolves when no connection will come any more, unless {@link close} was called before. */
  get lost(): Promise<Error> {
    return this.#lost.promise;
  }

  connection(signal: AbortSignal): GuestConnection | Promise<GuestConnection> {
    if (this.#end !== undefined) throw this.#end;
    if (this.#next === undefined && this.#connection.failure === undefined) return this.#connection;
    const { promise, resolve, reject } = Promise.withResolvers<GuestConnection>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#waiting().promise.then(resolve, reject);
    return promise.finally(() => signal.removeEventListener("abort", onAbort));
  }

  close(): void {
    if (this.#end !== undefined) return;
    this.#finish(new SandboxError("failed_precondition", "the driver was closed; attach again", { effect: "none" }));
  }

  #waiting(): PromiseWithResolvers<GuestConnection> {
    if (this.#next === undefined) {
      this.#next = Promise.withResolvers();
      this.#next.promise.catch(() => undefined);
    }
    return this.#next;
  }

  #watch(connection: GuestConnection): void {
    void connection.ended.then((failure) => {
      if (this.#end !== undefined) return undefined;
      if (failure.reason === "protocol_violation") return this.#lose(failure);
      const now = performance.now();
      if (now - this.#connectedAt >= SOUND_MS || this.#troubledSince === undefined) {
        this.#troubledSince = now;
        this.#delayMs = 0;
      }
      return this.#reconnect(failure, this.#troubledSince);
    });
  }

  async #reconnect(failure: SandboxError, troubledSince: number): Promise<void> {
    this.#waiting();
    let cause = failure;
    for (;;) {
      await pause(this.#delayMs, this.#stop.signal);
      this.#delayMs = Math.min(Math.max(this.#delayMs * 2, FIRST_DELAY_MS), LONGEST_DELAY_MS);
      const leftMs = this.#options.reconnectMs - (performance.now() - troubledSince);
      if (leftMs <= 0) return this.#lose(gaveUp(this.#options.reconnectMs, cause));
      const signal = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(Math.ceil(leftMs))]);
      const death = await this.#options.diagnose?.(signal).catch(() => undefined);
      if (this.#end !== undefined) return undefined;
      if (death !== undefined) return this.#lose(death);
      try {
        return this.#resume(await this.#attempt(signal));
      } catch (error) {
        if (this.#end !== undefined) return undefined;
        const coded = SandboxError.is(error) ? error : disconnected(error, "none");
        if (coded.code !== "unavailable" || coded.reason === "protocol_violation") return this.#lose(coded);
        cause = coded;
      }
    }
  }

  async #attempt(signal: AbortSignal): Promise<GuestConnection> {
    const { mode, secret, helloMs } = this.#options;
    const stream = await this.#options.connect(signal);
    const again = mode === "takeover" ? ({ mode: "resume", generation: this.generation } as const) : { mode };
    return GuestConnection.open(stream, { ...again, helloMs, ...(secret !== undefined && { secret }) }, signal);
  }

  #resume(connection: GuestConnection): void {
    if (this.#end !== undefined) return connection.close();
    if (connection.hello.boot !== this.#connection.hello.boot) {
      connection.close();
      const message = "the guest was started anew: its shells and programs are gone; attach again";
      return this.#lose(new SandboxError("unavailable", message, { effect: "unknown", reason: "restarted" }));
    }
    this.#connectedAt = performance.now();
    this.#connection = connection;
    const next = this.#next;
    this.#next = undefined;
    this.#watch(connection);
    return next?.resolve(connection);
  }

  #lose(reason: SandboxError): void {
    if (this.#end !== undefined) return;
    this.#finish(
      new SandboxError("unavailable", "the sandbox was lost; attach again", {
        cause: reason,
        effect: "none",
        reason: reason.reason ?? "disconnected",
      }),
    );
    this.#lost.resolve(reason);
  }

  #finish(end: SandboxError): void {
    this.#end = end;
    this.#stop.abort(end);
    this.#connection.close();
    this.#next?.reject(end);
  }
}

function gaveUp(afterMs: number, cause: SandboxError): SandboxError {
  return new SandboxError("unavailable", `the guest could not be reached again within ${afterMs} ms`, {
    cause,
    effect: "unknown",
    reason: "disconnected",
  });
}

/** Returns early, without an error, when it is stopped. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (ms === 0 || signal.aborted) return Promise.resolve();
  const { promise, resolve } = Promise.withResolvers<void>();
  const onAbort = (): void => resolve();
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", onAbort, { once: true });
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  });
}
