import Anthropic from "@anthropic-ai/sdk";

export type SendParams = Parameters<Anthropic["beta"]["sessions"]["events"]["send"]>[1];

/**
 * Posts events into one session. The first request is the SDK's own; the next ones are that request with another body, because building it anew takes
 * as long as sending it and every tool call waits for both.
 */
export class EventSender {
  readonly #client: Anthropic;
  readonly #fetch: typeof fetch;
  readonly #sessionId: string;
  #request: { readonly url: string; readonly init: RequestInit } | undefined;

  /** @param fetchFunction what `client` uses */
  constructor(client: Anthropic, fetchFunction: typeof fetch, sessionId: string) {
    this.#fetch = fetchFunction;
    this.#sessionId = sessionId;
    this.#client = client.withOptions({
      fetch: (url, init) => {
        if (typeof url === "string") this.#request = { url, init: { ...init, signal: null } };
        return fetchFunction(url, init);
      },
    });
  }

  /** @throws {Anthropic.APIError} a status from 400, or no answer (then without `status`). The abort reason */
  async send(params: SendParams, { signal, timeoutMs }: { readonly signal: AbortSignal; readonly timeoutMs: number }): Promise<void> {
    if (this.#request === undefined) {
      await this.#client.beta.sessions.events.send(this.#sessionId, params, { signal, timeout: timeoutMs });
      return;
    }
    const { url, init } = this.#request;
    const stop = new AbortController();
    const onAbort = (): void => stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
    const timer = setTimeout(() => stop.abort(new Anthropic.APIConnectionTimeoutError()), timeoutMs);
    try {
      const response = await this.#fetch(url, { ...init, body: JSON.stringify(params), signal: stop.signal });
      if (!response.ok) throw await refusal(response);
      await response.text();
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }
}

async function refusal(response: Response): Promise<Error> {
  const text = await response.text();
  let body: object | undefined;
  try {
    body = JSON.parse(text) as object;
  } catch {
    body = undefined; // a proxy in between: its text is all there is
  }
  return Anthropic.APIError.generate(response.status, body, body === undefined ? text.slice(0, 1_000) : undefined, response.headers);
}
