import type { CallRecord, CallResult } from "./report.ts";
import type { ToolCall } from "./script.ts";
import type { ContentBlock, EventParams, JsonObject } from "./wire.ts";

/** One conversation of a session; the primary one has no label. */
export interface Thread {
  readonly id: string;
  readonly label: string | null;
  readonly agentName: string;
  readonly createdAtMs: number;
  updatedAtMs: number;
  archivedAtMs: number | null;
  state: "running" | "idle" | "terminated";
  /** Whether its state ever changed, and ever to `idle`. */
  hasChanged: boolean;
  hasIdled: boolean;
  /** Since when it has been running; `null` while it is not. */
  runningSinceMs: number | null;
  /** Time that it ran before that. */
  ranMs: number;
}

/** One tool call while the session knows it. */
export interface Call {
  readonly id: string;
  readonly spec: ToolCall;
  readonly kind: CallRecord["kind"];
  readonly thread: Thread;
  readonly turn: number;
  readonly emittedAtMs: number;
  /** `waiting`: nothing may answer before a confirmation. */
  gate: "open" | "waiting";
  outcome: CallRecord["outcome"];
  settledAtMs: number | null;
  result: CallResult | null;
}

export function toRecord(call: Call): CallRecord {
  const { id, kind, turn, emittedAtMs, settledAtMs, outcome, result } = call;
  return { id, name: call.spec.name, kind, input: inputOf(call.spec), thread: call.thread.label, turn, emittedAtMs, settledAtMs, outcome, result };
}

export function toResult(content: readonly ContentBlock[], isError: boolean): CallResult {
  const texts = content.flatMap((block) => (block.type === "text" ? [block.text] : []));
  return { text: texts.join("\n"), isError, content };
}

export function textBlocks(text: string): readonly ContentBlock[] {
  return [{ type: "text", text }];
}

/** The event with which the model asks for the call. `crossPostedTo` is the id of a thread that is not the primary one. */
export function toolUseEvent(spec: ToolCall, crossPostedTo: string | null): EventParams {
  const kind = spec.kind ?? "agent";
  const permission = permissionOf(spec);
  return {
    type: `agent.${kind === "agent" ? "" : `${kind}_`}tool_use`,
    name: spec.name,
    input: inputOf(spec),
    ...(kind === "mcp" ? { mcp_server_name: "scripted" } : {}),
    ...(permission === "absent" ? {} : { evaluated_permission: permission, ...evaluationOf(permission) }),
    session_thread_id: crossPostedTo,
  };
}

/** The result that the service itself appends: for its own tools, and for calls that nobody may answer any more. */
export function serverResultEvent(call: Call, result: CallResult): EventParams {
  const id = call.kind === "mcp" ? { mcp_tool_use_id: call.id } : { tool_use_id: call.id };
  const type = call.kind === "mcp" ? "agent.mcp_tool_result" : "agent.tool_result";
  return { type, ...id, content: result.content, is_error: result.isError, ...onThread(call) };
}

/** What a brain gives goes out as it is, so that a worker's checks can be tested with what no service should send: `null`, text. */
function inputOf({ input }: ToolCall): JsonObject {
  return input === undefined ? {} : input;
}

export function permissionOf(spec: ToolCall): string {
  return spec.permission ?? (spec.kind === "custom" ? "absent" : "allow");
}

function evaluationOf(permission: string): { readonly evaluation?: JsonObject } {
  if (permission === "allow") return { evaluation: { type: "always_allow" } };
  if (permission === "ask") return { evaluation: { type: "always_ask" } };
  if (permission === "deny") return { evaluation: { type: "auto", evaluated_permission: { type: "deny", reason_code: "high_risk" } } };
  return {};
}

/** The event with which a client answers the call. */
export function resultParams(call: Call, content: readonly ContentBlock[], isError: boolean): EventParams {
  const answered = { is_error: isError, content };
  if (call.kind === "custom") return { type: "user.custom_tool_result", custom_tool_use_id: call.id, ...answered };
  return { type: "user.tool_result", tool_use_id: call.id, ...answered };
}

/** Which kind of call a client's result answers. */
export function kindOfResult(event: EventParams): "custom" | "agent" {
  return event.type === "user.custom_tool_result" ? "custom" : "agent";
}

/** What names the call's thread in an event, where it is not the primary one. */
export function onThread(call: Call): { readonly session_thread_id?: string } {
  return call.thread.label === null ? {} : { session_thread_id: call.thread.id };
}
