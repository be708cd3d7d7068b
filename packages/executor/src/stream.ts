import type Anthropic from "@anthropic-ai/sdk";
import { isFinal, retryAfterMs } from "./control-plane.ts";
import type { Failure, Observe, Secrets } from "./events.ts";
import { compareTimestamps } from "./timestamps.ts";
import { Queue, backOffMs, sleep } from "./wait.ts";

/** A session event as it came: only `type` is certain. */
export type SessionEvent = { readonly type: string } & Readonly<Record<string, unknown>>;

export type FeedItem =
  /** A new connection: its history follows, then what came live meanwhile. */
  | { readonly type: "connected" }
  | { readonly type: "history"; readonly events: readonly SessionEvent[] }
  | { readonly type: "history_complete" }
  /** The history could not be read so far and is tried again; live events come without it. */
  | { readonly type: "history_missing" }
  | { readonly type: "event"; readonly event: SessionEvent }
  /** The control plane refused for good. */
  | { readonly type: "refused"; readonly failure: Failure };

export interface FeedOptions {
  readonly client: Anthropic;
  readonly workId: string;
  readonly sessionId: string;
  readonly observe: Observe;
  readonly secrets: Secrets;
  /** Ends the feed. */
  readonly signal: AbortSignal;
}

const firstBackOffMs = 500;
const mostBackOffMs = 10_000;
/** How far before the newest event a reconnection reads again: for what the control plane stamped and stored in another order. */
const overlapMs = 300_000;

/**
 * Everything that happens in a session, over disconnections: the live stream is attached first and the history read then, so that no event
 * falls between the two. Once the whole of it is known, a reconnection reads only its end. Events may come twice; whoever reads dedupes by id.
 */
export class EventFeed {
  readonly #options: FeedOptions;
  readonly #items = new Queue<FeedItem>();
  /** Reads the history of the connection that lives, once more. */
  #readAgain: (() => void) | undefined;
  #knowsAll = false;
  /** The latest `processed_at` so far. */
  #newest: string | undefined;

  constructor(options: FeedOptions) {
    this.#options = options;
  }

  /** In order, `undefined` at the end. */
  async *items(): AsyncGenerator<FeedItem, void, undefined> {
    const running = this.#run().finally(() => this.#items.close());
    for (let item = await this.#items.take(); item !== undefined; item = await this.#items.take()) yield item;
    await running;
  }

  /** Something is missing that the live stream should have brought: read the whole history once more. Without a connection the next one does. */
  reread(): void {
    this.#knowsAll = false;
    this.#readAgain?.();
  }

  async #run(): Promise<void> {
    const { signal, observe, secrets, workId, sessionId } = this.#options;
    let failures = 0;
    while (!signal.aborted) {
      let error: unknown;
      try {
        await this.#connect(() => (failures = 0));
      } catch (caught) {
        error = caught;
      }
      if (signal.aborted) return;
      if (isFinal(error)) {
        this.#items.push({ type: "refused", failure: secrets.failure(error) });
        return;
      }
      const retryInMs = Math.max(retryAfterMs(error), backOffMs(failures++, firstBackOffMs, mostBackOffMs));
      observe({ type: "stream.lost", workId, sessionId, retryInMs, ...(error === undefined ? {} : { failure: secrets.failure(error) }) });
      await sleep(retryInMs, signal);
    }
  }

  /** One connection, until it ends. */
  async #connect(received: () => void): Promise<void> {
    const { client, sessionId, workId, signal, observe } = this.#options;
    const over = new AbortController();
    const both = AbortSignal.any([signal, over.signal]);
    try {
      const stream = await client.beta.sessions.events.stream(sessionId, {}, { signal: both });
      observe({ type: "stream.connected", workId, sessionId });
      this.#items.push({ type: "connected" });
      const early: SessionEvent[] = [];
      let historyFirst = true;
      const release = (): void => {
        historyFirst = false;
        for (const event of early.splice(0)) this.#items.push({ type: "event", event });
      };
      let history = this.#readHistory(both, release);
      this.#readAgain = (): void => {
        history = history.then(() => this.#readHistory(both, release));
      };
      try {
        for await (const event of stream) {
          received();
          if (!isEvent(event)) continue;
          this.#note(event);
          if (historyFirst) early.push(event);
          else this.#items.push({ type: "event", event });
        }
      } finally {
        this.#readAgain = undefined;
        over.abort();
        await history;
      }
    } finally {
      over.abort();
    }
  }

  /** Read what is not known of it, as often as it takes. `release` is called when it is known, or known to be missing. Never rejects. */
  async #readHistory(signal: AbortSignal, release: () => void): Promise<void> {
    const { client, sessionId, workId, observe, secrets } = this.#options;
    for (let attempt = 0; !signal.aborted; attempt++) {
      const from = this.#knownUntil();
      const range = from === undefined ? {} : { "created_at[gte]": from };
      try {
        let page = await client.beta.sessions.events.list(sessionId, { limit: 1000, ...range }, { signal });
        for (;;) {
          if (signal.aborted) return;
          const events = dataOf(page).filter(isEvent);
          for (const event of events) this.#note(event);
          this.#items.push({ type: "history", events });
          if (!page.hasNextPage()) break;
          page = await page.getNextPage();
        }
        this.#knowsAll = true;
        this.#items.push({ type: "history_complete" });
        release();
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#knowsAll = false; // the range may be what was refused
        const retryInMs = Math.max(retryAfterMs(error), backOffMs(attempt, firstBackOffMs, mostBackOffMs));
        observe({ type: "history.failed", workId, sessionId, failure: secrets.failure(error), retryInMs });
        if (attempt === 0) this.#items.push({ type: "history_missing" });
        release();
        await sleep(retryInMs, signal);
      }
    }
  }

  #note({ processed_at: stamp }: SessionEvent): void {
    if (typeof stamp !== "string" || Number.isNaN(Date.parse(stamp))) return;
    if (this.#newest === undefined || compareTimestamps(stamp, this.#newest) > 0) this.#newest = stamp;
  }

  /** RFC 3339, or `undefined` while something that came before may be unknown. */
  #knownUntil(): string | undefined {
    return this.#knowsAll && this.#newest !== undefined ? new Date(Date.parse(this.#newest) - overlapMs).toISOString() : undefined;
  }
}

/**
 * What a page holds. The SDK takes an answer without data for an empty page: a proxy's own page, say, would hide every call that waits.
 * @throws {Error} it is no page
 */
function dataOf(page: object): readonly unknown[] {
  const body: unknown = "body" in page ? page.body : undefined;
  const data: unknown = typeof body === "object" && body !== null && "data" in body ? body.data : undefined;
  if (!Array.isArray(data)) throw new Error("the answer is no page of events");
  return data;
}

function isEvent(value: unknown): value is SessionEvent {
  return typeof value === "object" && value !== null && "type" in value && typeof value.type === "string";
}
