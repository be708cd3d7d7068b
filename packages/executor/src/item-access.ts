import type { Observe } from "./events.ts";
import type { ResolvedOptions } from "./options.ts";
import type { ClaimedWork } from "./poller.ts";

/** Where an item's requests go, and what they carry. */
export interface ItemAccess {
  readonly baseUrl: string;
  readonly credential: string;
  readonly fetch: typeof fetch;
}

export interface ItemAccessOptions {
  readonly options: Pick<ResolvedOptions, "baseUrl" | "allowedBaseUrls" | "environmentKey">;
  readonly fetch: typeof fetch;
  readonly observe: Observe;
}

/**
 * An item's own token goes to the base URL that came with it where the operator allows that one, else to the configured one. The environment's key goes
 * to the configured one alone: in place of a token that is missing, or that is refused (401).
 */
export function itemAccess({ workId, secret }: ClaimedWork, { options, fetch: fetchFunction, observe }: ItemAccessOptions): ItemAccess {
  const { baseUrl, environmentKey } = options;
  if (secret === undefined) return { baseUrl, credential: environmentKey, fetch: fetchFunction };
  const { token, apiBaseUrl } = secret;
  if (apiBaseUrl !== undefined && !sameUrl(apiBaseUrl, baseUrl)) {
    if (options.allowedBaseUrls.some((allowed) => sameUrl(allowed, apiBaseUrl)))
      return { baseUrl: apiBaseUrl, credential: token, fetch: fetchFunction };
    observe({ type: "item.base_url_refused", workId, origin: originOf(apiBaseUrl) });
  }
  const onRefused = (): void => observe({ type: "item.token_refused", workId });
  return { baseUrl, credential: token, fetch: withFallback(fetchFunction, environmentKey, onRefused) };
}

/** Requests whose credential is refused are made again with another, and so are all after it. */
function withFallback(fetchFunction: typeof fetch, credential: string, onRefused: () => void): typeof fetch {
  let fellBack = false;
  return async (input, init) => {
    const instead = async (): Promise<Response> => {
      const headers = new Headers(init?.headers);
      headers.set("authorization", `Bearer ${credential}`);
      return await fetchFunction(input, { ...init, headers });
    };
    if (fellBack) return await instead();
    const response = await fetchFunction(input, init);
    if (response.status !== 401) return response;
    if (!fellBack) onRefused();
    fellBack = true;
    return await instead();
  };
}

/** Whether two URLs are the same, but for a slash at the end. */
function sameUrl(left: string, right: string): boolean {
  const [a, b] = [left, right].map((text) => URL.parse(text)?.href.replace(/\/+$/u, ""));
  return a !== undefined && a === b;
}

/** All that is told of a URL that came in a secret. */
function originOf(text: string): string {
  return URL.parse(text)?.origin ?? "no URL";
}
