import net from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { GuestContainer, type GuestOptions } from "./guest-container.ts";

export const types = ["", "HELLO", "OPEN", "DATA", "END", "WINDOW", "EVENT", "CONTROL", "RESULT", "ERROR", "CANCEL", "PING", "PONG", "GOAWAY"];

export interface Frame {
  readonly type: string;
  readonly stream: number;
  readonly payload: Buffer;
}

// oxlint-disable-next-line typescript/no-explicit-any
export type Json = any;

export function encode(type: string, stream: number, payload: Uint8Array | string | object = ""): Buffer {
  const body = payload instanceof Uint8Array ? payload : Buffer.from(typeof payload === "string" ? payload : JSON.stringify(payload));
  const frame = Buffer.alloc(9 + body.length);
  frame.writeUInt32BE(5 + body.length, 0);
  frame.writeUInt8(types.indexOf(type), 4);
  frame.writeUInt32BE(stream, 5);
  frame.set(body, 9);
  return frame;
}

/** One end of an operation: everything the guest sent for it. */
export interface Ended {
  readonly result?: Json;
  readonly error?: Json;
  readonly output: Buffer;
  readonly errors: Buffer;
  readonly events: Json[];
}

/** A raw client: sends frames as they are given, gathers what comes back. */
export class Peer {
  readonly socket: net.Socket;
  readonly frames: Frame[] = [];
  readonly closed: Promise<void>;
  #rest = Buffer.alloc(0);
  #next = 1;
  #watchers = new Set<() => void>();
  /** Whether windows are given back at once. */
  grants = true;

  constructor(socket: net.Socket) {
    this.socket = socket;
    this.closed = new Promise((resolve) => socket.on("close", () => resolve()));
    socket.on("error", () => undefined);
    socket.on("data", (chunk) => this.#feed(chunk));
    socket.on("close", () => this.#notify());
  }

  #feed(chunk: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, chunk]);
    while (this.#rest.length >= 4 && this.#rest.length >= 4 + this.#rest.readUInt32BE(0)) {
      const end = 4 + this.#rest.readUInt32BE(0);
      const frame = {
        type: types[this.#rest.readUInt8(4)] ?? "",
        stream: this.#rest.readUInt32BE(5),
        payload: Buffer.from(this.#rest.subarray(9, end)),
      };
      this.#rest = this.#rest.subarray(end);
      this.frames.push(frame);
      if (frame.type === "DATA" && this.grants) this.grant(frame.stream, frame.payload.readUInt8(0), frame.payload.length - 1);
    }
    this.#notify();
  }

  #notify(): void {
    for (const watcher of this.#watchers) watcher();
  }

  grant(stream: number, channel: number, bytes: number): void {
    const payload = Buffer.alloc(5);
    payload.writeUInt8(channel, 0);
    payload.writeUInt32BE(bytes, 1);
    this.send("WINDOW", stream, payload);
  }

  send(type: string, stream: number, payload?: Uint8Array | string | object): void {
    this.socket.write(encode(type, stream, payload));
  }

  /** Waits until `look` finds something in what came. */
  async until<T>(look: (frames: readonly Frame[]) => T | undefined): Promise<T> {
    for (;;) {
      const found = look(this.frames);
      if (found !== undefined) return found;
      if (this.socket.destroyed)
        throw new Error(`the guest closed; last: ${JSON.stringify(this.frames.slice(-3).map((f) => [f.type, f.stream, f.payload.toString()]))}`);
      await new Promise<void>((resolve) => {
        const watcher = (): void => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }

  async hello(members: object = { mode: "takeover" }): Promise<Json> {
    this.send("HELLO", 0, { protocol: 1, ...members });
    const frame = await this.until((frames) => frames.find((f) => f.type === "HELLO" || f.type === "GOAWAY"));
    return JSON.parse(frame.payload.toString());
  }

  open(request: object, input?: Uint8Array | string): number {
    const stream = this.#next;
    this.#next += 2;
    this.send("OPEN", stream, request);
    if (input !== undefined) {
      const content = Buffer.from(input);
      for (let at = 0; at < content.length; at += 65_536) this.send("DATA", stream, Buffer.concat([Buffer.of(0), content.subarray(at, at + 65_536)]));
      this.send("END", stream, Buffer.of(0));
    }
    return stream;
  }

  async event(stream: number, name: string): Promise<Json> {
    return await this.until((frames) =>
      frames
        .filter((f) => f.stream === stream && f.type === "EVENT")
        .map((f) => JSON.parse(f.payload.toString()))
        .find((event) => event.event === name),
    );
  }

  async end(stream: number): Promise<Ended> {
    const last = await this.until((frames) => frames.find((f) => f.stream === stream && (f.type === "RESULT" || f.type === "ERROR")));
    const mine = this.frames.filter((f) => f.stream === stream);
    const channel = (number: number): Buffer =>
      Buffer.concat(mine.filter((f) => f.type === "DATA" && f.payload[0] === number).map((f) => f.payload.subarray(1)));
    return {
      [last.type === "RESULT" ? "result" : "error"]: JSON.parse(last.payload.toString()),
      output: channel(1),
      errors: channel(2),
      events: mine.filter((f) => f.type === "EVENT").map((f) => JSON.parse(f.payload.toString())),
    };
  }

  async call(request: object, input?: Uint8Array | string): Promise<Ended> {
    return await this.end(this.open(request, input));
  }

  async exec(argv: string[], more: object = {}): Promise<Ended> {
    return await this.call({ op: "exec", argv, cwd: "/", env: {}, stdin: "null", ...more });
  }

  async shell(command: string, more: object = {}): Promise<Ended & { readonly text: string }> {
    const request = { op: "shell.run", shell: "main", commandBytes: Buffer.byteLength(command), cwd: "/workspace", env: {}, ...more };
    const ended = await this.call(request, command);
    return { ...ended, text: ended.output.toString() };
  }

  close(): void {
    this.socket.destroy();
  }
}

/** A guest in a container, for raw clients. */
export class DaemonContainer extends GuestContainer {
  readonly #peers: Peer[] = [];

  static async start(options: GuestOptions = {}): Promise<DaemonContainer> {
    return new DaemonContainer(...(await GuestContainer.run(options)));
  }

  /** A connection before its hello. */
  async connect(): Promise<Peer> {
    for (let tries = 0; ; tries++) {
      const socket = net.connect(this.socketPath);
      const connected = await new Promise<boolean>((resolve) => {
        socket.once("connect", () => resolve(true));
        socket.once("error", () => resolve(false));
      });
      if (connected) {
        const peer = new Peer(socket);
        this.#peers.push(peer);
        return peer;
      }
      if (tries > 500) throw new Error(`no guest: ${JSON.stringify(await this.state())}`);
      await pause(10);
    }
  }

  async join(members?: object): Promise<Peer> {
    const peer = await this.connect();
    await peer.hello(members);
    return peer;
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#peers) peer.close();
    await super[Symbol.asyncDispose]();
  }
}
