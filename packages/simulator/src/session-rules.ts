import { kindOfResult, type Call, type Thread } from "./calls.ts";
import { ApiFailure } from "./failure.ts";
import type { Behaviour } from "./behaviour.ts";
import type { EventParams } from "./wire.ts";

/** What the rules ask of the session. */
export interface RuledSession {
  /** @throws {ApiFailure} 400: there is no such call */
  callOf(event: EventParams): Call;
  /** @throws {ApiFailure} 404 */
  threadById(id: string): Thread;
}

/**
 * Whether a client may send these events now, all of them in one request. Changes nothing.
 * @throws {ApiFailure} for the first that may not be sent
 */
export function checkEvents(events: readonly EventParams[], session: RuledSession, behaviour: Behaviour): void {
  /** What earlier events of this request answer. */
  const answered = new Set<string>();
  for (const event of events) {
    if (event.type === "user.tool_result" || event.type === "user.custom_tool_result") checkResult(event, session.callOf(event), answered, behaviour);
    else if (event.type === "user.tool_confirmation") checkConfirmation(session.callOf(event), answered);
    else if (event.type === "user.interrupt" && typeof event["session_thread_id"] === "string") session.threadById(event["session_thread_id"]);
  }
}

function checkResult(event: EventParams, call: Call, answered: Set<string>, behaviour: Behaviour): void {
  if (answered.has(call.id)) throw alreadyAnswered(call.id);
  answered.add(call.id);
  if (call.outcome !== "open") throw alreadyAnswered(call.id);
  if (call.kind === "mcp") throw new ApiFailure(400, `Tool use ${call.id} is run by the service and takes no result.`);
  if (kindOfResult(event) !== call.kind && behaviour.wrongKindResult === "refuse") {
    throw new ApiFailure(400, `A ${event.type} does not answer the ${call.kind === "custom" ? "custom " : ""}tool use ${call.id}.`);
  }
  if (call.gate === "waiting" && behaviour.resultBeforeConfirmation === "refuse") {
    throw new ApiFailure(400, `Tool use ${call.id} waits for its confirmation.`);
  }
}

function checkConfirmation(call: Call, answered: Set<string>): void {
  const key = `confirmation of ${call.id}`;
  if (call.outcome !== "open" || call.gate !== "waiting" || answered.has(key)) {
    throw new ApiFailure(400, `Tool use ${call.id} does not wait for a confirmation.`);
  }
  answered.add(key);
}

function alreadyAnswered(callId: string): ApiFailure {
  return new ApiFailure(400, `Tool use ${callId} is already settled.`);
}
