import type { Behaviour } from "./behaviour.ts";
import { type Call, kindOfResult } from "./calls.ts";
import { ApiFailure } from "./failure.ts";
import type { EventParams } from "./wire.ts";

interface Rules {
  readonly behaviour: Behaviour;
  /** Whether tools run on a worker of the customer's. */
  readonly selfHosted: boolean;
  /** The call that an event names. @throws {ApiFailure} there is none */
  readonly callOf: (event: EventParams) => Call;
  /** @throws {ApiFailure} 404 */
  readonly checkThread: (threadId: string) => void;
}

/** Whether a client's events may be applied, all of them, in this order; nothing is changed here. @throws {ApiFailure} */
export function checkAcceptance(events: readonly EventParams[], rules: Rules): void {
  const answered = new Set<string>();
  for (const event of events) {
    if (event.type === "user.tool_result" || event.type === "user.custom_tool_result") checkResult(event, answered, rules);
    else if (event.type === "user.tool_confirmation") checkConfirmation(event, answered, rules);
    else if (event.type === "user.interrupt" && typeof event["session_thread_id"] === "string") rules.checkThread(event["session_thread_id"]);
  }
}

function checkResult(event: EventParams, answered: Set<string>, { behaviour, selfHosted, callOf }: Rules): void {
  if (event.type === "user.tool_result" && !selfHosted) throw new ApiFailure(400, "user.tool_result is only valid on self-hosted environments.");
  const call = callOf(event);
  if (answered.has(call.id) || call.outcome !== "open")
    throw new ApiFailure(behaviour.settledResultStatus, `Tool use ${call.id} is already settled.`);
  answered.add(call.id);
  if (call.kind === "mcp") throw new ApiFailure(400, `Tool use ${call.id} is run by the service and takes no result.`);
  if (kindOfResult(event) !== call.kind && behaviour.wrongKindResult === "refuse") {
    throw new ApiFailure(400, `A ${event.type} does not answer the ${call.kind === "custom" ? "custom " : ""}tool use ${call.id}.`);
  }
  if (call.gate === "waiting" && behaviour.resultBeforeConfirmation === "refuse") {
    throw new ApiFailure(400, `Tool use ${call.id} waits for its confirmation.`);
  }
}

function checkConfirmation(event: EventParams, answered: Set<string>, { callOf }: Rules): void {
  const call = callOf(event);
  const key = `confirmation of ${call.id}`;
  if (call.outcome !== "open" || call.gate !== "waiting" || answered.has(key)) {
    throw new ApiFailure(400, `Tool use ${call.id} does not wait for a confirmation.`);
  }
  answered.add(key);
}
