import type { Clock } from "./clock.ts";

/** How long something lives. What waits within it is let go with its end. */
export class Lifetime {
  readonly #clock: Clock;
  readonly #ended = new AbortController();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  /** Idempotent. @param reason thrown into whatever waits */
  end(reason: Error): void {
    this.#ended.abort(reason);
  }

  /** Run `action` after `delayMs` on the clock, unless it is over by then. */
  later(delayMs: number, action: () => void): void {
    if (this.signal.aborted) return;
    const stop = (): void => timer.cancel();
    const timer = this.#clock.setTimer(delayMs, () => {
      this.signal.removeEventListener("abort", stop);
      action();
    });
    this.signal.addEventListener("abort", stop, { once: true });
  }

  /** What `pending` resolves to, unless it is over first. @throws the reason of its end */
  async orOver<Value>(pending: Promise<Value>): Promise<Value> {
    this.signal.throwIfAborted();
    const { promise, reject } = Promise.withResolvers<never>();
    const over = (): void => reject(this.signal.reason);
    this.signal.addEventListener("abort", over, { once: true });
    return Promise.race([pending, promise]).finally(() => this.signal.removeEventListener("abort", over));
  }

  /** Until `start` has its callback called. @throws the reason of its end */
  async wait(start: (resolve: () => void) => void): Promise<void> {
    this.signal.throwIfAborted();
    const { promise, resolve } = Promise.withResolvers<void>();
    start(resolve);
    await this.orOver(promise);
  }

  /** @throws the reason of its end */
  async sleep(delayMs: number): Promise<void> {
    await this.wait((resolve) => this.later(delayMs, resolve));
  }
}
