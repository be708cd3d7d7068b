/** Shapes as they go over the wire, in the API's own names. Source: the public reference of Managed Agents, SDK 1.12.0. */

export type JsonObject = { readonly [name: string]: unknown };

/** One block of a message or a tool result. Only `text` is read by the simulator; the others pass through checked but untouched. */
export type ContentBlock =
  | { readonly type: "text"; readonly text: string }
  | ({ readonly type: "image" | "document" | "search_result" } & JsonObject);

/** One event of a session, as history and stream carry it. The union of types is open, so fields are read by name and checked where they matter. */
export type SessionEvent = {
  readonly id: string;
  readonly type: string;
  /** RFC 3339 with microseconds, strictly increasing within a session; `null` while a user's event waits to be applied. */
  readonly processed_at: string | null;
} & JsonObject;

/** An event that a client sends: no id, no time. */
export type EventParams = { readonly type: string } & JsonObject;

export type StopReason =
  | { readonly type: "end_turn" | "retries_exhausted" | "budget_reached" | "refusal" }
  | { readonly type: "requires_action"; readonly event_ids: readonly string[] }
  | ({ readonly type: string } & JsonObject);

export type SessionStatus = "idle" | "running" | "rescheduling" | "terminated";

export type WorkState = "queued" | "starting" | "active" | "stopping" | "stopped";

export type WorkData = { readonly type: "session"; readonly id: string } | { readonly type?: "healthcheck"; readonly id: string };

/** A work item as its endpoints answer with it. */
export interface WireWork {
  readonly type: "work";
  readonly id: string;
  readonly environment_id: string;
  readonly data: WorkData;
  readonly state: WorkState;
  readonly metadata: Readonly<Record<string, string>>;
  /** Only the poll response carries one. */
  readonly secret: string | null;
  readonly created_at: string;
  readonly acknowledged_at: string | null;
  readonly started_at: string | null;
  readonly latest_heartbeat_at: string | null;
  readonly stop_requested_at: string | null;
  readonly stopped_at: string | null;
}

export interface WireHeartbeat {
  readonly type: "work_heartbeat";
  readonly last_heartbeat: string;
  readonly lease_extended: boolean;
  readonly state: WorkState;
  readonly ttl_seconds: number;
}

export interface WireStats {
  readonly type: "work_queue_stats";
  readonly depth: number;
  readonly pending: number;
  readonly oldest_queued_at: string | null;
  readonly workers_polling: number | null;
}

/** RFC 3339 with microseconds. */
export function timestamp(epochMs: number): string {
  return timestampOfMicros(toMicros(epochMs));
}

/** Whole microseconds: a fraction of milliseconds would not survive arithmetic at today's epoch. */
export function toMicros(epochMs: number): number {
  return Math.floor(epochMs * 1000);
}

/** @param epochMicros whole microseconds since the epoch */
export function timestampOfMicros(epochMicros: number): string {
  const wholeMs = Math.floor(epochMicros / 1000);
  return `${new Date(wholeMs).toISOString().slice(0, -1)}${String(epochMicros - wholeMs * 1000).padStart(3, "0")}Z`;
}

/** Values of `anthropic-beta`. */
export const betaHeaders: { readonly managedAgents: string; readonly memory: string; readonly oldSkills: string } = {
  managedAgents: "managed-agents-2026-04-01",
  memory: "agent-memory-2026-07-22",
  oldSkills: "skills-2025-10-02",
};
