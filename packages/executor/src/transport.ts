import { Agent as HttpAgent, type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";

/**
 * A `fetch` for an API that answers in JSON, in event streams and in bytes: every tool call waits for one request and one event, and the global one takes
 * twice the time. It follows no redirect, which would take the credential elsewhere, and asks for no compression. `HTTPS_PROXY`, `HTTP_PROXY` and
 * `NO_PROXY` hold.
 */
export function apiFetch(): typeof fetch {
  const options = { keepAlive: true, maxFreeSockets: 64, scheduling: "lifo", proxyEnv: process.env } as const;
  const agents = { "http:": new HttpAgent(options), "https:": new HttpsAgent(options) } as const;
  return async (input, { method = "GET", headers, body, signal } = {}) => {
    if (typeof input !== "string" || (typeof body !== "string" && body !== undefined && body !== null)) {
      throw new TypeError("this fetch takes a URL and a body in text");
    }
    signal?.throwIfAborted();
    const url = new URL(input);
    const content = typeof body === "string" ? Buffer.from(body) : undefined;
    const fields: Record<string, string> = content === undefined ? {} : { "content-length": String(content.length) };
    new Headers(headers).forEach((value, name) => (fields[name] = value));
    const request =
      url.protocol === "https:"
        ? httpsRequest(url, { method, headers: fields, agent: agents["https:"] })
        : httpRequest(url, { method, headers: fields, agent: agents["http:"] });
    const abort = (): void => void request.destroy(signal?.reason);
    signal?.addEventListener("abort", abort, { once: true });
    const settled = (): void => signal?.removeEventListener("abort", abort);
    request.end(content);
    try {
      const answer = await answerTo(request);
      if (isStream(answer)) return new Response(bodyOf(answer, signal, settled), answerInit(answer));
      const text = await textOf(answer);
      settled();
      return new WholeResponse(text, answerInit(answer));
    } catch (cause) {
      settled();
      signal?.throwIfAborted();
      throw new TypeError("fetch failed", { cause });
    }
  };
}

/** A response whose body is there; reading it takes no stream. */
class WholeResponse extends Response {
  readonly #text: string;

  constructor(text: string, init: ResponseInit) {
    super(null, init);
    this.#text = text;
  }

  override async text(): Promise<string> {
    return this.#text;
  }

  override async json(): Promise<unknown> {
    return JSON.parse(this.#text);
  }
}

function answerTo(request: ClientRequest): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  request.once("response", resolve);
  request.on("error", reject);
  return promise;
}

function answerInit({ statusCode = 0, statusMessage = "", headers }: IncomingMessage): ResponseInit {
  const fields = Object.entries(headers).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value ?? ""]).map((one): [string, string] => [name, one]),
  );
  return { status: statusCode, statusText: statusMessage, headers: fields };
}

/** Whether its body is handed on as it comes. */
function isStream({ statusCode, headers }: IncomingMessage): boolean {
  const type = headers["content-type"];
  return statusCode === 200 && type !== undefined && !type.startsWith("application/json");
}

function textOf(answer: IncomingMessage): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  answer.on("data", (chunk: Buffer) => chunks.push(chunk));
  answer.on("end", () => resolve(Buffer.concat(chunks).toString("utf8")));
  answer.on("error", reject);
  answer.on("close", () => reject(new Error("the connection ended in the middle of the answer"))); // after `end` it changes nothing
  return promise;
}

/** With back-pressure. Ends in an error when the connection does before the answer, and with the reason of an abort. */
function bodyOf(answer: IncomingMessage, signal: AbortSignal | null | undefined, settled: () => void): ReadableStream<Uint8Array> {
  let over = false;
  const finish = (how: () => void): void => {
    if (over) return;
    over = true;
    settled();
    how();
  };
  return new ReadableStream<Uint8Array>(
    {
      start: (controller) => {
        answer.on("data", (chunk: Buffer) => {
          if (over) return;
          controller.enqueue(chunk);
          if ((controller.desiredSize ?? 0) <= 0) answer.pause();
        });
        answer.on("end", () => finish(() => controller.close()));
        const fail = (error: Error): void => finish(() => controller.error(signal?.aborted === true ? signal.reason : error));
        answer.on("error", fail);
        answer.on("close", () => fail(new TypeError("the connection ended in the middle of the stream")));
      },
      pull: () => void answer.resume(),
      cancel: () =>
        finish(() => {
          answer.destroy();
        }),
    },
    { highWaterMark: 8 },
  );
}
