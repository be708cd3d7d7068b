import { SandboxError } from "@glovebox/core";

/** Why something failed, without secrets. `code` is a {@link SandboxError} code, or `http_<status>` of the control plane, or `error`. */
export interface Failure {
  readonly code: string;
  readonly message: string;
}

/** Why an item was let go. */
export type ItemEnd =
  /** Its turn was over and nothing came for `maxIdleMs`. */
  | "idle"
  /** Nothing ran and nothing came for `maxHeldMs`: a call waits for a confirmation or for another client. */
  | "held"
  | "session_terminated"
  | "session_deleted"
  /** The control plane asked for a stop, or no longer extended the lease. */
  | "stop_requested"
  /** Another worker holds it, or nobody knows: it was not stopped. */
  | "lease_lost"
  /** This worker shuts down. */
  | "shutdown"
  /** The control plane refused for good, or the item made no sense. */
  | "failed"
  /** Not a session: `healthcheck` or a kind that this worker does not know. */
  | "not_a_session";

/** Why a call that was waiting or running was dropped without an answer. */
export type CallDrop =
  | "interrupted"
  | "thread_terminated"
  | "session_ended"
  | "answered_elsewhere"
  | "denied"
  /** The lease ended; who serves the session next answers it. */
  | "item_ended";

/** How a session got its sandbox. */
export type BoundHow =
  | "created"
  /** It was there: an earlier worker, or an earlier item of this one, had left it. */
  | "attached"
  /** This worker had kept it open since the session's last item. */
  | "kept";

/** One tool call, as every `call.*` event names it. */
export interface CallName {
  readonly workId: string;
  readonly sessionId: string;
  /** The id of the `agent.tool_use` or `agent.custom_tool_use` event. */
  readonly callId: string;
  readonly tool: string;
  readonly custom: boolean;
  /** Of a child thread. */
  readonly threadId?: string;
}

type Happening =
  | {
      readonly type: "worker.started";
      readonly environmentId: string;
      readonly workerId: string;
      readonly provider: string;
      readonly maxSessions: number;
    }
  /** It claims no more; what runs is given `drainMs`. */
  | { readonly type: "worker.stopping"; readonly items: number }
  | { readonly type: "worker.stopped" }
  | { readonly type: "poll.failed"; readonly failure: Failure; readonly retryInMs: number }
  | { readonly type: "item.claimed"; readonly workId: string; readonly sessionId: string | undefined; readonly kind: string }
  | {
      readonly type: "item.ended";
      readonly workId: string;
      readonly sessionId: string | undefined;
      readonly because: ItemEnd;
      readonly stopped: boolean;
      readonly failure?: Failure;
    }
  /** The item's secret wants its requests elsewhere, which is not allowed (`allowedBaseUrls`): the configured base URL is used. */
  | { readonly type: "item.base_url_refused"; readonly workId: string; readonly origin: string }
  /** The item's token was refused (401): from here on its requests carry the environment's key. */
  | { readonly type: "item.token_refused"; readonly workId: string }
  /** A heartbeat whose answer was lost had arrived: the lease goes on. */
  | { readonly type: "lease.adopted"; readonly workId: string }
  | { readonly type: "lease.failed"; readonly workId: string; readonly failure: Failure; readonly retryInMs: number }
  | { readonly type: "stream.connected"; readonly workId: string; readonly sessionId: string }
  | { readonly type: "stream.lost"; readonly workId: string; readonly sessionId: string; readonly failure?: Failure; readonly retryInMs: number }
  | { readonly type: "history.failed"; readonly workId: string; readonly sessionId: string; readonly failure: Failure; readonly retryInMs: number }
  | {
      readonly type: "sandbox.ready";
      readonly sessionId: string;
      readonly sandboxId: string;
      readonly provider: string;
      readonly how: BoundHow;
      readonly durationMs: number;
    }
  | { readonly type: "sandbox.failed"; readonly sessionId: string; readonly sandboxId: string; readonly provider: string; readonly failure: Failure }
  /** It is not in the session's sandbox; the model is told. */
  | { readonly type: "skill.failed"; readonly sessionId: string; readonly skillId: string; readonly version: string; readonly failure: Failure }
  | { readonly type: "sandbox.lost"; readonly sessionId: string; readonly sandboxId: string; readonly failure: Failure }
  /** `left`: it stays for the next worker of this environment. */
  | {
      readonly type: "sandbox.released";
      readonly sessionId: string;
      readonly sandboxId: string;
      readonly how: "destroyed" | "kept" | "left";
      readonly failure?: Failure;
    }
  /** `input` is the model's: hostile text, perhaps of megabytes. */
  | ({ readonly type: "call.started"; readonly input: unknown } & CallName)
  | ({ readonly type: "call.held"; readonly because: "confirmation" | "unknown_permission" | "not_ours" } & CallName)
  /** It ran, or was refused with an error result. `text` is what the model will read: hostile, at most some megabytes. */
  | ({
      readonly type: "call.finished";
      readonly isError: boolean;
      readonly text: string;
      readonly durationMs: number;
      readonly replayed: boolean;
    } & CallName)
  /** `settled`: the control plane has it. `refused`: it wanted no result any more. */
  | ({ readonly type: "call.sent"; readonly outcome: "settled" | "refused"; readonly attempts: number } & CallName)
  | ({ readonly type: "call.unsent"; readonly failure: Failure; readonly retryInMs?: number } & CallName)
  | ({ readonly type: "call.dropped"; readonly because: CallDrop; readonly wasRunning: boolean } & CallName);

/** What a worker tells its observer. Carries session content, never a credential. Append only. */
export type WorkerEvent = Happening & {
  /** ISO 8601. */
  readonly at: string;
};

/** Called in order, synchronously; what it throws is ignored. */
export type Observer = (event: WorkerEvent) => void;

export type Observe = (happening: Happening) => void;

export function observing(observer: Observer | undefined): Observe {
  if (observer === undefined) return () => undefined;
  return (happening) => {
    try {
      observer({ ...happening, at: new Date().toISOString() });
    } catch {
      // an observer's bug is not the session's
    }
  };
}

/** Text in which no known credential occurs. One worker, one set. */
export class Secrets {
  readonly #known = new Set<string>();

  add(secret: string): void {
    if (secret !== "") this.#known.add(secret);
  }

  delete(secret: string): void {
    this.#known.delete(secret);
  }

  scrub(text: string): string {
    let scrubbed = text;
    for (const secret of this.#known) scrubbed = scrubbed.replaceAll(secret, "[secret]");
    return scrubbed;
  }

  failure(error: unknown): Failure {
    const message = this.scrub(messageOf(error)).slice(0, 2_000);
    if (SandboxError.is(error)) return { code: error.code, message };
    const status = typeof error === "object" && error !== null && "status" in error ? error.status : undefined;
    return { code: typeof status === "number" ? `http_${status}` : "error", message };
  }
}

/** Of a connection that failed only the causes tell why: that nobody listens, a certificate, a name. Our own errors say it all themselves. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const causes: string[] = [];
  let { cause } = error;
  for (; !SandboxError.is(error) && cause instanceof Error && causes.length < 4; cause = cause.cause) {
    // an AggregateError, of several addresses, has a code and no message
    const told = cause.message === "" && "code" in cause ? String(cause.code) : cause.message;
    if (told !== "") causes.push(told);
  }
  return causes.length === 0 ? error.message : `${error.message} (${causes.join(": ")})`;
}
