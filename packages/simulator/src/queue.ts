import type { Behaviour } from "./behaviour.ts";
import type { SkewableClock, Timer } from "./clock.ts";
import { mintId } from "./credentials.ts";
import { ApiFailure } from "./failure.ts";
import { timestamp, timestampOfMicros, toMicros, type WireHeartbeat, type WireStats, type WorkData } from "./wire.ts";
import type { WorkItem } from "./work-item.ts";

const workersPollingWindowMs = 30_000;

interface Waiter {
  readonly reclaimOlderThanMs: number;
  readonly deliver: (item: WorkItem | null) => void;
}

/** A poll that waits for an item. */
export interface PendingPoll {
  readonly item: Promise<WorkItem | null>;
  /** The client left: the poll takes nothing any more. */
  cancel(): void;
}

/** The work queue of one environment. */
export class WorkQueue {
  readonly environmentId: string;
  readonly #clock: SkewableClock;
  readonly #behaviour: Behaviour;
  readonly #items = new Map<string, WorkItem>();
  /** Items in state `queued`, oldest first. */
  readonly #queued = new Set<WorkItem>();
  /** Items that poll hands out once more, whoever has them. */
  readonly #again: WorkItem[] = [];
  readonly #waiters = new Set<Waiter>();
  readonly #lastPollMs = new Map<string, number>();

  constructor(environmentId: string, clock: SkewableClock, behaviour: Behaviour) {
    this.environmentId = environmentId;
    this.#clock = clock;
    this.#behaviour = behaviour;
  }

  enqueue(data: WorkData): WorkItem {
    const nowMs = this.#clock.stampMs();
    const item: WorkItem = {
      id: mintId("work"),
      environmentId: this.environmentId,
      data,
      createdAtMs: nowMs,
      state: "queued",
      metadata: {},
      queuedAtMs: nowMs,
      deliveredAtMs: null,
      deliveries: 0,
      acknowledgedAtMs: null,
      startedAtMs: null,
      latestHeartbeatAtMs: null,
      stopRequestedAtMs: null,
      stoppedAtMs: null,
      lastHeartbeat: null,
      ttlMs: this.#behaviour.leaseTtlMs,
      lease: null,
    };
    this.#items.set(item.id, item);
    this.#offer(item);
    return item;
  }

  /** @throws {ApiFailure} 404 */
  get(workId: string): WorkItem {
    const item = this.#items.get(workId);
    if (item === undefined) throw new ApiFailure(404, `Work ${workId} not found.`);
    return item;
  }

  /** Oldest first. */
  all(): IterableIterator<WorkItem> {
    return this.#items.values();
  }

  /** Take the oldest item that nobody holds, or wait for one. */
  poll(options: { readonly blockMs: number; readonly reclaimOlderThanMs: number; readonly workerId: string | null }): PendingPoll {
    if (options.workerId !== null) this.#lastPollMs.set(options.workerId, this.#clock.now());
    const ready = this.#take(options.reclaimOlderThanMs);
    if (ready !== null || options.blockMs === 0) return { item: Promise.resolve(ready), cancel: () => undefined };
    return this.#wait(options.blockMs, options.reclaimOlderThanMs);
  }

  ack(item: WorkItem): void {
    if (item.state === "queued") {
      item.state = this.#behaviour.activeFrom === "ack" ? "active" : "starting";
      item.acknowledgedAtMs = this.#clock.stampMs();
      this.#queued.delete(item);
      return;
    }
    if (this.#behaviour.secondAck === "conflict") throw new ApiFailure(409, `Work ${item.id} is already acknowledged.`);
    if (this.#behaviour.secondAck === "not_found") throw new ApiFailure(404, `Work ${item.id} is not in the queue.`);
  }

  /**
   * @param expected the value to echo, `NO_HEARTBEAT` for the first, `null` for no condition
   * @throws {ApiFailure} 412: the lease is somebody else's; 400: a condition is wanted
   */
  heartbeat(item: WorkItem, expected: string | null, desiredTtlMs: number | null): WireHeartbeat {
    // an item nobody acknowledged has no lease to give; once requeued, its old holder's value is compared below and fails
    if (expected === null && this.#behaviour.omittedExpectation === "refuse") throw new ApiFailure(400, "expected_last_heartbeat: is required.");
    const holdsNone = expected === null || expected === "NO_HEARTBEAT";
    if (item.state === "stopping" || item.state === "stopped") return this.#beatAnswer(item, this.#behaviour.extendedWhileStopping);
    if (item.state === "queued" && holdsNone) return this.#beatAnswer(item, false);
    if (expected !== null && expected !== (item.lastHeartbeat ?? "NO_HEARTBEAT")) throw preconditionFailed(item, expected);
    const nowMs = this.#clock.stampMs();
    if (desiredTtlMs !== null) {
      const [shortest, longest] = this.#behaviour.leaseTtlBoundsMs;
      item.ttlMs = Math.min(longest, Math.max(shortest, desiredTtlMs));
    }
    item.state = "active";
    item.startedAtMs ??= nowMs;
    item.latestHeartbeatAtMs = nowMs;
    item.lastHeartbeat = differentFrom(item.lastHeartbeat, nowMs);
    item.lease?.cancel();
    item.lease = this.#clock.setTimer(item.ttlMs, () => this.expire(item));
    return this.#beatAnswer(item, true);
  }

  /** The lease ran out: put the item back into the queue. */
  expire(item: WorkItem): void {
    item.lease?.cancel();
    item.lease = null;
    if (this.#behaviour.expiredLease === "strand") return;
    item.lastHeartbeat = null;
    item.latestHeartbeatAtMs = null;
    item.acknowledgedAtMs = null;
    item.startedAtMs = null;
    item.deliveredAtMs = null;
    item.queuedAtMs = this.#clock.stampMs();
    item.state = "queued";
    this.#offer(item);
  }

  /** Hand an item out once more, whatever its state, as a queue that delivers at least once may. */
  redeliver(item: WorkItem): void {
    this.#again.push(item);
    this.#serveWaiter();
  }

  /** @throws {ApiFailure} 409: it is stopped already */
  stop(item: WorkItem, force: boolean): void {
    if (item.state === "stopped") throw new ApiFailure(409, `Work ${item.id} is already stopped.`);
    const nowMs = this.#clock.stampMs();
    item.stopRequestedAtMs ??= nowMs;
    item.state = force ? "stopped" : "stopping";
    if (force) item.stoppedAtMs = nowMs;
    item.lease?.cancel();
    item.lease = null;
    this.#queued.delete(item);
  }

  stats(): WireStats {
    const nowMs = this.#clock.now();
    const queued = [...this.#queued];
    const pending = queued.filter((item) => item.deliveredAtMs !== null).length;
    const polling = [...this.#lastPollMs.values()].filter((pollMs) => nowMs - pollMs <= workersPollingWindowMs).length;
    const oldestMs = queued.reduce<number | null>((oldest, item) => Math.min(oldest ?? item.queuedAtMs, item.queuedAtMs), null);
    return {
      type: "work_queue_stats",
      depth: queued.length - pending,
      pending,
      oldest_queued_at: oldestMs === null ? null : timestamp(oldestMs),
      workers_polling: polling > 0 ? polling : this.#behaviour.workersPollingWithoutIds,
    };
  }

  /** Answer every waiting poll with nothing and let go of all timers. */
  close(): void {
    for (const waiter of this.#waiters) waiter.deliver(null);
    for (const item of this.#items.values()) item.lease?.cancel();
  }

  #beatAnswer(item: WorkItem, extended: boolean): WireHeartbeat {
    return {
      type: "work_heartbeat",
      last_heartbeat: item.lastHeartbeat ?? "",
      lease_extended: extended,
      state: item.state,
      ttl_seconds: item.ttlMs / 1000,
    };
  }

  #offer(item: WorkItem): void {
    this.#queued.add(item);
    this.#serveWaiter();
  }

  #serveWaiter(): void {
    const [waiter] = this.#waiters;
    waiter?.deliver(this.#take(waiter.reclaimOlderThanMs));
  }

  #take(reclaimOlderThanMs: number): WorkItem | null {
    const nowMs = this.#clock.now();
    const isFree = ({ deliveredAtMs }: WorkItem): boolean => deliveredAtMs === null || nowMs - deliveredAtMs >= reclaimOlderThanMs;
    const item = this.#again.shift() ?? this.#queued.values().find(isFree);
    if (item === undefined) return null;
    item.deliveredAtMs = nowMs;
    item.deliveries += 1;
    return item;
  }

  #wait(blockMs: number, reclaimOlderThanMs: number): PendingPoll {
    const { promise, resolve } = Promise.withResolvers<WorkItem | null>();
    const timers: Timer[] = [];
    const waiter: Waiter = {
      reclaimOlderThanMs,
      deliver: (item) => {
        this.#waiters.delete(waiter);
        for (const timer of timers) timer.cancel();
        resolve(item);
      },
    };
    this.#waiters.add(waiter);
    timers.push(this.#clock.setTimer(blockMs, () => waiter.deliver(this.#take(reclaimOlderThanMs))));
    const reclaimInMs = this.#firstReclaimInMs(reclaimOlderThanMs);
    if (reclaimInMs < blockMs) {
      timers.push(
        this.#clock.setTimer(reclaimInMs, () => {
          const item = this.#take(reclaimOlderThanMs);
          if (item !== null) waiter.deliver(item);
        }),
      );
    }
    return { item: promise, cancel: () => waiter.deliver(null) };
  }

  #firstReclaimInMs(reclaimOlderThanMs: number): number {
    let soonest = Infinity;
    for (const item of this.#queued) {
      if (item.deliveredAtMs !== null) soonest = Math.min(soonest, item.deliveredAtMs + reclaimOlderThanMs - this.#clock.now());
    }
    return Math.max(0, soonest);
  }
}

/** A stamp of now that differs from the one before in its bytes, however quick the beats. */
function differentFrom(previous: string | null, nowMs: number): string {
  const micros = toMicros(nowMs);
  const stamp = timestampOfMicros(micros);
  return stamp === previous ? timestampOfMicros(micros + 1) : stamp;
}

function preconditionFailed(item: WorkItem, expected: string): ApiFailure {
  return new ApiFailure(412, `Heartbeat precondition failed: expected last heartbeat ${expected}, actual ${item.lastHeartbeat ?? "NO_HEARTBEAT"}.`, {
    details: {
      error_code: "heartbeat_precondition_failed",
      error_visibility: "user_facing",
      current_state: { state: item.state, last_heartbeat: item.lastHeartbeat, lease_extended: false, ttl_seconds: item.ttlMs / 1000 },
    },
  });
}
