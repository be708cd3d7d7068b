/** Resolves after `ms`, or at once when the signal aborts; look at the signal afterwards. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) return Promise.resolve();
  const end = (): void => {
    clearTimeout(timer);
    signal.removeEventListener("abort", end);
    resolve();
  };
  const timer = setTimeout(end, ms);
  signal.addEventListener("abort", end, { once: true });
  return promise;
}

/** `firstMs` doubled with each attempt (0, 1, …) up to `mostMs`, less up to a quarter by chance. */
export function backOffMs(attempt: number, firstMs: number, mostMs: number): number {
  return Math.min(firstMs * 2 ** Math.min(attempt, 30), mostMs) * (1 - Math.random() / 4);
}

/** What `pending` gives, or the abort's reason; `pending` goes on and its late failure is nobody's. */
export async function orAbort<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([pending, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    pending.catch(() => undefined);
  }
}

/** A timer that is set anew as often as wanted. */
export class Alarm implements Disposable {
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #ring: () => void;

  constructor(ring: () => void) {
    this.#ring = ring;
  }

  /** Count from now. 0: never. */
  set(ms: number): void {
    this.clear();
    if (ms > 0) this.#timer = setTimeout(this.#ring, ms);
  }

  clear(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  get isSet(): boolean {
    return this.#timer !== undefined;
  }

  [Symbol.dispose](): void {
    this.clear();
  }
}

/** What one side puts in and the other takes out in order. */
export class Queue<T> {
  readonly #waiting: T[] = [];
  #wake: (() => void) | undefined;
  #closed = false;

  push(value: T): void {
    this.#waiting.push(value);
    this.#wake?.();
  }

  /** What is in it is still given out. */
  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  /** The next value, or `undefined` when it is closed and empty. One taker at a time. */
  async take(): Promise<T | undefined> {
    while (this.#waiting.length === 0) {
      if (this.#closed) return undefined;
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
    }
    return this.#waiting.shift();
  }
}
