import { startSimulator, type Simulator, type SimulatorOptions } from "@glovebox/simulator";

/** What an answer or a frame holds; tests state its shape by what they expect of it. */
// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Json;
}

export interface CallOptions {
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** Raw HTTP with one credential, so that tests say exactly what goes over the wire. */
export class Client {
  readonly credential: string;
  readonly #base: string;

  constructor(base: string, credential: string) {
    this.#base = base;
    this.credential = credential;
  }

  async call(method: string, path: string, { body, headers = {}, signal }: CallOptions = {}): Promise<Answer> {
    const response = await fetch(this.#base + path, {
      method,
      headers: {
        authorization: `Bearer ${this.credential}`,
        "anthropic-beta": "managed-agents-2026-04-01",
        "anthropic-version": "2026-10-21",
        ...(body === undefined ? {} : { "content-type": "application/json" }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === "" ? undefined : JSON.parse(text) };
  }

  get(path: string, options?: CallOptions): Promise<Answer> {
    return this.call("GET", path, options);
  }

  post(path: string, body?: unknown, options?: CallOptions): Promise<Answer> {
    return this.call("POST", path, { ...options, ...(body === undefined ? {} : { body }) });
  }
}

/** A simulator with clients and paths, closed with the test. */
export interface Bench extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly application: Client;
  readonly worker: Client;
  /** `/v1/environments/{id}/work` */
  readonly work: string;
  client(credential: string): Client;
}

export async function bench(options: SimulatorOptions = {}): Promise<Bench> {
  const simulator = await startSimulator(options);
  const client = (credential: string): Client => new Client(simulator.url, credential);
  return {
    simulator,
    application: client(simulator.apiKey),
    worker: client(simulator.environmentKey),
    work: `/v1/environments/${simulator.environmentId}/work`,
    client,
    [Symbol.asyncDispose]: () => simulator[Symbol.asyncDispose](),
  };
}

/** The token inside a work secret. */
export function tokenOf(secret: string): string {
  return JSON.parse(Buffer.from(secret, "base64url").toString("utf8")).sessions_token;
}

export interface Frame {
  readonly name: string | null;
  readonly data: Json;
  readonly raw: string;
}

/** An event stream, read as bytes arrive. */
export class FrameReader implements AsyncDisposable {
  readonly status: number;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #text = "";

  constructor(response: Response) {
    if (response.body === null) throw new Error("no body");
    this.status = response.status;
    this.#reader = response.body.getReader();
  }

  /** The next whole frame; `null` at a clean end. Throws when the connection breaks. */
  async next(): Promise<Frame | null> {
    for (;;) {
      const end = /\r?\n\r?\n/.exec(this.#text);
      if (end !== null) {
        const raw = this.#text.slice(0, end.index + end[0].length);
        this.#text = this.#text.slice(raw.length);
        return toFrame(raw);
      }
      const { done, value } = await this.#reader.read();
      if (done) return null;
      this.#text += this.#decoder.decode(value, { stream: true });
    }
  }

  /** Frames up to and including the first of an event `type`. */
  async until(type: string): Promise<readonly Frame[]> {
    const frames: Frame[] = [];
    for (;;) {
      const frame = await this.next();
      if (frame === null) throw new Error(`the stream ended before ${type}`);
      frames.push(frame);
      if (frame.data?.type === type) return frames;
    }
  }

  /** Text received that is no whole frame. */
  get rest(): string {
    return this.#text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#reader.cancel().catch(() => undefined);
  }
}

export async function openStream(base: string, credential: string, sessionId: string, query = ""): Promise<FrameReader> {
  const response = await fetch(`${base}/v1/sessions/${sessionId}/events/stream${query}`, {
    headers: { authorization: `Bearer ${credential}`, "anthropic-beta": "managed-agents-2026-04-01", accept: "application/json" },
  });
  return new FrameReader(response);
}

function toFrame(raw: string): Frame {
  const line = (name: string): string | null => new RegExp(`^${name}: (.*?)\r?$`, "m").exec(raw)?.[1] ?? null;
  const data = line("data");
  let parsed: unknown = data;
  try {
    parsed = data === null ? null : JSON.parse(data);
  } catch {
    parsed = data;
  }
  return { name: line("event"), data: parsed, raw };
}
