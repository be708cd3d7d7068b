import type { Clock } from "./clock.ts";

/** Thrown into whatever waits on a session that is no more. */
export class SessionOver extends Error {
  override readonly name = "SessionOver";
}

/** A session's time. What waits for something of it, or is to happen in it later, ends with it. */
export class SessionLife {
  readonly #clock: Clock;
  readonly #ended = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Aborts with the session; the reason is a `SessionOver`. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  end(because: string): void {
    this.#ended.abort(new SessionOver(because));
  }

  /** Run `action` after `delayMs` on the clock, unless the session is over by then. */
  later(delayMs: number, action: () => void): void {
    const stop = (): void => timer.cancel();
    const timer = this.#clock.setTimer(delayMs, () => {
      this.signal.removeEventListener("abort", stop);
      action();
    });
    this.signal.addEventListener("abort", stop, { once: true });
  }

  /** @throws {SessionOver} */
  async sleep(delayMs: number): Promise<void> {
    await this.wait((resolve) => this.later(delayMs, resolve));
  }

  /** @param start is given what ends the waiting @throws {SessionOver} */
  async wait(start: (resolve: () => void) => void): Promise<void> {
    this.signal.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<void>();
    start(resolve);
    await this.orOver(promise);
  }

  /** What `pending` resolves to, unless the session is over first. @throws {SessionOver} */
  async orOver<Value>(pending: Promise<Value>): Promise<Value> {
    this.signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const over = (): void => reject(this.signal.reason);
    this.signal.addEventListener("abort", over, { once: true });
    return Promise.race([pending, promise]).finally(() => this.signal.removeEventListener("abort", over));
  }
}
