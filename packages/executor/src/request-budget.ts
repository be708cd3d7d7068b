import { retryAfterIn } from "./control-plane.ts";
import { sleep } from "./wait.ts";

/**
 * What a request is for, the most important first: a lease that is not renewed loses the session, a result that is late keeps a model waiting, a session that
 * is not read stands still, a poll can wait.
 */
const purposes = ["lease", "result", "session", "poll"] as const;
export type Purpose = (typeof purposes)[number];

/** The organisation's limits are counted apart. Source: reference/managed-agents-protocol.md, 2.5. */
type Kind = "read" | "write";

const minuteMs = 60_000;
/** Of the reads of a minute, what polls leave to sessions. */
const keptFromPolls = 0.25;
/** Where a 429 names no time. */
const retryAfterMs = 1_000;
/** After a wait, so that not everybody comes back at once. */
const jitterMs = 500;

/**
 * Keeps this process within its share of the organisation's request limits. Reads are counted, and none goes out beyond the share of a minute; writes have no
 * published limit that fits them and are only held back by what the control plane says. A refusal (429) holds back requests of its kind that are as
 * important or less, for as long as it says. What holds a lease never waits here: its own loop knows how long it can.
 */
export class RequestBudget {
  readonly #readsPerMinute: number;
  /** When the last reads went out, oldest first; more than those of a minute. */
  readonly #readAtMs: number[] = [];
  readonly #closedUntilMs = new Map<string, number>();

  constructor(readsPerMinute: number) {
    this.#readsPerMinute = readsPerMinute;
  }

  /** A `fetch` whose requests wait for their turn. */
  over(fetchFunction: typeof fetch): typeof fetch {
    return async (input, init) => {
      if (typeof input !== "string") throw new TypeError("this fetch takes a URL in text");
      const [kind, purpose] = [init?.method === undefined || init.method === "GET" ? "read" : "write", purposeOf(input, init?.method)] as const;
      let waitMs = this.#waitMs(kind, purpose);
      while (waitMs > 0) {
        await sleep(waitMs + Math.random() * jitterMs, init?.signal ?? new AbortController().signal);
        init?.signal?.throwIfAborted();
        waitMs = this.#waitMs(kind, purpose);
      }
      if (kind === "read") this.#count();
      const response = await fetchFunction(input, init);
      if (response.status === 429) this.#close(kind, purpose, retryAfterIn(response.headers) ?? retryAfterMs);
      return response;
    };
  }

  #waitMs(kind: Kind, purpose: Purpose): number {
    if (purpose === "lease") return 0;
    const nowMs = Date.now();
    let openAtMs = nowMs;
    for (const other of purposes) {
      openAtMs = Math.max(openAtMs, this.#closedUntilMs.get(`${kind} ${other}`) ?? 0);
      if (other === purpose) break;
    }
    if (kind === "read") openAtMs = Math.max(openAtMs, this.#roomAtMs(nowMs, purpose));
    return openAtMs - nowMs;
  }

  /** When one more read of that purpose fits into the minute before it. */
  #roomAtMs(nowMs: number, purpose: Purpose): number {
    const most = Math.max(1, Math.floor(purpose === "poll" ? this.#readsPerMinute * (1 - keptFromPolls) : this.#readsPerMinute));
    const inTheWay = this.#readAtMs[this.#readAtMs.length - most];
    return inTheWay === undefined ? nowMs : inTheWay + minuteMs;
  }

  #count(): void {
    this.#readAtMs.push(Date.now());
    if (this.#readAtMs.length > 2 * this.#readsPerMinute) this.#readAtMs.splice(0, this.#readAtMs.length - this.#readsPerMinute);
  }

  #close(kind: Kind, purpose: Purpose, forMs: number): void {
    const key = `${kind} ${purpose}`;
    this.#closedUntilMs.set(key, Math.max(this.#closedUntilMs.get(key) ?? 0, Date.now() + forMs));
  }
}

function purposeOf(url: string, method: string | undefined): Purpose {
  const path = url.slice(0, url.includes("?") ? url.indexOf("?") : undefined);
  if (/\/(?:heartbeat|ack|stop)$/u.test(path)) return "lease";
  if (method === "POST" && path.endsWith("/events")) return "result";
  return /\/work(?:\/poll|\/stats)?$/u.test(path) ? "poll" : "session";
}
