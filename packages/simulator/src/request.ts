import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import type { Credential } from "./credentials.ts";
import { ApiFailure } from "./failure.ts";
import { invalid } from "./send.ts";

/** A request that passed authentication. */
export interface ApiRequest {
  readonly parameters: ReadonlyMap<string, string>;
  readonly query: URLSearchParams;
  /** Parsed JSON; `undefined` when there was no body. */
  readonly body: unknown;
  readonly credential: Credential;
  readonly workerId: string | null;
  /** Aborts when the client left before it was answered. */
  readonly gone: AbortSignal;
}

/** What a handler answers: JSON, nothing (`body` undefined), or a response that it writes itself. */
export type Reply = { readonly status: number; readonly body: unknown } | { readonly stream: (response: ServerResponse) => void };

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

/** A whole number from the query. @throws {ApiFailure} 400: not one, or out of bounds */
export function integer(query: URLSearchParams, name: string, bounds: { readonly min: number; readonly max: number }): number | null {
  const text = query.get(name);
  if (text === null) return null;
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < bounds.min || value > bounds.max) {
    throw new ApiFailure(400, `${name}: must be a whole number from ${bounds.min} to ${bounds.max}.`);
  }
  return value;
}

/** A cursor is a position; opaque to clients. */
export function encodeCursor(position: number): string {
  return Buffer.from(`p${position}`).toString("base64url");
}

/** @throws {ApiFailure} 400 */
export function decodeCursor(query: URLSearchParams): number | null {
  const page = query.get("page");
  if (page === null || page === "") return null;
  const position = /^p(\d+)$/.exec(Buffer.from(page, "base64url").toString("utf8"))?.[1];
  if (position === undefined) throw new ApiFailure(400, "page: is not a cursor of this list.");
  return Number(position);
}

export interface Page<Item> {
  readonly data: readonly Item[];
  readonly next: number | null;
}

/** One page of a list that only grows at its end. */
export function pageOf<Item>(items: readonly Item[], query: URLSearchParams): Page<Item> {
  const limit = integer(query, "limit", { min: 1, max: 1000 }) ?? 100;
  const from = decodeCursor(query) ?? 0;
  const until = from + limit;
  return { data: items.slice(from, until), next: until < items.length ? until : null };
}
