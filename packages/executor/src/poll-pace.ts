/** Everything is in milliseconds of one clock, which the caller reads. */
export interface PollPaceOptions {
  /** Of all workers of the environment together. */
  readonly pollsPerMinute: number;
  /** 0 to 1, evenly. Default `Math.random`. */
  readonly random?: () => number;
}

/** A poll a second is one after the other. */
const allTheTimeMs = 1_000;
/** A worker that polls seldom is still counted among those that poll: they are counted over 30 s. Source: reference/managed-agents-protocol.md, 5.3. */
const longestIntervalMs = 25_000;
/** What a worker that may not poll all the time keeps back of its share, for after an item. */
const saved = 0.1;
const mostSaved = 30;
/** After an item others tend to follow, as when an application starts several sessions. */
const fastForMs = 30_000;
const slowest = 0.1;
/** Halvings within this time count as one: they answer the same overload. */
const halvedForMs = 5_000;
/** How much of the full pace comes back in a minute without a refusal. */
const recoveredPerMinute = 0.1;

/**
 * How often a worker polls, each poll waiting for a second. Up to `pollsPerMinute / 60` workers of an environment poll all the time, one long poll after the other. Beyond that they share:
 * some poll is waiting at any moment all the same, and which worker gets an item does not matter. Refusals (429) halve the pace, which comes back slowly.
 */
export class PollPace {
  readonly #options: PollPaceOptions;
  #workers = 1;
  #pace = 1;
  #paceAtMs = 0;
  #halvedAtMs = -Infinity;
  #lastPollAtMs: number | undefined;
  #credit = 0;
  #fastUntilMs = -Infinity;
  #spread = 1;

  constructor(options: PollPaceOptions) {
    this.#options = options;
  }

  /** How many workers poll this environment, this one included. */
  shareWith(workers: number): void {
    this.#workers = Math.max(1, workers);
  }

  /** A poll goes out now. */
  polled(nowMs: number): void {
    const { random = Math.random } = this.#options;
    const before = this.#lastPollAtMs;
    if (before !== undefined) {
      const earned = ((nowMs - before) * saved) / this.#shareMs(nowMs);
      const early = nowMs - before < this.#intervalMs(nowMs) * this.#spread - 1;
      this.#credit = Math.min(mostSaved, Math.max(0, this.#credit + earned - (early ? 1 : 0)));
    }
    this.#lastPollAtMs = nowMs;
    this.#spread = 0.75 + random() / 2;
  }

  /** An item came. */
  claimed(nowMs: number): void {
    this.#fastUntilMs = nowMs + fastForMs;
  }

  /** The control plane refused a request for there being too many. */
  throttled(nowMs: number): void {
    if (nowMs - this.#halvedAtMs < halvedForMs) return;
    this.#pace = Math.max(slowest, this.#paceAt(nowMs) / 2);
    [this.#paceAtMs, this.#halvedAtMs] = [nowMs, nowMs];
    this.#fastUntilMs = -Infinity;
  }

  /** From now to the next poll. */
  waitMs(nowMs: number): number {
    if (this.#lastPollAtMs === undefined) return 0;
    const intervalMs = this.#intervalMs(nowMs);
    if (intervalMs <= allTheTimeMs) return 0;
    if (nowMs < this.#fastUntilMs && this.#credit >= 1) return 0;
    return Math.max(0, this.#lastPollAtMs + intervalMs * this.#spread - nowMs);
  }

  #intervalMs(nowMs: number): number {
    const shareMs = this.#shareMs(nowMs);
    return shareMs <= allTheTimeMs ? shareMs : Math.min(longestIntervalMs, shareMs / (1 - saved));
  }

  /** The interval that takes all of this worker's share. */
  #shareMs(nowMs: number): number {
    return Math.max(allTheTimeMs, (60_000 * this.#workers) / this.#options.pollsPerMinute) / this.#paceAt(nowMs);
  }

  #paceAt(nowMs: number): number {
    return Math.min(1, this.#pace + ((nowMs - this.#paceAtMs) / 60_000) * recoveredPerMinute);
  }
}
