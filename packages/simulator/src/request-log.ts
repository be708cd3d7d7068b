import type { CredentialKind } from "./credentials.ts";
import type { EndpointName } from "./endpoints.ts";
import { firstMatch } from "./first-match.ts";

/** One request as it came in. Never holds a credential or a work secret. */
export interface LoggedRequest {
  /** Equals the `request-id` header of the answer. */
  readonly id: string;
  readonly atMs: number;
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  /** `null` when no endpoint has this method and path. */
  readonly endpoint: EndpointName | null;
  readonly credential: CredentialKind;
  /** `x-stainless-helper`, or `null`. */
  readonly helper: string | null;
  /** `anthropic-worker-id`, or `null`. */
  readonly workerId: string | null;
  readonly sessionId: string | null;
  readonly workId: string | null;
  /** Whose token it carried, and with which delivery of the item that came, from 1; `null` for other credentials. */
  readonly token: { readonly workId: string; readonly sessionId: string; readonly delivery: number } | null;
  /** For `work.poll`: the item that the answer carried, and how often it had been delivered by then. */
  readonly delivered: { readonly workId: string; readonly delivery: number } | null;
  /** For `events.send`: type of each event and the call it answers. Empty until the body is read. */
  readonly sent: readonly { readonly type: string; readonly toolUseId: string | null }[];
  /** `null` until answered, and when the connection was cut or the client left. */
  readonly status: number | null;
}

export type MutableLoggedRequest = { -readonly [Field in keyof LoggedRequest]: LoggedRequest[Field] };

/** Requests in order of arrival, the newest `capacity` of them. */
export class RequestLog {
  readonly #entries: LoggedRequest[] = [];
  readonly #capacity: number;
  readonly #answered = new WeakSet<LoggedRequest>();
  readonly #waiting = new Set<(request: LoggedRequest) => void>();

  /** @param observe hears of each request that was answered or cut off */
  constructor(capacity: number, observe: (request: LoggedRequest) => void) {
    this.#capacity = capacity;
    this.#waiting.add(observe);
  }

  add(request: LoggedRequest): void {
    this.#entries.push(request);
    // in bulk, so that a long run does not shift the whole array on every request
    if (this.#entries.length >= 2 * this.#capacity) this.#entries.splice(0, this.#entries.length - this.#capacity);
  }

  /** The request was answered, or its connection is gone. Called again, it does nothing. */
  answered(request: LoggedRequest): void {
    if (this.#answered.has(request)) return;
    this.#answered.add(request);
    for (const notify of this.#waiting) notify(request);
  }

  all(): readonly LoggedRequest[] {
    return this.#entries.slice(-this.#capacity);
  }

  /** The first request, past or to come, that was answered or cut off and for which `matches` is true. */
  waitFor(matches: (request: LoggedRequest) => boolean, signal?: AbortSignal): Promise<LoggedRequest> {
    const past = this.#entries.find((request) => this.#answered.has(request) && matches(request));
    const listen = (notify: (request: LoggedRequest) => void): (() => void) => {
      this.#waiting.add(notify);
      return () => void this.#waiting.delete(notify);
    };
    return firstMatch({ past, listen }, matches, signal);
  }
}
