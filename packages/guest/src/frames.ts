import type { SandboxError } from "@glovebox/core";
import { invalidRequest, violation } from "./failures.ts";

/** Frame types of `protocol.md`. */
export const FrameType = {
  hello: 1,
  open: 2,
  data: 3,
  end: 4,
  window: 5,
  event: 6,
  control: 7,
  result: 8,
  error: 9,
  cancel: 10,
  ping: 11,
  pong: 12,
  goaway: 13,
} as const;

/** The stream id of frames that are about the connection itself. */
export const CONNECTION = 0;
/** The most bytes of one DATA frame, its channel not counted. */
export const MAX_DATA_BYTES = 65_536;
/** What may be sent on a channel before the first WINDOW. */
export const INITIAL_WINDOW_BYTES = 262_144;

const HEADER_BYTES = 9;
const TYPE_AND_STREAM_BYTES = 5;
const MAX_PAYLOAD_BYTES = 1_048_576;

const json = [2, MAX_PAYLOAD_BYTES] as const;
/** Least and most payload bytes by frame type; an array, so that no number from the wire finds anything but these. */
const payloadBytes: readonly (readonly [number, number] | undefined)[] = [
  undefined,
  json,
  json,
  [2, 1 + MAX_DATA_BYTES],
  [1, 1],
  [5, 5],
  json,
  json,
  json,
  json,
  [0, 0],
  [8, 8],
  [8, 8],
  json,
];

export interface FrameSink {
  /** A piece of a DATA frame, as it came; never empty. A frame may come in several. */
  data(stream: number, channel: number, bytes: Uint8Array): void;
  /** Any other frame, whole. Of `payload` only a copy may be kept. */
  frame(type: number, stream: number, payload: Uint8Array): void;
}

/**
 * Bytes in, frames out, however they are cut. DATA is passed on without a copy; of all else at most one payload is held.
 * What `push` throws, the sink's own errors included, ends the parser.
 */
export class FrameParser {
  readonly #sink: FrameSink;
  readonly #header = new Uint8Array(HEADER_BYTES);
  #headerHas = 0;
  #type = 0;
  #stream = 0;
  /** Payload bytes of the frame under way that have not come yet; -1 between frames. */
  #missing = -1;
  /** Of a DATA frame; -1 until its byte has come. */
  #channel = -1;
  #payload: Uint8Array | undefined;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws {SandboxError} `unavailable`, reason `protocol_violation`: length, type or payload size out of range */
  push(chunk: Uint8Array): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#missing < 0) at = this.#takeHeader(chunk, at);
      else if (this.#type === FrameType.data) at = this.#takeData(chunk, at);
      else at = this.#takePayload(chunk, at);
    }
  }

  #takeHeader(chunk: Uint8Array, from: number): number {
    const taken = Math.min(HEADER_BYTES - this.#headerHas, chunk.length - from);
    if (taken === HEADER_BYTES) {
      this.#begin(chunk, from);
      return from + taken;
    }
    this.#header.set(chunk.subarray(from, from + taken), this.#headerHas);
    this.#headerHas += taken;
    if (this.#headerHas >= 4) checkLength(readUint32(this.#header, 0)); // as soon as it is known
    if (this.#headerHas === HEADER_BYTES) {
      this.#headerHas = 0;
      this.#begin(this.#header, 0);
    }
    return from + taken;
  }

  #begin(header: Uint8Array, at: number): void {
    const length = readUint32(header, at);
    checkLength(length);
    const type = header[at + 4] ?? 0;
    const bounds = payloadBytes[type];
    if (bounds === undefined) throw violation(`frame type ${type}`);
    const size = length - TYPE_AND_STREAM_BYTES;
    if (size < bounds[0] || size > bounds[1]) throw violation(`a frame of type ${type} with a length of ${length}`);
    this.#type = type;
    this.#stream = readUint32(header, at + 5);
    this.#channel = -1;
    this.#missing = size;
    if (size === 0) this.#finish(header.subarray(0, 0));
  }

  #takeData(chunk: Uint8Array, from: number): number {
    let at = from;
    if (this.#channel < 0) {
      this.#channel = chunk[at++] ?? 0;
      this.#missing--;
      if (at === chunk.length) return at;
    }
    const end = Math.min(at + this.#missing, chunk.length);
    this.#missing -= end - at;
    const [stream, channel] = [this.#stream, this.#channel];
    if (this.#missing === 0) this.#missing = -1;
    this.#sink.data(stream, channel, chunk.subarray(at, end));
    return end;
  }

  #takePayload(chunk: Uint8Array, from: number): number {
    const available = chunk.length - from;
    if (this.#payload === undefined && available >= this.#missing) {
      const end = from + this.#missing;
      this.#finish(chunk.subarray(from, end));
      return end;
    }
    this.#payload ??= new Uint8Array(this.#missing);
    const taken = Math.min(available, this.#missing);
    this.#payload.set(chunk.subarray(from, from + taken), this.#payload.length - this.#missing);
    this.#missing -= taken;
    if (this.#missing === 0) this.#finish(this.#payload);
    return from + taken;
  }

  #finish(payload: Uint8Array): void {
    this.#missing = -1;
    this.#payload = undefined;
    this.#sink.frame(this.#type, this.#stream, payload);
  }
}

function checkLength(length: number): void {
  if (length < TYPE_AND_STREAM_BYTES || length > TYPE_AND_STREAM_BYTES + MAX_PAYLOAD_BYTES) throw violation(`a frame with a length of ${length}`);
}

export function readUint32(bytes: Uint8Array, at: number): number {
  return (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0;
}

const SCRATCH_BYTES = 65_536;
/** Up to here a copy into the frame before it is cheaper than a buffer of its own. */
const COPIED_BYTES = 8_192;
const encoder = new TextEncoder();

/** Collects frames until they are taken, small ones in one buffer, so that a call goes out in one write. */
export class FrameWriter {
  readonly #scratch = new Uint8Array(SCRATCH_BYTES);
  #from = 0;
  #used = 0;
  #chunks: Uint8Array[] = [];

  /** @throws {SandboxError} `invalid_argument`, effect `none`, with nothing written: larger than a frame may be, or text that UTF-8 cannot say */
  json(type: number, stream: number, value: object): void {
    const text = JSON.stringify(value);
    // `stringify` escapes lone surrogates, and the guest would read them as U+FFFD: another path than was meant.
    if (text.includes("\\ud") && !isWellFormed(value)) throw invalidRequest("the request holds a lone surrogate, which UTF-8 cannot say");
    if (text.length > MAX_PAYLOAD_BYTES) throw tooLarge(text.length);
    if (text.length * 3 + HEADER_BYTES <= SCRATCH_BYTES) {
      this.#reserve(HEADER_BYTES + text.length * 3);
      const at = this.#used;
      const { written } = encoder.encodeInto(text, this.#scratch.subarray(at + HEADER_BYTES));
      this.#header(type, stream, written);
      this.#used += written;
      return;
    }
    const payload = encoder.encode(text);
    if (payload.length > MAX_PAYLOAD_BYTES) throw tooLarge(payload.length);
    this.#header(type, stream, payload.length);
    this.#append(payload);
  }

  /** @param bytes 1 to {@link MAX_DATA_BYTES}; not to be changed any more */
  data(stream: number, channel: number, bytes: Uint8Array): void {
    this.#reserve(HEADER_BYTES + 1);
    this.#header(FrameType.data, stream, 1 + bytes.length);
    this.#scratch[this.#used++] = channel;
    this.#append(bytes);
  }

  end(stream: number, channel: number): void {
    this.#reserve(HEADER_BYTES + 1);
    this.#header(FrameType.end, stream, 1);
    this.#scratch[this.#used++] = channel;
  }

  window(stream: number, channel: number, bytes: number): void {
    this.#reserve(HEADER_BYTES + 5);
    this.#header(FrameType.window, stream, 5);
    this.#scratch[this.#used++] = channel;
    this.#uint32(bytes);
  }

  /** CANCEL, PING or PONG. */
  plain(type: number, stream: number, payload: Uint8Array): void {
    this.#reserve(HEADER_BYTES + payload.length);
    this.#header(type, stream, payload.length);
    this.#append(payload);
  }

  /** What was written since the last call, in order. */
  take(): readonly Uint8Array[] {
    this.#cut();
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#from = this.#used = 0;
    return chunks;
  }

  #header(type: number, stream: number, size: number): void {
    this.#reserve(HEADER_BYTES);
    this.#uint32(TYPE_AND_STREAM_BYTES + size);
    this.#scratch[this.#used++] = type;
    this.#uint32(stream);
  }

  #uint32(value: number): void {
    const scratch = this.#scratch;
    scratch[this.#used++] = value >>> 24;
    scratch[this.#used++] = value >>> 16;
    scratch[this.#used++] = value >>> 8;
    scratch[this.#used++] = value;
  }

  #append(bytes: Uint8Array): void {
    if (bytes.length <= COPIED_BYTES && bytes.length <= SCRATCH_BYTES - this.#used) {
      this.#scratch.set(bytes, this.#used);
      this.#used += bytes.length;
      return;
    }
    this.#cut();
    this.#chunks.push(bytes);
  }

  /** Make room for a piece that is written in one go. */
  #reserve(bytes: number): void {
    if (SCRATCH_BYTES - this.#used >= bytes) return;
    this.#cut();
    this.#from = this.#used = 0;
  }

  /** Copied, because a stream may hold what it was given long after the scratch is written again. */
  #cut(): void {
    if (this.#used > this.#from) this.#chunks.push(this.#scratch.slice(this.#from, this.#used));
    this.#from = this.#used;
  }
}

function isWellFormed(value: unknown): boolean {
  if (typeof value === "string") return value.isWellFormed();
  if (typeof value !== "object" || value === null) return true;
  return Object.entries(value).every(([key, member]) => key.isWellFormed() && isWellFormed(member));
}

const tooLarge = (bytes: number): SandboxError =>
  invalidRequest(`the request has ${bytes} bytes, at most ${MAX_PAYLOAD_BYTES} fit; pass long arguments by a file`);
