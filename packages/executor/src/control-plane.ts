import Anthropic from "@anthropic-ai/sdk";
import type { ResolvedOptions } from "./options.ts";

/** A client of the control plane that holds exactly one credential, retries nothing by itself and logs nothing. */
export function controlPlaneClient(options: Pick<ResolvedOptions, "baseUrl">, credential: string, fetchFunction: typeof fetch): Anthropic {
  return new Anthropic({
    authToken: credential,
    apiKey: null,
    baseURL: options.baseUrl,
    maxRetries: 0,
    logLevel: "off",
    fetch: fetchFunction,
  });
}

/** HTTP status of a refusal, or `undefined` when no answer came. */
export function statusOf(error: unknown): number | undefined {
  const status = typeof error === "object" && error !== null && "status" in error ? error.status : undefined;
  return typeof status === "number" ? status : undefined;
}

/** A refusal that repeating does not change: any 4xx but 408, 409 and 429. No answer is never final. */
export function isFinal(error: unknown): boolean {
  const status = statusOf(error);
  return status !== undefined && status >= 400 && status < 500 && ![408, 409, 429].includes(status);
}

/** What `retry-after-ms` or `retry-after` (seconds, or a date) asks for, at most 60 s; 0 when nothing does. */
export function retryAfterMs(error: unknown): number {
  const headers = typeof error === "object" && error !== null && "headers" in error ? error.headers : undefined;
  return headers instanceof Headers ? (retryAfterIn(headers) ?? 0) : 0;
}

/** The same of an answer's headers; `undefined` when they ask for nothing. */
export function retryAfterIn(headers: Headers): number | undefined {
  const inMs = Number.parseFloat(headers.get("retry-after-ms") ?? "");
  if (Number.isFinite(inMs)) return bounded(inMs);
  const after = headers.get("retry-after");
  if (after === null) return undefined;
  const seconds = Number.parseFloat(after);
  return bounded(Number.isFinite(seconds) ? seconds * 1000 : Date.parse(after) - Date.now());
}

function bounded(ms: number): number | undefined {
  return Number.isFinite(ms) ? Math.min(60_000, Math.max(0, ms)) : undefined;
}
