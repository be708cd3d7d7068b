import type { ContentBlock, JsonObject } from "./wire.ts";

export interface CallResult {
  /** The text blocks, joined by a line feed. */
  readonly text: string;
  readonly isError: boolean;
  readonly content: readonly ContentBlock[];
}

/** One tool call from the session's side. */
export interface CallRecord {
  /** The tool-use event's id. */
  readonly id: string;
  readonly name: string;
  readonly kind: "agent" | "custom" | "mcp";
  readonly input: JsonObject;
  /** Label of its thread; `null` for the primary one. */
  readonly thread: string | null;
  /** 0-based, counted over the session. */
  readonly turn: number;
  /** Clock time at which the event was handed to the streams; fractions of a millisecond. */
  readonly emittedAtMs: number;
  /** Clock time at which the result had been read whole; `null` while open. */
  readonly settledAtMs: number | null;
  /** `result`: somebody answered. `denied`: by policy or user. `interrupted`: by `user.interrupt`. `dropped`: its thread or session ended. */
  readonly outcome: "open" | "result" | "denied" | "interrupted" | "dropped";
  /** `null` while open and when dropped. */
  readonly result: CallResult | null;
}

export interface Failure {
  /** The call whose expectation failed; `null` when the brain itself failed. */
  readonly callId: string | null;
  /** Readable, several lines: which call, what was expected, what came, the first difference. */
  readonly message: string;
}

export interface SessionReport {
  readonly sessionId: string;
  /** `completed`: the brain ended. `abandoned`: the simulator was closed first. */
  readonly status: "completed" | "terminated" | "deleted" | "abandoned";
  /** True when nothing in `failures`. */
  readonly passed: boolean;
  readonly failures: readonly Failure[];
  readonly calls: readonly CallRecord[];
  readonly turns: number;
  /** From the first user's message to the end. */
  readonly startedAtMs: number;
  readonly finishedAtMs: number;
  readonly durationMs: number;
}
