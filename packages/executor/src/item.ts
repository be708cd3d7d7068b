import type Anthropic from "@anthropic-ai/sdk";
import type { SessionSandbox } from "./binding.ts";
import { controlPlaneClient, isFinal, retryAfterMs, statusOf } from "./control-plane.ts";
import type { Failure, ItemEnd, Observe, Secrets } from "./events.ts";
import type { Journal } from "./journal.ts";
import { itemAccess } from "./item-access.ts";
import { Lease, type LeaseEnd } from "./lease.ts";
import type { ResolvedOptions } from "./options.ts";
import type { ClaimedWork } from "./poller.ts";
import { Session } from "./session.ts";
import { needsOf } from "./session-info.ts";
import type { Stager } from "./staging.ts";
import { stopItem } from "./stop-item.ts";
import type { PreparedCustomTool } from "./tools/custom.ts";
import { backOffMs, orAbort, sleep } from "./wait.ts";

export interface ItemOptions {
  readonly options: ResolvedOptions;
  readonly fetch: typeof fetch;
  readonly journal: Journal;
  readonly customTools: ReadonlyMap<string, PreparedCustomTool>;
  readonly observe: Observe;
  readonly secrets: Secrets;
  /** The session's sandbox, once an earlier item of the same session has let go of it. */
  readonly sandboxFor: (sessionId: string) => Promise<SessionSandbox>;
  readonly stager: Stager;
  /** Whether the provider could make a sandbox now. */
  readonly probe: (signal: AbortSignal) => Promise<unknown>;
  /** Aborts when the worker stops. */
  readonly stop: AbortSignal;
}

const endOfLease: Readonly<Record<LeaseEnd, ItemEnd>> = {
  stop_requested: "stop_requested",
  rejected: "failed",
  lost: "lease_lost",
  assumed_lost: "lease_lost",
};
const probeTimeoutMs = 10_000;

interface Served {
  readonly because: ItemEnd;
  readonly turnOver: boolean;
  readonly failure?: Failure;
}

/** Serve one claimed item to its end: lease, session, stop. Never rejects. */
export async function serveItem(work: ClaimedWork, item: ItemOptions): Promise<ItemEnd> {
  const { options, observe, secrets } = item;
  const { workId, sessionId, secret } = work;
  const access = itemAccess(work, item);
  const client = controlPlaneClient(access, access.credential, access.fetch);
  const { environmentId, leaseTtlMs: ttlMs } = options;
  const lease = new Lease({ client, workId, environmentId, lastHeartbeat: work.lastHeartbeat, ttlMs, observe, secrets });
  lease.start();
  observe({ type: "item.claimed", workId, sessionId, kind: work.kind });
  let served: Served;
  try {
    served = sessionId === undefined ? await checkHealth(item) : await serveSession(work, sessionId, client, lease, { ...item, fetch: access.fetch });
  } catch (error) {
    served = { because: "failed", turnOver: true, failure: secrets.failure(error) };
  }
  const because = lease.end === undefined ? served.because : endOfLease[lease.end];
  const stopped = await release(because, served, client, lease, work, item);
  observe({ type: "item.ended", workId, sessionId, because, stopped, ...(served.failure === undefined ? {} : { failure: served.failure }) });
  if (secret !== undefined) secrets.delete(secret.token);
  return because;
}

async function serveSession(work: ClaimedWork, sessionId: string, client: Anthropic, lease: Lease, item: ItemOptions): Promise<Served> {
  const { options, observe, secrets, journal, customTools, stop } = item;
  const leaseEnd = new AbortController();
  const onLeaseEnd = (): void => leaseEnd.abort(lease.end === undefined ? "failed" : endOfLease[lease.end]);
  if (lease.signal.aborted) onLeaseEnd();
  else lease.signal.addEventListener("abort", onLeaseEnd, { once: true });
  const ended = AbortSignal.any([leaseEnd.signal, stop]);
  const found = await retrieve(client, sessionId, ended);
  if (typeof found === "string") return { because: found, turnOver: true };
  // taking the sandbox over ends what another worker does there
  await orAbort(lease.confirmed(), ended).catch(() => undefined);
  if (leaseEnd.signal.aborted) return { because: leaseEnd.signal.reason as ItemEnd, turnOver: false };
  const sandbox = await orAbort(item.sandboxFor(sessionId), leaseEnd.signal);
  const staging = item.stager.forSession(needsOf(sessionId, found), client);
  // made and made ready while the stream attaches; who needs it first waits for it, and a failure is told to them
  const ready = async (): Promise<void> => await staging.ready(await sandbox.acquire(leaseEnd.signal), leaseEnd.signal);
  ready().catch(() => undefined);
  const { timeoutMs, maxIdleMs, maxHeldMs, drainMs } = options;
  const limits = { timeoutMs, maxIdleMs, maxHeldMs, drainMs };
  const session = new Session({
    client,
    fetch: item.fetch,
    workId: work.workId,
    sessionId,
    sandbox,
    staging,
    journal,
    customTools,
    ...limits,
    observe,
    secrets,
    lease,
    leaseEnd: leaseEnd.signal,
    stop,
  });
  return await session.serve();
}

/** Nothing is published about what a health check wants beside being stopped; whether a session could be served is what can be told of it. */
async function checkHealth({ probe, secrets }: ItemOptions): Promise<Served> {
  const served = { because: "not_a_session", turnOver: true } as const;
  try {
    await probe(AbortSignal.timeout(probeTimeoutMs));
    return served;
  } catch (error) {
    return { ...served, failure: secrets.failure(error) };
  }
}

/** The session, or how it ended: one that has ended is not attached to at all. `undefined` after an abort. */
async function retrieve(
  client: Anthropic,
  sessionId: string,
  signal: AbortSignal,
): Promise<object | "session_terminated" | "session_deleted" | undefined> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      const session = await client.beta.sessions.retrieve(sessionId, {}, { signal });
      return session.status === "terminated" ? "session_terminated" : session;
    } catch (error) {
      if (signal.aborted) return undefined;
      if (statusOf(error) === 404) return "session_deleted";
      if (isFinal(error)) throw error;
      await sleep(Math.max(retryAfterMs(error), backOffMs(attempt, 500, 10_000)), signal);
    }
  }
  return undefined;
}

/** @returns whether the item was stopped */
async function release(because: ItemEnd, served: Served, client: Anthropic, lease: Lease, work: ClaimedWork, item: ItemOptions): Promise<boolean> {
  if (because === "lease_lost") {
    await lease.letGo();
    return false;
  }
  // a stopped item is not queued again, and the session's open calls would wait for ever
  if (because === "shutdown" && !served.turnOver) {
    await lease.handOver();
    return false;
  }
  await lease.letGo();
  const { options, observe, secrets, stop } = item;
  return await stopItem({ client, environmentId: options.environmentId, workId: work.workId, lease, observe, secrets, stop });
}
