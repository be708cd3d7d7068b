import {
  Agent as HttpAgent,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
  type OutgoingHttpHeaders,
  type RequestOptions,
} from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { Duplex, Readable } from "node:stream";
import { SandboxError, settleOrDiscard } from "@glovebox/core";
import type { EngineAddress } from "./address.ts";
import { EngineFailure, EngineUnreachable } from "./errors.ts";
import { demultiplex } from "./hijacked.ts";

/** The API version that this client speaks: that of engine 20.10. */
const API_VERSION = "1.41";
const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;
const REQUEST_MS = 60_000;

export interface EngineRequest {
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Sent as a tar archive. */
  readonly archive?: Uint8Array | Readable;
  readonly signal?: AbortSignal;
  /** Until the whole answer is there. Default 60,000; 0: none. */
  readonly timeoutMs?: number;
}

/** A client of the engine's HTTP API. Makes no request before it is asked to. */
export class Engine {
  readonly address: EngineAddress;
  readonly #agent: HttpAgent;
  #version: Promise<string> | undefined;

  constructor(address: EngineAddress) {
    this.address = address;
    const pool = { keepAlive: true, maxSockets: 64, maxFreeSockets: 8, timeout: 30_000 };
    this.#agent = address.tls === undefined ? new HttpAgent(pool) : new HttpsAgent(pool);
  }

  /**
   * Ask, and read the whole answer: JSON where the engine sends JSON, else bytes.
   * @throws {EngineFailure} a status from 400. {@link EngineUnreachable}: no answer. The abort reason as it is
   */
  async json<T>(method: string, path: string, request: EngineRequest = {}): Promise<T> {
    const bytes = await this.bytes(method, path, request);
    return (bytes.length === 0 ? undefined : JSON.parse(bytes.toString("utf8"))) as T;
  }

  /** As {@link Engine.json}, unparsed. An image import reports its failure in a body with status 200: the caller looks. */
  async bytes(method: string, path: string, request: EngineRequest = {}): Promise<Buffer> {
    return await this.#send(method, `/v${await this.#negotiated(request.signal)}${path}`, request);
  }

  /**
   * Ask for a connection of its own, as exec start does, and read its stdout and write its stdin.
   * @param report told each piece of what the program wrote to stderr
   */
  async hijack(path: string, body: unknown, signal: AbortSignal, report: (text: string) => void): Promise<Duplex> {
    const version = await this.#negotiated(signal);
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Duplex>();
    const content = JSON.stringify(body);
    const request = this.#request("POST", `/v${version}${path}`, {
      agent: false,
      headers: { "content-type": "application/json", "content-length": Buffer.byteLength(content), connection: "Upgrade", upgrade: "tcp" },
    });
    const onAbort = (): void => {
      reject(signal.reason);
      request.destroy();
    };
    signal.addEventListener("abort", onAbort, { once: true });
    request.on("upgrade", (_response, socket, head) => resolve(demultiplex(socket, head, report)));
    request.on("response", (response) => {
      collect(response).then((answer) => reject(failure(response.statusCode ?? 0, answer)), reject);
    });
    request.on("error", (error) => reject(this.#unreachable(error)));
    request.end(content);
    try {
      return await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #negotiated(signal: AbortSignal | undefined): Promise<string> {
    this.#version ??= this.#negotiate();
    const version = this.#version;
    version.catch(() => {
      if (this.#version === version) this.#version = undefined; // asked again by the next call: the engine may have come up
    });
    // the question is everybody's, so an abort ends only the waiting
    return signal === undefined ? await version : await settleOrDiscard(version, signal, nothing, () => undefined);
  }

  async #negotiate(): Promise<string> {
    const answer = JSON.parse((await this.#send("GET", "/version", {})).toString("utf8")) as { ApiVersion?: string; MinAPIVersion?: string };
    const newest = answer.ApiVersion ?? "0.0";
    if (older(newest, API_VERSION)) {
      const message = `the engine at ${this.address.name} speaks API ${newest}; ${API_VERSION} (Docker 20.10) is the oldest that will do: update the engine`;
      throw new SandboxError("failed_precondition", message, { effect: "none" });
    }
    const oldest = answer.MinAPIVersion ?? API_VERSION;
    return older(API_VERSION, oldest) ? oldest : API_VERSION;
  }

  async #send(method: string, path: string, { query, body, archive, signal, timeoutMs = REQUEST_MS }: EngineRequest): Promise<Buffer> {
    signal?.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    const search = query === undefined ? "" : `?${new URLSearchParams(query).toString()}`;
    const content = body === undefined ? (archive instanceof Uint8Array ? archive : undefined) : Buffer.from(JSON.stringify(body));
    const request = this.#request(method, path + search, {
      agent: this.#agent,
      headers: {
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...(archive === undefined ? {} : { "content-type": "application/x-tar" }),
        ...(archive !== undefined && content === undefined ? {} : { "content-length": content?.length ?? 0 }),
      },
    });
    const stop = (reason: unknown): void => {
      reject(reason);
      request.destroy();
    };
    const onAbort = (): void => stop(signal?.reason);
    signal?.addEventListener("abort", onAbort, { once: true });
    const timer =
      timeoutMs === 0 ? undefined : setTimeout(() => stop(this.#unreachable(Object.assign(new Error("time-out"), { code: "ETIMEDOUT" }))), timeoutMs);
    request.on("response", (response) => {
      const status = response.statusCode ?? 0;
      collect(response).then((bytes) => (status >= 400 || status === 0 ? reject(failure(status, bytes)) : resolve(bytes)), stop);
    });
    request.on("error", (error) => reject(this.#unreachable(error)));
    if (archive !== undefined && content === undefined) (archive as Readable).on("error", stop).pipe(request);
    else request.end(content);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    }
  }

  #request(method: string, path: string, options: Omit<RequestOptions, "headers"> & { readonly headers?: OutgoingHttpHeaders }): ClientRequest {
    const { socketPath, host, port, tls } = this.address;
    const where = socketPath === undefined ? { host, port } : { socketPath };
    const headers = { host: "docker", ...options.headers };
    return tls === undefined
      ? httpRequest({ ...options, ...where, method, path, headers })
      : httpsRequest({ ...options, ...where, ...tls, method, path, headers });
  }

  #unreachable(error: Error & { code?: string }): EngineUnreachable {
    return new EngineUnreachable(error.code ?? error.name, this.address.name, { cause: error });
  }
}

const nothing = async (): Promise<void> => {};

function older(a: string, b: string): boolean {
  const [majorA = 0, minorA = 0] = a.split(".").map(Number);
  const [majorB = 0, minorB = 0] = b.split(".").map(Number);
  return majorA < majorB || (majorA === majorB && minorA < minorB);
}

async function collect(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > MAX_RESPONSE_BYTES)
      throw new SandboxError("internal", `the engine's answer has more than ${MAX_RESPONSE_BYTES} bytes`, { effect: "unknown" });
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, length);
}

function failure(status: number, body: Buffer): EngineFailure {
  const text = body.toString("utf8");
  let message: unknown;
  try {
    message = (JSON.parse(text) as { message?: unknown }).message;
  } catch {
    message = undefined; // a proxy in between, or no body: the text is all there is
  }
  return new EngineFailure(status, typeof message === "string" ? message : text.trim().slice(0, 500) || `status ${status}`);
}
