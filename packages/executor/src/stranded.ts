import type Anthropic from "@anthropic-ai/sdk";
import { type ClaimedWork, asWork } from "./poller.ts";

export interface StrandedOptions {
  readonly client: Anthropic;
  readonly environmentId: string;
  /** Whether this worker has the item. */
  readonly isServed: (workId: string) => boolean;
  readonly signal: AbortSignal;
}

export interface Stranded {
  readonly items: readonly ClaimedWork[];
  /** Some were acknowledged a moment ago, so that their worker may yet be alive. */
  readonly tooYoung: boolean;
}

/** From an ack to the first heartbeat; a live worker needs one round trip. As long as the queue itself waits for the ack of what it gave out. */
export const strandedAfterMs = 5_000;
const pageSize = 100;
const mostPages = 20;

/**
 * Items that a worker acknowledged and never served, because it died in between. They have no lease that could run out, so the queue gives them to nobody
 * again (reference/managed-agents-protocol.md, 5.3). Who sends the first heartbeat has them: of several who find one, the control plane lets one.
 * What cannot be learned is left alone. Never rejects.
 */
export async function findStranded({ client, environmentId, isServed, signal }: StrandedOptions): Promise<Stranded> {
  const items: ClaimedWork[] = [];
  let tooYoung = false;
  try {
    let page = await client.beta.environments.work.list(environmentId, { limit: pageSize }, { signal });
    for (let pages = 1; ; pages++) {
      for (const listed of page.data) {
        const work = asWork(listed);
        if (work === undefined || listed.state !== "starting" || isServed(work.workId)) continue;
        const sinceMs = Date.now() - Date.parse(listed.acknowledged_at ?? "");
        if (sinceMs >= strandedAfterMs) items.push(work);
        else tooYoung = true;
      }
      if (!page.hasNextPage() || pages === mostPages) break;
      page = await page.getNextPage();
    }
  } catch {
    // the control plane does not answer now: the next look sees the same
  }
  return { items, tooYoung };
}
