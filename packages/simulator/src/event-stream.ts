import type { ServerResponse } from "node:http";
import type { FaultPlan, StreamFaultKind } from "./faults.ts";
import type { SessionEvent } from "./wire.ts";

/** A stream whose client reads slower than this falls behind, and is reset. */
const maxUnreadBytes = 256 * 1024 * 1024;

interface FrameAction {
  /** What goes out instead of the frame. */
  readonly bytes: (frame: string, event: SessionEvent, lineEnd: string) => string;
  readonly afterwards?: "reset" | "end";
  readonly split?: true;
}

const actions: Readonly<Record<StreamFaultKind, FrameAction>> = {
  cut: { bytes: () => "", afterwards: "reset" },
  cut_after: { bytes: (frame) => frame, afterwards: "reset" },
  cut_mid_frame: { bytes: (frame) => frame.slice(0, Math.floor(frame.length / 2)), afterwards: "reset" },
  end: { bytes: (frame) => frame, afterwards: "end" },
  drop: { bytes: () => "" },
  duplicate: { bytes: (frame) => frame + frame },
  split: { bytes: (frame) => frame, split: true },
  error: {
    bytes: (_frame, _event, lineEnd) =>
      `event: error${lineEnd}data: {"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}${lineEnd}${lineEnd}`,
    afterwards: "end",
  },
  invalid_json: { bytes: (_frame, event, lineEnd) => `event: ${event.type}${lineEnd}data: {"type":${lineEnd}${lineEnd}` },
  no_event_name: { bytes: (_frame, event, lineEnd) => `data: ${JSON.stringify(event)}${lineEnd}${lineEnd}` },
};

/** One open event stream of a session. Frames of one tick leave in one write. */
export class EventStream {
  readonly #response: ServerResponse;
  readonly #sessionId: string;
  readonly #faults: FaultPlan;
  readonly #lineEnd: string;
  #buffered = "";
  #flushScheduled = false;
  #over = false;

  constructor(response: ServerResponse, sessionId: string, faults: FaultPlan, lineEnds: "lf" | "crlf") {
    this.#response = response;
    this.#sessionId = sessionId;
    this.#faults = faults;
    this.#lineEnd = lineEnds === "crlf" ? "\r\n" : "\n";
  }

  deliver(event: SessionEvent): void {
    if (this.#over) return;
    const frame = this.#frame(event.type, JSON.stringify(event));
    const fault = this.#faults.forFrame(this.#sessionId, event);
    if (fault === undefined) return this.#write(frame);
    const action = actions[fault];
    const bytes = action.bytes(frame, event, this.#lineEnd);
    if (action.split === true) this.#writeSplit(bytes);
    else this.#write(bytes);
    if (action.afterwards === "end") this.end();
    if (action.afterwards === "reset") this.#resetAfterWriting();
  }

  /** A stream-only event: no id, never in history, untouched by faults. */
  preview(event: { readonly type: string } & Readonly<Record<string, unknown>>): void {
    this.#write(this.#frame(event.type, JSON.stringify(event)));
  }

  keepAlive(kind: "ping" | "comment"): void {
    this.#write(kind === "ping" ? this.#frame("ping", '{"type":"ping"}') : `:${this.#lineEnd}${this.#lineEnd}`);
  }

  end(): void {
    if (this.#over) return;
    this.#flush();
    this.#over = true;
    this.#response.end();
  }

  /** Break the connection at once; what was not written yet is lost. */
  reset(): void {
    this.#over = true;
    this.#response.destroy();
  }

  #frame(name: string, data: string): string {
    return `event: ${name}${this.#lineEnd}data: ${data}${this.#lineEnd}${this.#lineEnd}`;
  }

  #write(text: string): void {
    if (this.#over) return;
    this.#buffered += text;
    if (this.#flushScheduled) return;
    this.#flushScheduled = true;
    queueMicrotask(() => this.#flush());
  }

  #writeSplit(text: string): void {
    this.#flush();
    for (const byte of Buffer.from(text)) this.#response.write(Buffer.of(byte));
  }

  #flush(): void {
    this.#flushScheduled = false;
    if (this.#over || this.#buffered === "") return;
    const text = this.#buffered;
    this.#buffered = "";
    this.#response.write(text);
    if (this.#response.writableLength > maxUnreadBytes) this.reset();
  }

  /** The bytes before the cut have to reach the socket first, or there would be nothing to cut. */
  #resetAfterWriting(): void {
    this.#flush();
    this.#over = true;
    this.#response.write("", () => this.#response.destroy());
  }
}
