import type { Timer } from "./clock.ts";
import { timestamp, type WireWork, type WorkData, type WorkState } from "./wire.ts";

/** One work item with what the wire does not show: its delivery and its lease. Only the queue changes it. */
export interface WorkItem {
  readonly id: string;
  readonly environmentId: string;
  readonly data: WorkData;
  readonly createdAtMs: number;
  state: WorkState;
  metadata: Record<string, string>;
  /** Since when it has been waiting to be claimed. */
  queuedAtMs: number;
  /** When poll handed it out last; `null` while nobody has it. */
  deliveredAtMs: number | null;
  /** How often poll handed it out. */
  deliveries: number;
  acknowledgedAtMs: number | null;
  startedAtMs: number | null;
  latestHeartbeatAtMs: number | null;
  stopRequestedAtMs: number | null;
  stoppedAtMs: number | null;
  /** What the next heartbeat has to echo; `null` without a lease. */
  lastHeartbeat: string | null;
  ttlMs: number;
  lease: Timer | null;
}

export function wireWork(item: WorkItem, secret: string | null = null): WireWork {
  const stamp = (ms: number | null): string | null => (ms === null ? null : timestamp(ms));
  return {
    type: "work",
    id: item.id,
    environment_id: item.environmentId,
    data: item.data,
    state: item.state,
    metadata: { ...item.metadata },
    secret,
    created_at: timestamp(item.createdAtMs),
    acknowledged_at: stamp(item.acknowledgedAtMs),
    started_at: stamp(item.startedAtMs),
    latest_heartbeat_at: stamp(item.latestHeartbeatAtMs),
    stop_requested_at: stamp(item.stopRequestedAtMs),
    stopped_at: stamp(item.stoppedAtMs),
  };
}
