import { SandboxError } from "@glovebox/core";
import { disconnected, violation } from "./failures.ts";
import { CONNECTION, FrameParser, type FrameSink, FrameType, FrameWriter } from "./frames.ts";
import type { GuestStream, GuestStreamReceiver } from "./guest-stream.ts";
import { type ClientHello, type GuestHello, parseHello, PROTOCOL_VERSION } from "./hello.ts";
import { parseObject, textMember } from "./json.ts";
import { type CallHandler, CallStream, type StreamOwner } from "./mux.ts";
import { parseError } from "./results.ts";

/** Answers to PING that may wait for a guest that does not read; more is an attack on this side's memory. */
const MAX_WAITING_PONGS = 1_024;
const PING_BYTES = 8;
const MAX_REASON = 1_024;

export interface ConnectionOptions extends ClientHello {
  /** How long the guest may take for its hello, in milliseconds. */
  readonly helloMs: number;
}

/** One connection to a guest, from hello to its end; it is never mended. What the other side does wrong ends it, and nothing more. */
export class GuestConnection implements GuestStreamReceiver, FrameSink, StreamOwner {
  readonly writer: FrameWriter = new FrameWriter();
  readonly #stream: GuestStream;
  readonly #parser = new FrameParser(this);
  readonly #calls = new Map<number, CallStream>();
  readonly #waitingForRoom = new Set<CallStream>();
  readonly #pings: PromiseWithResolvers<void>[] = [];
  readonly #ended = Promise.withResolvers<SandboxError>();
  readonly #greeted = Promise.withResolvers<GuestHello>();
  #hello: GuestHello | undefined;
  #failure: SandboxError | undefined;
  #nextStream = 1;
  #nextPing = 0;
  #full = false;
  #waitingPongs = 0;
  #receiving = false;

  private constructor(stream: GuestStream) {
    this.#stream = stream;
    this.#greeted.promise.catch(() => undefined);
  }

  /**
   * Say hello and wait for the guest's. The stream belongs to the connection, and is closed when this fails.
   * @throws {SandboxError} `unavailable`: no hello in time, the stream ended, the protocol was broken; `unauthenticated`: the secret is wrong;
   * `failed_precondition`: another protocol
   */
  static async open(stream: GuestStream, options: ConnectionOptions, signal: AbortSignal): Promise<GuestConnection> {
    const connection = new GuestConnection(stream);
    const { helloMs, ...hello } = options;
    const onAbort = (): void => connection.#end(disconnected(signal.reason, "none"));
    const timer = setTimeout(() => {
      connection.#end(new SandboxError("unavailable", `the guest gave no hello within ${helloMs} ms`, { effect: "none", reason: "disconnected" }));
    }, helloMs);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      if (signal.aborted) onAbort();
      else {
        connection.writer.json(FrameType.hello, CONNECTION, { protocol: PROTOCOL_VERSION, ...hello });
        connection.flush();
        stream.start(connection);
      }
      await connection.#greeted.promise;
      return connection;
    } catch (error) {
      signal.throwIfAborted();
      throw error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  get hello(): GuestHello {
    if (this.#hello === undefined) throw new SandboxError("internal", "the connection is not open yet", { effect: "none" });
    return this.#hello;
  }

  /** Why it ended; `undefined` while it lives. */
  get failure(): SandboxError | undefined {
    return this.#failure;
  }

  /** Resolves when it has ended, with the reason; {@link close} included. */
  get ended(): Promise<SandboxError> {
    return this.#ended.promise;
  }

  /** Calls under way, cancelled ones that the guest has not ended included. */
  get openStreams(): number {
    return this.#calls.size;
  }

  /**
   * Begin a call. What is known of its input goes out with it, in one write.
   * @param input all of it; `undefined` when there is none, or when it follows by {@link CallStream.send}
   * @throws {SandboxError} `invalid_argument`, or `unavailable` because the connection ended; effect `none`
   */
  call(request: object, handler: CallHandler, input?: readonly Uint8Array[]): CallStream {
    if (this.#failure !== undefined) throw disconnected(this.#failure, "none");
    const id = this.#nextStream;
    this.writer.json(FrameType.open, id, request);
    this.#nextStream += 2;
    const call = new CallStream(this, id, handler);
    this.#calls.set(id, call);
    if (input !== undefined) call.begin(input);
    this.flush();
    return call;
  }

  /** A round trip through the guest's frame loop. */
  ping(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#failure !== undefined) throw disconnected(this.#failure, "none");
    const pong = Promise.withResolvers<void>();
    const payload = new Uint8Array(PING_BYTES);
    new DataView(payload.buffer).setUint32(4, this.#nextPing + this.#pings.length);
    this.#pings.push(pong);
    this.writer.plain(FrameType.ping, CONNECTION, payload);
    this.flush();
    const onAbort = (): void => pong.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    return pong.promise.finally(() => signal.removeEventListener("abort", onAbort));
  }

  /** End it now; the guest cancels what has no key. */
  close(): void {
    this.#end(new SandboxError("unavailable", "the connection to the guest was closed here", { effect: "unknown", reason: "disconnected" }));
  }

  // What the stream tells.

  bytes(chunk: Uint8Array): void {
    if (this.#failure !== undefined) return;
    this.#receiving = true;
    try {
      this.#parser.push(chunk);
    } catch (error) {
      this.#end(SandboxError.is(error) ? error : new SandboxError("internal", "a frame was not handled", { cause: error, effect: "unknown" }));
    }
    this.#receiving = false;
    this.flush();
  }

  drained(): void {
    this.#full = false;
    this.#waitingPongs = 0;
    for (const call of this.#waitingForRoom) {
      this.#waitingForRoom.delete(call);
      call.pump();
      this.flush();
      if (this.#full) break;
    }
  }

  closed(cause: Error | undefined): void {
    this.#end(disconnected(cause, "unknown"));
  }

  // What the parser tells.

  data(stream: number, channel: number, bytes: Uint8Array): void {
    this.#callOf(stream).data(channel, bytes);
  }

  frame(type: number, stream: number, payload: Uint8Array): void {
    if (stream === CONNECTION) return this.#connectionFrame(type, payload);
    const call = this.#callOf(stream);
    switch (type) {
      case FrameType.end:
        return call.end(payload[0] ?? 0);
      case FrameType.window:
        return call.widen(payload);
      case FrameType.event:
        return call.event(parseObject(payload));
      case FrameType.result:
        call.result(parseObject(payload));
        this.#calls.delete(stream);
        return undefined;
      case FrameType.error:
        call.fail(parseError(parseObject(payload)));
        this.#calls.delete(stream);
        return undefined;
      default:
        throw violation(`a frame of type ${type} on a stream`);
    }
  }

  // What its calls ask for.

  get full(): boolean {
    return this.#full;
  }

  waitForRoom(call: CallStream): void {
    this.#waitingForRoom.add(call);
  }

  forget(call: CallStream): void {
    this.#waitingForRoom.delete(call);
  }

  /** Send what was written. While frames are being read it waits for the last of them, so that answers go out together. */
  flush(): void {
    if (this.#receiving) return;
    const chunks = this.writer.take();
    if (chunks.length > 0 && this.#failure === undefined && !this.#stream.write(chunks)) this.#full = true;
  }

  #callOf(stream: number): CallStream {
    if (this.#hello === undefined) throw violation("a frame before its hello");
    const call = this.#calls.get(stream);
    if (call === undefined) throw violation(`a frame on stream ${stream}, which is not open`);
    return call;
  }

  #connectionFrame(type: number, payload: Uint8Array): void {
    if (type === FrameType.goaway) return this.#goAway(textMember(parseObject(payload), "reason", MAX_REASON));
    if (type === FrameType.hello) {
      if (this.#hello !== undefined) throw violation("a second hello");
      this.#hello = parseHello(parseObject(payload));
      return this.#greeted.resolve(this.#hello);
    }
    if (this.#hello === undefined) throw violation("a frame before its hello");
    if (type === FrameType.ping) return this.#pong(payload);
    if (type === FrameType.pong) return this.#ponged(payload);
    throw violation(`a frame of type ${type} on stream 0`);
  }

  #goAway(reason: string): void {
    if (this.#hello === undefined && reason === "secret") {
      this.#end(new SandboxError("unauthenticated", "the guest refused the secret", { effect: "none" }));
    } else if (this.#hello === undefined && reason === "protocol") {
      const message = `the guest does not speak protocol ${PROTOCOL_VERSION}; create the sandbox anew with this version`;
      this.#end(new SandboxError("failed_precondition", message, { effect: "none" }));
    } else this.#end(disconnected(new Error(`the guest said goodbye: ${reason}`), "unknown"));
  }

  #pong(payload: Uint8Array): void {
    if (this.#full && ++this.#waitingPongs > MAX_WAITING_PONGS) throw violation("a flood of PING");
    this.writer.plain(FrameType.pong, CONNECTION, payload);
  }

  #ponged(payload: Uint8Array): void {
    const pong = this.#pings.shift();
    const number = new DataView(payload.buffer, payload.byteOffset, PING_BYTES).getUint32(4);
    if (pong === undefined || number !== this.#nextPing) throw violation("a PONG without its PING");
    this.#nextPing++;
    pong.resolve();
  }

  #end(failure: SandboxError): void {
    if (this.#failure !== undefined) return;
    this.#failure = failure;
    this.#stream.close();
    const calls = [...this.#calls.values()];
    this.#calls.clear();
    this.#waitingForRoom.clear();
    for (const call of calls) call.fail(failure);
    for (const pong of this.#pings.splice(0)) pong.reject(failure);
    this.#greeted.reject(failure);
    this.#ended.resolve(failure);
  }
}
