import { randomUUID } from "node:crypto";
import { SandboxError, checkSpec, requireCapabilities } from "@glovebox/core";
import type { SandboxSpec } from "@glovebox/core";
import { type BindingOptions, SessionSandbox } from "./binding.ts";
import { controlPlaneClient } from "./control-plane.ts";
import { type ItemEnd, type Observe, Secrets, observing } from "./events.ts";
import { type ItemOptions, serveItem } from "./item.ts";
import { type Journal, MemoryJournal } from "./journal.ts";
import { type ResolvedOptions, type WorkerOptions, resolveOptions } from "./options.ts";
import { type HandedItem, claimedWork } from "./handed-item.ts";
import { type ClaimedWork, Poller } from "./poller.ts";
import { RequestBudget } from "./request-budget.ts";
import { Stager } from "./staging.ts";
import { findStranded, strandedAfterMs } from "./stranded.ts";
import { sweep } from "./sweep.ts";
import { type PreparedCustomTool, prepareCustomTools } from "./tools/custom.ts";
import { apiFetch } from "./transport.ts";
import { sleep } from "./wait.ts";

/**
 * Serves a self-hosted environment: claims its work items and runs their sessions' tool calls, each session in a sandbox of its own.
 * The environment's key and the items' tokens stay in this process.
 */
export class Worker {
  readonly #given: WorkerOptions;
  readonly #options: ResolvedOptions;
  readonly #spec: SandboxSpec;
  readonly #workerId: string;
  readonly #journal: Journal;
  readonly #customTools: ReadonlyMap<string, PreparedCustomTool>;
  readonly #observe: Observe;
  readonly #secrets = new Secrets();
  readonly #fetch: typeof fetch;
  readonly #stager: Stager;
  /** Sandboxes of sessions that are served, and kept ones. */
  readonly #sandboxes = new Map<string, SessionSandbox>();
  /** Sessions that are served, until all of an item is done. */
  readonly #serving = new Map<string, Promise<ItemEnd>>();
  readonly #items = new Set<Promise<ItemEnd>>();
  #background: readonly Promise<void>[] = [];
  readonly #workIds = new Set<string>();
  #itemEnded: (() => void) | undefined;
  #started = false;

  /** @throws {SandboxError} `invalid_argument`, naming the option */
  constructor(options: WorkerOptions) {
    this.#given = options;
    this.#options = resolveOptions(options);
    this.#spec = options.spec ?? {};
    this.#workerId = options.workerId ?? `glovebox-${randomUUID()}`;
    this.#journal = options.journal ?? new MemoryJournal();
    this.#customTools = prepareCustomTools(options.tools ?? []);
    this.#observe = observing(options.observer);
    this.#fetch = new RequestBudget(this.#options.requests.readsPerMinute).over(options.fetch ?? apiFetch());
    this.#secrets.add(options.environmentKey);
    const { setUp } = options;
    this.#stager = new Stager({ setUp, timeoutMs: this.#options.startTimeoutMs, observe: this.#observe, secrets: this.#secrets });
  }

  /**
   * Serve until the signal aborts. Then nothing more is claimed, running calls get `drainMs` and are answered, items are let go. Once.
   * @throws {SandboxError} after the same graceful end: `unauthenticated` (which variable holds the wrong key), `permission_denied` or
   * `not_found` (the environment); before it starts: `unsupported` (the provider cannot serve sessions, or not make such sandboxes), `invalid_argument`
   * (the spec), what the provider's `probe` says, `failed_precondition`
   */
  async run(signal: AbortSignal = new AbortController().signal): Promise<void> {
    const { environmentId, environmentKey, requests, reclaimOlderThanMs } = this.#options;
    const client = controlPlaneClient(this.#options, environmentKey, this.#fetch);
    const { pollsPerMinute } = requests;
    const poller = new Poller({
      client,
      environmentId,
      workerId: this.#workerId,
      pollsPerMinute,
      reclaimOlderThanMs,
      observe: this.#observe,
      secrets: this.#secrets,
    });
    await this.#work(signal, async (stop) => {
      this.#background = [this.#sweepEvery(stop), this.#adoptEvery(stop), poller.countWorkers(stop)];
      await this.#claim(poller, stop);
    });
  }

  /**
   * Serve one item that another process claimed, to its end, in place of {@link run}. A lease that the other process began is continued; where it turns out
   * to be lost, the item is let go without a stop.
   * @throws {SandboxError} as {@link run} before it starts
   */
  async serve(item: HandedItem, signal: AbortSignal = new AbortController().signal): Promise<ItemEnd> {
    let end: ItemEnd = "shutdown";
    await this.#work(signal, async (stop) => {
      end = await this.#serve(claimedWork(item), stop);
    });
    return end;
  }

  /** What both ways to work have around them: start, and an end in order. */
  async #work(signal: AbortSignal, work: (stop: AbortSignal) => Promise<void>): Promise<void> {
    if (this.#started) throw new SandboxError("failed_precondition", "this worker has run; make a new one", { effect: "none" });
    this.#started = true;
    await this.#checkProvider(signal);
    if (signal.aborted) return;
    const { environmentId, maxSessions } = this.#options;
    this.#observe({ type: "worker.started", environmentId, workerId: this.#workerId, provider: this.#given.provider.name, maxSessions });
    const stop = new AbortController();
    const onAbort = (): void => this.#stop(stop);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await work(stop.signal);
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#stop(stop);
      await Promise.all(this.#background);
      await Promise.all(this.#items);
      await Promise.all([...this.#sandboxes.values()].map(async (sandbox) => await this.#leave(sandbox)));
      this.#observe({ type: "worker.stopped" });
    }
  }

  async #checkProvider(signal: AbortSignal): Promise<void> {
    const { provider } = this.#given;
    try {
      await provider.probe?.({ signal });
    } catch (error) {
      if (signal.aborted) return;
      throw error;
    }
    checkSpec(provider, this.#spec);
    requireCapabilities(provider, this.#spec, ["shell"]);
    if (provider.capabilitiesFor(this.#spec).files.confined === false) {
      throw new SandboxError("unsupported", `${provider.name} cannot hold file tools within the work directory (capability files.confined)`, {
        effect: "none",
      });
    }
  }

  #stop(stop: AbortController): void {
    if (stop.signal.aborted) return;
    this.#observe({ type: "worker.stopping", items: this.#items.size });
    stop.abort(new SandboxError("aborted", "the worker stops", { effect: "none" }));
  }

  async #claim(poller: Poller, stop: AbortSignal): Promise<void> {
    const { maxSessions, drain } = this.#options;
    while (!stop.aborted) {
      if (this.#items.size >= maxSessions) await this.#anItemEnds(stop);
      else {
        const work = await poller.next(stop, { untilEmpty: drain });
        if (work !== undefined) void this.#serve(work, stop);
        else if (this.#items.size === 0) return; // the queue is empty, and that is what was waited for
      }
    }
  }

  async #anItemEnds(stop: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#itemEnded = resolve;
    stop.addEventListener("abort", () => resolve(), { once: true });
    await promise;
  }

  /** Never rejects. */
  #serve(work: ClaimedWork, stop: AbortSignal): Promise<ItemEnd> {
    const { workId, sessionId } = work;
    const before = sessionId === undefined ? undefined : this.#serving.get(sessionId);
    const item: ItemOptions = {
      options: this.#options,
      fetch: this.#fetch,
      journal: this.#journal,
      customTools: this.#customTools,
      observe: this.#observe,
      secrets: this.#secrets,
      sandboxFor: async (id) => {
        await before;
        return this.#sandboxFor(id);
      },
      stager: this.#stager,
      probe: async (signal) => await this.#given.provider.probe?.({ signal }),
      stop,
    };
    const served: Promise<ItemEnd> = serveItem(work, item).then(async (because) => {
      await before;
      if (sessionId !== undefined) await this.#afterItem(sessionId, because);
      return because;
    });
    this.#items.add(served);
    this.#workIds.add(workId);
    if (sessionId !== undefined) this.#serving.set(sessionId, served);
    void served.finally(() => {
      this.#items.delete(served);
      this.#workIds.delete(workId);
      if (sessionId !== undefined && this.#serving.get(sessionId) === served) this.#serving.delete(sessionId);
      this.#itemEnded?.();
    });
    return served;
  }

  #sandboxFor(sessionId: string): SessionSandbox {
    const sandbox = this.#sandboxes.get(sessionId) ?? new SessionSandbox(this.#binding(), sessionId);
    this.#sandboxes.set(sessionId, sandbox);
    return sandbox;
  }

  #binding(): BindingOptions {
    const { provider, ownerKey } = this.#given;
    const { environmentId, startTimeoutMs } = this.#options;
    return { environmentId, provider, spec: this.#spec, ownerKey, startTimeoutMs, observe: this.#observe, secrets: this.#secrets };
  }

  /** Keep, leave or destroy the session's sandbox. */
  async #afterItem(sessionId: string, because: ItemEnd): Promise<void> {
    const over = because === "session_terminated" || because === "session_deleted";
    const sandbox = this.#sandboxes.get(sessionId);
    if (over) {
      this.#sandboxes.delete(sessionId);
      await (sandbox ?? new SessionSandbox(this.#binding(), sessionId)).destroy();
      await this.#journal.forget(sessionId);
    } else if (sandbox !== undefined && because === "lease_lost") {
      // whoever serves the session now has taken it over
      this.#sandboxes.delete(sessionId);
      await sandbox.leave();
    } else if (sandbox !== undefined && because !== "shutdown") {
      if (this.#options.afterItem === "destroy") {
        this.#sandboxes.delete(sessionId);
        await sandbox.destroy();
      } else sandbox.keep();
    }
  }

  /** At the end of the worker. What dies with this process is destroyed in order. */
  async #leave(sandbox: SessionSandbox): Promise<void> {
    const { list } = this.#given.provider.capabilitiesFor(this.#spec);
    const outlives = list === false || list.scope !== "process";
    if (this.#options.atShutdown === "keep" && outlives) await sandbox.leave();
    else await sandbox.destroy();
  }

  async #sweepEvery(stop: AbortSignal): Promise<void> {
    const { sweepMs, environmentKey, environmentId, keepMs } = this.#options;
    if (sweepMs === 0) return;
    const client = controlPlaneClient(this.#options, environmentKey, this.#fetch);
    while (!stop.aborted) {
      const ended = await sweep({
        client,
        environmentId,
        provider: this.#given.provider,
        spec: this.#spec,
        keepMs,
        isServed: (sessionId) => this.#serving.has(sessionId),
        signal: stop,
      });
      for (const sessionId of ended) {
        if (this.#serving.has(sessionId)) continue;
        const sandbox = this.#sandboxes.get(sessionId) ?? new SessionSandbox(this.#binding(), sessionId);
        this.#sandboxes.delete(sessionId);
        await sandbox.destroy();
        await this.#journal.forget(sessionId);
      }
      await sleep(sweepMs, stop);
    }
  }

  /** Serve what another worker acknowledged and died over. */
  async #adoptEvery(stop: AbortSignal): Promise<void> {
    const { sweepMs, environmentKey, environmentId, maxSessions } = this.#options;
    if (sweepMs === 0) return;
    const client = controlPlaneClient(this.#options, environmentKey, this.#fetch);
    while (!stop.aborted) {
      const { items, tooYoung } = await findStranded({ client, environmentId, isServed: (id) => this.#workIds.has(id), signal: stop });
      for (const work of items) if (!stop.aborted && this.#items.size < maxSessions) void this.#serve(work, stop);
      await sleep(tooYoung ? strandedAfterMs : sweepMs, stop);
    }
  }
}
