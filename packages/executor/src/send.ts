import { retryAfterMs, statusOf } from "./control-plane.ts";
import type { ToolUse } from "./dispatch.ts";
import type { EventSender, SendParams } from "./event-sender.ts";
import type { Failure, Secrets } from "./events.ts";
import type { CallResult } from "./journal.ts";
import { backOffMs, sleep } from "./wait.ts";

export interface SendOptions {
  readonly sender: EventSender;
  readonly secrets: Secrets;
  /** Ends the attempts; one that is under way is ended too. */
  readonly signal: AbortSignal;
  readonly onFailure: (failure: Failure, retryInMs: number | undefined) => void;
}

/** `unsent`: nobody knows whether it arrived; the result is kept and may be sent again. */
export type SendOutcome = { readonly outcome: "settled" | "refused"; readonly attempts: number } | { readonly outcome: "unsent" };

/** Refusals that say: this call has its answer, or wants none any more. A conflict may also be a passing one, and is tried again first. */
const tooLate: ReadonlySet<number> = new Set([400, 404, 409, 410, 422]);
const conflictAttempts = 3;
const requestTimeoutMs = 60_000;

/** Post one result, as often as it takes: the call is never run again because its post failed. */
export async function sendResult(call: ToolUse, result: CallResult, options: SendOptions): Promise<SendOutcome> {
  const { sender, secrets, signal, onFailure } = options;
  let current = result;
  for (let attempts = 1; !signal.aborted; attempts++) {
    try {
      await sender.send({ events: [resultEvent(call, current)] }, { signal, timeoutMs: requestTimeoutMs });
      return { outcome: "settled", attempts };
    } catch (error) {
      if (signal.aborted) break;
      const status = statusOf(error);
      const smaller = status === 413 || status === 400 ? withoutMedia(current, status) : undefined;
      if (smaller !== undefined) {
        onFailure(secrets.failure(error), 0);
        current = smaller;
        continue;
      }
      const mayPass = status === 409 && attempts < conflictAttempts;
      if (status !== undefined && !mayPass && (tooLate.has(status) || status === 413)) return { outcome: "refused", attempts };
      if (status === 401 || status === 403) {
        onFailure(secrets.failure(error), undefined);
        return { outcome: "unsent" };
      }
      const retryInMs = Math.max(retryAfterMs(error), backOffMs(attempts - 1, mayPass ? 250 : 1_000, 30_000));
      onFailure(secrets.failure(error), retryInMs);
      await sleep(retryInMs, signal);
    }
  }
  return { outcome: "unsent" };
}

/** The kind of the result is the kind of the call; the other one would leave it open. */
function resultEvent(call: ToolUse, { isError, content }: CallResult): SendParams["events"][number] {
  const answer = { is_error: isError, content: [...content] as never };
  return call.custom
    ? { type: "user.custom_tool_result", custom_tool_use_id: call.id, ...answer }
    : { type: "user.tool_result", tool_use_id: call.id, ...answer };
}

/** A result that cannot be refused for what is in it; `undefined` when this one is such already. */
function withoutMedia({ content }: CallResult, status: number): CallResult | undefined {
  const plain = content.every(({ type }) => type === "text");
  if (plain && status === 400) return undefined;
  const text = `The tool ran, but its result was refused by the control plane (HTTP ${status}), so it is not shown.`;
  return content.length === 1 && content[0]?.type === "text" && content[0].text === text
    ? undefined
    : { isError: true, content: [{ type: "text", text }] };
}
