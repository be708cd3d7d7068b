import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import type { Credential } from "./credentials.ts";
import type { EndpointName } from "./endpoints.ts";
import { ApiFailure } from "./failure.ts";
import type { LoggedRequest } from "./request-log.ts";
import { invalid } from "./send.ts";

/** A request that passed authentication. */
export interface ApiRequest {
  readonly parameters: ReadonlyMap<string, string>;
  readonly query: URLSearchParams;
  /** Parsed JSON; `undefined` when there was no body, or one of another type. */
  readonly body: unknown;
  /** The body as it came. */
  readonly bytes: Buffer;
  readonly contentType: string | null;
  /** Values of `anthropic-beta`. */
  readonly betas: readonly string[];
  readonly credential: Credential;
  readonly workerId: string | null;
  /** Aborts when the client left before it was answered. */
  readonly gone: AbortSignal;
}

/** What a handler answers: JSON, nothing (`body` undefined), bytes, or a response that it writes itself. */
export type Reply =
  | { readonly status: number; readonly body: unknown; readonly delivered?: LoggedRequest["delivered"] }
  | { readonly bytes: Uint8Array; readonly contentType: string }
  | { readonly stream: (response: ServerResponse) => void };

export type Handler = (request: ApiRequest) => Reply | Promise<Reply>;

export type Handlers<Name extends EndpointName = EndpointName> = Readonly<Record<Name, Handler>>;

/** Handlers of all endpoints whose name begins with one of these words. */
export type HandlersOf<Family extends string> = Handlers<Extract<EndpointName, `${Family}.${string}`>>;

export const ok = (body: unknown): Reply => ({ status: 200, body });

const maxBodyBytes = 32 * 1024 * 1024;

/** @throws {ApiFailure} 413, once the rest was read and thrown away: a client that still sends would not see the answer */
export async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) chunks.length = 0;
    else chunks.push(chunk);
  }
  if (bytes > maxBodyBytes) throw new ApiFailure(413, `The request body is larger than ${maxBodyBytes} bytes.`);
  return Buffer.concat(chunks);
}

/** @throws {ApiFailure} 400 */
export function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    throw new ApiFailure(400, "The request body is not valid JSON.");
  }
}

/** @throws {ApiFailure} 400, naming the first wrong field */
export function parseWith<Output>(schema: z.ZodType<Output>, value: unknown): Output {
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(parsed.error);
  return parsed.data;
}

export function parameter(request: ApiRequest, name: string): string {
  return request.parameters.get(name) ?? "";
}

/** One of a few words from the query. @throws {ApiFailure} 400 */
export function choice<const Word extends string>(query: URLSearchParams, name: string, words: readonly Word[]): Word | null {
  const text = query.get(name);
  if (text === null) return null;
  const word = words.find((each) => each === text);
  if (word === undefined) throw new ApiFailure(400, `${name}: must be one of ${words.join(", ")}.`);
  return word;
}
