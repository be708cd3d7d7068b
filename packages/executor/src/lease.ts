import type Anthropic from "@anthropic-ai/sdk";
import { isFinal, retryAfterMs, statusOf } from "./control-plane.ts";
import type { Observe, Secrets } from "./events.ts";
import { compareTimestamps } from "./timestamps.ts";
import { backOffMs, sleep } from "./wait.ts";

/** Why a lease ended. `lost` and `assumed_lost`: somebody else may hold the item, so it must not be stopped. */
export type LeaseEnd = "stop_requested" | "rejected" | "lost" | "assumed_lost";

/** Assumed until the control plane has named one. Source: the official worker. */
const firstTtlMs = 90_000;
/** How soon a handed over item is another's, where the control plane grants it. */
const handOverSeconds = 5;
const noHeartbeat = "NO_HEARTBEAT";

export interface LeaseOptions {
  readonly client: Anthropic;
  readonly workId: string;
  readonly environmentId: string;
  /** The lease was begun by another process, which got this answer last. */
  readonly lastHeartbeat?: string | undefined;
  /** Asked of the control plane with each beat; it says itself what it grants. */
  readonly ttlMs?: number | undefined;
  readonly observe: Observe;
  readonly secrets: Secrets;
}

/**
 * A work item's lease: beats on its own, whatever the session does, until it is let go or ends.
 * A beat whose answer was lost is recognised by the next refusal and goes on; every other refusal of the precondition ends the lease.
 */
export class Lease {
  readonly #options: LeaseOptions;
  readonly #ended = new AbortController();
  readonly #letGo = new AbortController();
  #beating: Promise<void> = Promise.resolve();
  #end: LeaseEnd | undefined;
  #confirmation: PromiseWithResolvers<void> | undefined;
  #beatNow = new AbortController();

  #lastHeartbeat: string;
  #answered = false;
  #ttlMs = firstTtlMs;
  /** When the last beat that succeeded was sent: the control plane counts from some time after it. */
  #lastSuccessAtMs = Date.now();
  /** When the first beat since the last answer was sent of which nobody knows whether it was recorded. */
  #unansweredSinceMs: number | undefined;
  #failures = 0;

  constructor(options: LeaseOptions) {
    this.#options = options;
    this.#lastHeartbeat = options.lastHeartbeat ?? noHeartbeat;
  }

  /** Aborts when the lease ends, not when it is let go. */
  get signal(): AbortSignal {
    return this.#ended.signal;
  }

  get end(): LeaseEnd | undefined {
    return this.#end;
  }

  /** Until then no other worker can have the item: counted from when the last beat that succeeded was sent. */
  get heldUntilMs(): number {
    return this.#lastSuccessAtMs + this.#ttlMs;
  }

  /**
   * Whether the item is certainly ours now. Not before the first answer, and not when its time passed without one: this process was suspended or frozen, say,
   * and wakes up in what is another worker's session by now. The next beat tells.
   */
  get holds(): boolean {
    return this.#end === undefined && this.#answered && Date.now() < this.heldUntilMs;
  }

  /**
   * Resolves when it holds, with a beat at once where it does not; never when it ends before.
   * @param anew with a beat in any case
   */
  confirmed(anew = false): Promise<void> {
    if (this.holds && !anew) return Promise.resolve();
    if (this.#confirmation === undefined) {
      this.#confirmation = Promise.withResolvers();
      this.#beatNow.abort();
    }
    return this.#confirmation.promise;
  }

  /** Send the first beat at once and go on. */
  start(): void {
    this.#lastSuccessAtMs = Date.now();
    this.#beating = this.#run();
  }

  /** Beat no more. Resolves when no beat is under way. */
  async letGo(): Promise<void> {
    this.#letGo.abort();
    await this.#beating;
  }

  /**
   * Beat no more and let the lease run out soon, so that the queue gives the item to somebody else: for a session that still needs serving.
   * Where the control plane does not grant the short time, it is the lease's own.
   */
  async handOver(): Promise<void> {
    await this.letGo();
    if (this.#end !== undefined) return;
    const { client, workId, environmentId } = this.#options;
    const params = { environment_id: environmentId, expected_last_heartbeat: this.#lastHeartbeat, desired_ttl_seconds: handOverSeconds };
    await client.beta.environments.work.heartbeat(workId, params, { timeout: 5_000 }).catch(() => undefined);
  }

  async #run(): Promise<void> {
    const over = AbortSignal.any([this.#ended.signal, this.#letGo.signal]);
    while (!over.aborted) {
      const waitMs = await this.#beat(over);
      await sleep(waitMs, AbortSignal.any([over, this.#beatNow.signal]));
      if (this.#beatNow.signal.aborted) this.#beatNow = new AbortController();
    }
  }

  get #intervalMs(): number {
    return Math.min(30_000, Math.max(1_000, this.#ttlMs / 2));
  }

  /** @returns how long to wait for the next one */
  async #beat(over: AbortSignal): Promise<number> {
    const { client, workId, environmentId, ttlMs } = this.#options;
    const expected = this.#lastHeartbeat;
    const desired = ttlMs === undefined ? {} : { desired_ttl_seconds: Math.ceil(ttlMs / 1000) };
    const sentAtMs = Date.now();
    const cutOff = new AbortController();
    const timer = setTimeout(() => cutOff.abort(), this.#intervalMs);
    try {
      const answer: unknown = await client.beta.environments.work.heartbeat(
        workId,
        { environment_id: environmentId, expected_last_heartbeat: expected, ...desired },
        { signal: AbortSignal.any([cutOff.signal, over]) },
      );
      if (!isBeat(answer)) throw new Error("the answer is no heartbeat's");
      this.#renewed(answer.last_heartbeat, asSeconds(answer.ttl_seconds), sentAtMs);
      if (answer.state === "stopping" || answer.state === "stopped" || !answer.lease_extended) this.#finish("stop_requested");
      return this.holds ? this.#intervalMs : 0;
    } catch (error) {
      return over.aborted ? 0 : this.#failed(error, sentAtMs);
    } finally {
      clearTimeout(timer);
    }
  }

  #failed(error: unknown, sentAtMs: number): number {
    const { observe, secrets, workId } = this.#options;
    const status = statusOf(error);
    const leftMs = this.heldUntilMs - Date.now();
    if (status === 412) {
      const current = currentState(error);
      const since = this.#unansweredSinceMs;
      if (since !== undefined && leftMs > 0 && current !== undefined && isNewer(current.lastHeartbeat, this.#lastHeartbeat)) {
        this.#renewed(current.lastHeartbeat, current.ttlSeconds, since);
        observe({ type: "lease.adopted", workId });
        return this.#intervalMs;
      }
      this.#finish("lost");
      return 0;
    }
    if (isFinal(error)) {
      this.#finish("rejected");
      return 0;
    }
    if (leftMs <= 0) {
      this.#finish("assumed_lost");
      return 0;
    }
    if (status === undefined || status >= 500 || status === 408) this.#unansweredSinceMs ??= sentAtMs;
    const wantedMs = Math.max(retryAfterMs(error), backOffMs(this.#failures++, 500, this.#intervalMs));
    const retryInMs = Math.min(wantedMs, Math.max(leftMs, 0) + 1);
    observe({ type: "lease.failed", workId, failure: secrets.failure(error), retryInMs });
    return retryInMs;
  }

  #renewed(lastHeartbeat: string, ttlSeconds: number, sentAtMs: number): void {
    this.#lastHeartbeat = lastHeartbeat;
    this.#answered = true;
    if (ttlSeconds > 0) this.#ttlMs = ttlSeconds * 1000;
    this.#lastSuccessAtMs = sentAtMs;
    this.#unansweredSinceMs = undefined;
    this.#failures = 0;
    if (!this.holds) return;
    this.#beatNow = new AbortController();
    this.#confirmation?.resolve();
    this.#confirmation = undefined;
  }

  #finish(end: LeaseEnd): void {
    this.#end ??= end;
    this.#ended.abort(end);
  }
}

function isBeat(
  answer: unknown,
): answer is { readonly last_heartbeat: string; readonly lease_extended: boolean; readonly state?: unknown; readonly ttl_seconds?: unknown } {
  if (typeof answer !== "object" || answer === null) return false;
  const { last_heartbeat: lastHeartbeat, lease_extended: extended } = answer as Record<string, unknown>;
  return typeof lastHeartbeat === "string" && typeof extended === "boolean";
}

/** 0: not said, so that what held goes on holding. */
function asSeconds(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

/** What a 412 says of the lease, where it is still one to hold. */
function currentState(error: unknown): { readonly lastHeartbeat: string; readonly ttlSeconds: number } | undefined {
  let node: unknown = typeof error === "object" && error !== null && "error" in error ? error.error : undefined;
  for (const key of ["error", "details", "current_state"]) {
    if (typeof node !== "object" || node === null) return undefined;
    node = (node as Record<string, unknown>)[key];
  }
  if (typeof node !== "object" || node === null) return undefined;
  const { state, last_heartbeat: lastHeartbeat, ttl_seconds: ttlSeconds } = node as Record<string, unknown>;
  if (typeof lastHeartbeat !== "string" || (state !== "active" && state !== "starting")) return undefined;
  return { lastHeartbeat, ttlSeconds: asSeconds(ttlSeconds) };
}

function isNewer(heartbeat: string, than: string): boolean {
  return than === noHeartbeat ? heartbeat !== "" : compareTimestamps(heartbeat, than) > 0;
}
