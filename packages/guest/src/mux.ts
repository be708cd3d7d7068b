import type { SandboxError } from "@glovebox/core";
import { violation } from "./failures.ts";
import { FrameType, type FrameWriter, INITIAL_WINDOW_BYTES, MAX_DATA_BYTES, readUint32 } from "./frames.ts";
import type { JsonObject } from "./json.ts";

/** Channels of a call: the client sends on `input`, the guest on the others. */
export const Channel = { input: 0, output: 1, errors: 2 } as const;
export type OutputChannelNumber = 1 | 2;

/** What becomes of a call. What it throws ends the connection: it is how a handler refuses what the guest may not say. */
export interface CallHandler {
  /** Bytes that came in order. They count against the window until {@link CallStream.consumed} is told. */
  data(channel: OutputChannelNumber, bytes: Uint8Array): void;
  end(channel: OutputChannelNumber): void;
  event(event: JsonObject): void;
  /** It ended well. Nothing follows. */
  result(result: JsonObject): void;
  /** It failed, or its connection did, which is then `GuestConnection.failure` itself. Nothing follows. */
  fail(error: SandboxError): void;
}

/** What a call needs of its connection. */
export interface StreamOwner {
  readonly writer: FrameWriter;
  /** Whether the stream asked to wait with more. */
  readonly full: boolean;
  /** Call {@link CallStream.pump} when it is not full any more. */
  waitForRoom(call: CallStream): void;
  forget(call: CallStream): void;
  flush(): void;
}

const GRANT_BYTES = INITIAL_WINDOW_BYTES / 2;
const MAX_WINDOW_BYTES = 2 ** 31 - 1;

const discarding: Omit<CallHandler, "data"> = { end: () => undefined, event: () => undefined, result: () => undefined, fail: () => undefined };

/** One stream of a connection, seen from the client. */
export class CallStream {
  readonly id: number;
  readonly #owner: StreamOwner;
  #handler: CallHandler;
  #over = false;

  #sendWindow = INITIAL_WINDOW_BYTES;
  #queue: Uint8Array[] = [];
  #queueAt = 0;
  #endWanted = false;
  #endSent = false;
  #emptied: PromiseWithResolvers<void> | undefined;

  readonly #window: [number, number, number] = [0, INITIAL_WINDOW_BYTES, INITIAL_WINDOW_BYTES];
  readonly #used: [number, number, number] = [0, 0, 0];
  readonly #ended: [boolean, boolean, boolean] = [true, false, false];

  constructor(owner: StreamOwner, id: number, handler: CallHandler) {
    this.#owner = owner;
    this.id = id;
    this.#handler = handler;
  }

  /** Whether RESULT, ERROR or the end of the connection has come, or it was cancelled: what is sent goes nowhere. */
  get over(): boolean {
    return this.#over;
  }

  /** Whether all input and its END have been handed to the stream. */
  get inputSent(): boolean {
    return this.#endSent;
  }

  /** All of the input, together with OPEN. */
  begin(input: readonly Uint8Array[]): void {
    this.#queue.push(...input.filter((bytes) => bytes.length > 0));
    this.#endWanted = true;
    this.pump();
  }

  /**
   * Send input, in order. The bytes are not to be changed any more.
   * @returns when it is all on its way or the call is over; at once (`undefined`) when there was room
   */
  send(bytes: Uint8Array): Promise<void> | undefined {
    if (this.#over || bytes.length === 0) return undefined;
    this.#queue.push(bytes);
    this.pump();
    this.#owner.flush();
    if (this.#queue.length === 0) return undefined;
    this.#emptied ??= Promise.withResolvers();
    return this.#emptied.promise;
  }

  /** No more input. */
  finish(): void {
    this.#endWanted = true;
    this.pump();
    this.#owner.flush();
  }

  control(request: { readonly control: string } & JsonObject): void {
    if (this.#over) return;
    this.#owner.writer.json(FrameType.control, this.id, request);
    this.#owner.flush();
  }

  /** Stop it. The handler hears nothing any more; what still comes is dropped as it comes. */
  cancel(): void {
    if (this.#over) return;
    this.#handler = { ...discarding, data: (channel, bytes) => this.consumed(channel, bytes.length) };
    this.#owner.writer.plain(FrameType.cancel, this.id, new Uint8Array(0));
    this.#owner.flush();
    this.#stopSending();
  }

  /** So many bytes of a channel were used; the guest may send as many again. */
  consumed(channel: OutputChannelNumber, bytes: number): void {
    this.#used[channel] += bytes;
    if (this.#used[channel] < GRANT_BYTES || this.#ended[channel]) return;
    this.#owner.writer.window(this.id, channel, this.#used[channel]);
    this.#window[channel] += this.#used[channel];
    this.#used[channel] = 0;
    this.#owner.flush();
  }

  /** Write what the window and the stream have room for. */
  pump(): void {
    while (this.#sendWindow > 0 && !this.#over) {
      const bytes = this.#queue[0];
      if (bytes === undefined) break;
      if (this.#owner.full) return this.#owner.waitForRoom(this);
      const size = Math.min(bytes.length - this.#queueAt, this.#sendWindow, MAX_DATA_BYTES);
      this.#owner.writer.data(this.id, Channel.input, bytes.subarray(this.#queueAt, this.#queueAt + size));
      this.#sendWindow -= size;
      this.#queueAt += size;
      if (this.#queueAt === bytes.length) {
        this.#queue.shift();
        this.#queueAt = 0;
      }
    }
    if (this.#queue.length > 0) return;
    if (this.#endWanted && !this.#endSent && !this.#over) {
      this.#endSent = true;
      this.#owner.writer.end(this.id, Channel.input);
    }
    this.#emptied?.resolve();
    this.#emptied = undefined;
  }

  // What the connection tells.

  data(channel: number, bytes: Uint8Array): void {
    const known = outputChannel(channel);
    if (this.#ended[known]) throw violation("DATA after END");
    this.#window[known] -= bytes.length;
    if (this.#window[known] < 0) throw violation("DATA beyond the window");
    this.#handler.data(known, bytes);
  }

  end(channel: number): void {
    const known = outputChannel(channel);
    if (this.#ended[known]) throw violation("a second END");
    this.#ended[known] = true;
    this.#handler.end(known);
  }

  widen(payload: Uint8Array): void {
    const bytes = readUint32(payload, 1);
    if (payload[0] !== Channel.input || bytes === 0) throw violation("a WINDOW that grants nothing");
    this.#sendWindow += bytes;
    if (this.#sendWindow > MAX_WINDOW_BYTES) throw violation("a window beyond all bounds");
    this.pump();
  }

  event(event: JsonObject): void {
    this.#handler.event(event);
  }

  result(result: JsonObject): void {
    this.#handler.result(result);
    this.#stopSending();
  }

  fail(error: SandboxError): void {
    this.#handler.fail(error);
    this.#stopSending();
  }

  #stopSending(): void {
    this.#over = true;
    this.#queue = [];
    this.#owner.forget(this);
    this.#emptied?.resolve();
    this.#emptied = undefined;
  }
}

function outputChannel(channel: number): OutputChannelNumber {
  if (channel !== Channel.output && channel !== Channel.errors) throw violation(`channel ${channel}`);
  return channel;
}
