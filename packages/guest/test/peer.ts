import { FrameParser, FrameType, FrameWriter } from "../src/frames.ts";
import type { GuestStream, GuestStreamReceiver } from "../src/guest-stream.ts";

export interface Received {
  readonly type: number;
  readonly stream: number;
  /** Of DATA: its bytes, in whatever pieces. */
  readonly payload: Uint8Array;
  readonly channel?: number;
}

const helloAnswer = {
  protocol: 1,
  boot: "boot-1",
  generation: 7,
  fenced: false,
  arch: "amd64",
  version: "test",
  user: { uid: 1000, gid: 1000, home: "/home/agent" },
  features: [],
};

export const exited = { code: 0, signal: null, timedOut: false, droppedBytes: { stdout: 0, stderr: 0 }, replayed: false };

/** The guest's end of a stream in memory: it says what a test tells it to, and shows what it was told. */
export class Peer {
  readonly stream: GuestStream;
  readonly frames: Received[] = [];
  /** How many times the client wrote. */
  writes = 0;
  /** What the next writes of the client return. */
  welcome = true;
  closed = false;
  readonly #writer = new FrameWriter();
  readonly #waiting: (() => void)[] = [];
  #receiver: GuestStreamReceiver | undefined;
  #at = 0;

  constructor() {
    const parser = new FrameParser({
      data: (stream, channel, bytes) => this.#note({ type: FrameType.data, stream, channel, payload: bytes.slice() }),
      frame: (type, stream, payload) => this.#note({ type, stream, payload: payload.slice() }),
    });
    this.stream = {
      start: (receiver) => {
        this.#receiver = receiver;
      },
      write: (chunks) => {
        this.writes++;
        for (const chunk of chunks) parser.push(chunk);
        return this.welcome;
      },
      close: () => {
        this.closed = true;
      },
    };
  }

  /** The client's next frame that was not taken yet. */
  async next(): Promise<Received> {
    for (;;) {
      const frame = this.frames[this.#at];
      if (frame !== undefined) {
        this.#at++;
        return frame;
      }
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#waiting.push(resolve);
      await promise;
    }
  }

  /** The next OPEN, with what it asks for; frames before it are passed over. */
  async nextOpen(): Promise<{ stream: number; request: Record<string, unknown> }> {
    for (;;) {
      const { type, stream, payload } = await this.next();
      if (type === FrameType.open) return { stream, request: jsonOf(payload) };
    }
  }

  async nextOf(type: number): Promise<Received> {
    for (;;) {
      const frame = await this.next();
      if (frame.type === type) return frame;
    }
  }

  /** Take the client's hello and answer it. */
  async greet(answer: object = {}): Promise<Record<string, unknown>> {
    const { payload } = await this.nextOf(FrameType.hello);
    this.json(FrameType.hello, 0, { ...helloAnswer, ...answer });
    return jsonOf(payload);
  }

  json(type: number, stream: number, value: object): void {
    this.#writer.json(type, stream, value);
    this.#deliver();
  }

  data(stream: number, channel: number, bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length; at += 65_536) this.#writer.data(stream, channel, bytes.slice(at, at + 65_536));
    this.#deliver();
  }

  end(stream: number, channel: number): void {
    this.#writer.end(stream, channel);
    this.#deliver();
  }

  window(stream: number, channel: number, bytes: number): void {
    this.#writer.window(stream, channel, bytes);
    this.#deliver();
  }

  ping(payload: Uint8Array): void {
    this.#writer.plain(FrameType.ping, 0, payload);
    this.#deliver();
  }

  pong(payload: Uint8Array): void {
    this.#writer.plain(FrameType.pong, 0, payload);
    this.#deliver();
  }

  raw(...bytes: number[]): void {
    if (!this.closed) this.#receiver?.bytes(Uint8Array.from(bytes));
  }

  drained(): void {
    this.welcome = true;
    this.#receiver?.drained();
  }

  /** The stream breaks. */
  cut(cause?: Error): void {
    if (!this.closed) this.#receiver?.closed(cause);
  }

  #deliver(): void {
    for (const chunk of this.#writer.take()) if (!this.closed) this.#receiver?.bytes(chunk);
  }

  #note(frame: Received): void {
    this.frames.push(frame);
    for (const wake of this.#waiting.splice(0)) wake();
  }
}

export function jsonOf(payload: Uint8Array): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
export const never: AbortSignal = new AbortController().signal;

export async function collected(stream: ReadableStream<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of stream) pieces.push(piece);
  return Buffer.concat(pieces);
}

export function streamOf(...chunks: Uint8Array[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start: (controller) => {
      for (const chunk of chunks) controller.enqueue(chunk);
      controller.close();
    },
  });
}
