/** So many go out together, and so long the first of them waits, in ms. */
const together = 64;
const waitMs = 10_000;

/**
 * Keys of calls whose results were delivered, on their way to being released. Nobody waits for it: a result that is kept a while longer costs the
 * sandbox some memory, a request of its own would cost every call.
 */
export class Releases {
  readonly #release: (keys: readonly string[]) => Promise<void>;
  #waiting: string[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** @param release may fail; the bounds of the sandbox's own record hold then */
  constructor(release: (keys: readonly string[]) => Promise<void>) {
    this.#release = release;
  }

  add(keys: readonly string[]): void {
    this.#waiting.push(...keys);
    if (this.#waiting.length >= together) void this.flush();
    else this.#timer ??= setTimeout(() => void this.flush(), waitMs).unref();
  }

  /** Release what waits. Never rejects. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const keys = this.#waiting;
    this.#waiting = [];
    if (keys.length > 0) await this.#release(keys).catch(() => undefined);
  }
}
