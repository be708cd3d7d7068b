import type Anthropic from "@anthropic-ai/sdk";
import { SandboxError } from "@glovebox/core";
import { isFinal, retryAfterMs, statusOf } from "./control-plane.ts";
import type { Observe, Secrets } from "./events.ts";
import { PollPace } from "./poll-pace.ts";
import { backOffMs, sleep } from "./wait.ts";
import { type WorkSecret, decodeWorkSecret } from "./work-secret.ts";

/** A claimed item: acknowledged, and so in nobody else's queue. */
export interface ClaimedWork {
  readonly workId: string;
  /** `session`, `healthcheck`, or whatever else the control plane says. */
  readonly kind: string;
  /** Of a session item. */
  readonly sessionId: string | undefined;
  /** Comes with a poll alone; never shown. */
  readonly secret: WorkSecret | undefined;
  /** Of a lease that another process began. */
  readonly lastHeartbeat?: string | undefined;
}

export interface PollerOptions {
  readonly client: Anthropic;
  readonly environmentId: string;
  readonly workerId: string;
  /** Of all workers of the environment together. */
  readonly pollsPerMinute: number;
  readonly reclaimOlderThanMs: number | undefined;
  readonly observe: Observe;
  readonly secrets: Secrets;
}

/** The longest that a poll may block. */
const blockMs = 999;
/** An empty answer that came sooner did not block, and the next poll waits for the rest of the time. */
const blockedAtLeastMs = 200;
const requestTimeoutMs = 30_000;
const ackTimeoutMs = 5_000;
const ackAttempts = 4;
const leastRetryMs = 200;
/** When the other workers are counted first, by when they have polled, and then. */
const firstCountMs = 2_000;
const countEveryMs = 60_000;

/** Takes items from an environment's queue, one at a time. */
export class Poller {
  readonly #options: PollerOptions;
  readonly #pace: PollPace;
  #failures = 0;

  constructor(options: PollerOptions) {
    this.#options = options;
    this.#pace = new PollPace({ pollsPerMinute: options.pollsPerMinute });
  }

  /**
   * Wait for an item, however long it takes, or for the queue to be empty.
   * @returns `undefined` when the signal aborted, or the queue was empty where that is waited for
   * @throws {SandboxError} what the control plane refuses for good: `unauthenticated`, `permission_denied`, `not_found`, `invalid_argument`
   */
  async next(signal: AbortSignal, { untilEmpty = false }: { readonly untilEmpty?: boolean } = {}): Promise<ClaimedWork | undefined> {
    while (!signal.aborted) {
      await sleep(this.#pace.waitMs(Date.now()), signal);
      if (signal.aborted) break;
      const work = await this.#poll(signal);
      if (work === "empty" && untilEmpty) break;
      if (typeof work === "object" && (await this.#ack(work.workId, signal))) {
        this.#pace.claimed(Date.now());
        return work;
      }
    }
    return undefined;
  }

  /** Keep counting the workers that poll this environment, with whom the polls are shared. Until the signal aborts. */
  async countWorkers(signal: AbortSignal): Promise<void> {
    const { client, environmentId } = this.#options;
    await sleep(firstCountMs * (1 + Math.random()), signal);
    while (!signal.aborted) {
      try {
        const { workers_polling: polling } = await client.beta.environments.work.stats(environmentId, {}, { signal, timeout: requestTimeoutMs });
        this.#pace.shareWith(polling ?? 1);
      } catch {
        // as many as there were when it was last known
      }
      await sleep(countEveryMs * (0.75 + Math.random() / 2), signal);
    }
  }

  async #poll(signal: AbortSignal): Promise<ClaimedWork | "empty" | "failed"> {
    const { client, environmentId, workerId, reclaimOlderThanMs, observe, secrets } = this.#options;
    const reclaim = reclaimOlderThanMs === undefined ? {} : { reclaim_older_than_ms: reclaimOlderThanMs };
    const startedAt = performance.now();
    this.#pace.polled(Date.now());
    try {
      const answer: unknown = await client.beta.environments.work.poll(
        environmentId,
        { block_ms: blockMs, ...reclaim, "Anthropic-Worker-ID": workerId },
        { signal, timeout: requestTimeoutMs },
      );
      this.#failures = 0;
      const work = asWork(answer);
      if (work === undefined) {
        const tookMs = performance.now() - startedAt;
        if (tookMs < blockedAtLeastMs) await sleep(blockMs - tookMs, signal);
      } else if (work.secret !== undefined) secrets.add(work.secret.token);
      return work ?? "empty";
    } catch (error) {
      if (signal.aborted) return "failed";
      if (isFinal(error)) throw this.#refusal(error);
      if (statusOf(error) === 429) this.#pace.throttled(Date.now());
      const askedMs = retryAfterMs(error);
      const retryInMs = askedMs > 0 ? Math.max(askedMs, leastRetryMs) : backOffMs(this.#failures++, 1_000, 60_000);
      observe({ type: "poll.failed", failure: secrets.failure(error), retryInMs });
      // not all at once, who were refused at once
      await sleep(retryInMs * (1 + Math.random() / 4), signal);
      return "failed";
    }
  }

  /** @returns whether the item is ours */
  async #ack(workId: string, signal: AbortSignal): Promise<boolean> {
    const { client, environmentId, observe, secrets } = this.#options;
    let unanswered = false;
    for (let attempt = 0; attempt < ackAttempts; attempt++) {
      try {
        // without the signal: an ack that arrives must be known, or the item is stranded
        await client.beta.environments.work.ack(workId, { environment_id: environmentId }, { timeout: ackTimeoutMs });
        return true;
      } catch (error) {
        const status = statusOf(error);
        // after a lost answer, "already acknowledged" is our own ack
        if (status === 409 && unanswered) return true;
        const again = status !== 409 && !isFinal(error) && attempt + 1 < ackAttempts && !signal.aborted;
        const retryInMs = again ? Math.max(retryAfterMs(error), backOffMs(attempt, 250, 2_000)) : 0;
        observe({ type: "poll.failed", failure: secrets.failure(error), retryInMs });
        // not acknowledged, the queue gives it to somebody again
        if (!again) return false;
        unanswered ||= status === undefined || status >= 500;
        await sleep(retryInMs, signal);
      }
    }
    return false;
  }

  #refusal(cause: unknown): SandboxError {
    const { environmentId, secrets } = this.#options;
    const status = statusOf(cause);
    const said = `The control plane answered ${secrets.failure(cause).message}`;
    const options = { effect: "none" } as const;
    if (status === 401) {
      return new SandboxError(
        "unauthenticated",
        `the environment key was refused; check ANTHROPIC_ENVIRONMENT_KEY (option environmentKey). ${said}`,
        options,
      );
    }
    if (status === 403) {
      const what = `the environment key does not open environment ${environmentId}; ANTHROPIC_ENVIRONMENT_ID and ANTHROPIC_ENVIRONMENT_KEY must belong together`;
      return new SandboxError("permission_denied", `${what}. ${said}`, options);
    }
    if (status === 404) {
      const what = `there is no environment ${environmentId}; check ANTHROPIC_ENVIRONMENT_ID and ANTHROPIC_BASE_URL`;
      return new SandboxError("not_found", `${what}. ${said}`, options);
    }
    return new SandboxError("invalid_argument", `polling environment ${environmentId} was refused. ${said}`, options);
  }
}

/** An item, or `undefined` for every form of "nothing". */
export function asWork(answer: unknown): ClaimedWork | undefined {
  if (typeof answer !== "object" || answer === null || !("id" in answer) || typeof answer.id !== "string") return undefined;
  const data: unknown = "data" in answer ? answer.data : undefined;
  const { type, id }: { type?: unknown; id?: unknown } = typeof data === "object" && data !== null ? data : {};
  const kind = typeof type === "string" ? type : "untyped";
  return {
    workId: answer.id,
    kind,
    sessionId: kind === "session" && typeof id === "string" ? id : undefined,
    secret: decodeWorkSecret("secret" in answer ? answer.secret : undefined),
  };
}
