import type Anthropic from "@anthropic-ai/sdk";
import { isFinal, retryAfterMs, statusOf } from "./control-plane.ts";
import type { Observe, Secrets } from "./events.ts";
import type { Lease } from "./lease.ts";
import { backOffMs, sleep } from "./wait.ts";

export interface StopItemOptions {
  readonly client: Anthropic;
  readonly environmentId: string;
  readonly workId: string;
  /** Not beaten any more. */
  readonly lease: Pick<Lease, "heldUntilMs">;
  readonly observe: Observe;
  readonly secrets: Secrets;
  /** Aborts when the worker stops, which then does not wait as long. */
  readonly stop: AbortSignal;
}

const tryForMs = 30_000;
const tryForAtShutdownMs = 10_000;

/**
 * Tell the control plane that an item is done, as often as it takes. Not beyond the item's lease, after which it may be another worker's.
 * @returns whether it is stopped
 */
export async function stopItem({ client, environmentId, workId, lease, observe, secrets, stop }: StopItemOptions): Promise<boolean> {
  const startedAtMs = Date.now();
  const never = new AbortController().signal;
  for (let attempt = 0; ; attempt++) {
    try {
      await client.beta.environments.work.stop(workId, { environment_id: environmentId, force: true }, { timeout: 10_000 });
      return true;
    } catch (error) {
      const conflict = statusOf(error) === 409;
      if (conflict && attempt > 0) return true; // stopped already, and not just busy
      const wantedMs = Math.max(Math.min(retryAfterMs(error), 5_000), backOffMs(attempt, 250, 5_000));
      const untilMs = Math.min(startedAtMs + (stop.aborted ? tryForAtShutdownMs : tryForMs), lease.heldUntilMs);
      const retryInMs = isFinal(error) || Date.now() + wantedMs > untilMs ? 0 : wantedMs;
      observe({ type: "lease.failed", workId, failure: secrets.failure(error), retryInMs });
      if (retryInMs === 0) return false;
      await sleep(retryInMs, never);
    }
  }
}
