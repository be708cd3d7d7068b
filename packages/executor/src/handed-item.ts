import type { ClaimedWork } from "./poller.ts";
import { decodeWorkSecret } from "./work-secret.ts";

/** A session's work item that was polled and acknowledged somewhere else. */
export interface HandedItem {
  readonly workId: string;
  readonly sessionId: string;
  /** As the poll gave it. Without one the environment's key is used. */
  readonly secret?: string | null;
  /** What the last heartbeat answered, where whoever hands it over has sent one: the lease goes on from there. */
  readonly lastHeartbeat?: string;
}

/** It comes from another process's arguments or environment, where empty means absent. */
export function claimedWork({ workId, sessionId, secret, lastHeartbeat }: HandedItem): ClaimedWork {
  return {
    workId,
    kind: "session",
    sessionId,
    secret: decodeWorkSecret(secret),
    lastHeartbeat: lastHeartbeat === "" ? undefined : lastHeartbeat,
  };
}
