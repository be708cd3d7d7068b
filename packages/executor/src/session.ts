import type Anthropic from "@anthropic-ai/sdk";
import type { SessionSandbox } from "./binding.ts";
import { textOf } from "./content.ts";
import { EventSender } from "./event-sender.ts";
import { type Decision, Dispatcher, type ToolTraits, type ToolUse } from "./dispatch.ts";
import type { CallName, ItemEnd, Observe, Secrets } from "./events.ts";
import type { Journal } from "./journal.ts";
import type { Lease } from "./lease.ts";
import { keysOf } from "./routing.ts";
import { CallAbort, type CallOutcome, CallRunner, isDropped } from "./run-call.ts";
import { sendResult } from "./send.ts";
import type { SessionStaging } from "./staging.ts";
import { EventFeed, type FeedItem, type SessionEvent } from "./stream.ts";
import type { PreparedCustomTool } from "./tools/custom.ts";
import { agentToolset } from "./tools/toolset.ts";
import { Alarm, sleep } from "./wait.ts";

export interface SessionOptions {
  readonly client: Anthropic;
  /** What `client` uses. */
  readonly fetch: typeof fetch;
  readonly workId: string;
  readonly sessionId: string;
  readonly sandbox: SessionSandbox;
  readonly staging: SessionStaging;
  readonly journal: Journal;
  readonly customTools: ReadonlyMap<string, PreparedCustomTool>;
  readonly timeoutMs: (tool: string) => number;
  readonly maxIdleMs: number;
  readonly maxHeldMs: number;
  readonly drainMs: number;
  readonly observe: Observe;
  readonly secrets: Secrets;
  readonly lease: Pick<Lease, "holds" | "confirmed">;
  /** The lease ended: stop now. Its reason is the {@link ItemEnd}. */
  readonly leaseEnd: AbortSignal;
  /** The worker stops: finish what runs. */
  readonly stop: AbortSignal;
}

export interface SessionEnd {
  readonly because: ItemEnd;
  /** Whether the session waits for its user. If not, more calls will come or are open, and somebody must serve them. */
  readonly turnOver: boolean;
}

/** What happens between a call and its confirmation says nothing about whether the session goes on. */
const idleNeutral: ReadonlySet<string> = new Set(["user.tool_confirmation", "session.thread_status_terminated", "user.interrupt"]);
/** After the drain, what cancelled calls are given to end and to be answered, in ms. */
const afterDrainMs = 8_000;

/** Serves one session for as long as its item is held: events in, every call answered once. */
export class Session {
  readonly #options: SessionOptions;
  readonly #dispatcher: Dispatcher;
  readonly #runner: CallRunner;
  readonly #sender: EventSender;
  readonly #running = new Map<string, { readonly call: ToolUse; readonly controller: AbortController }>();
  readonly #underWay = new Set<Promise<void>>();
  readonly #end = Promise.withResolvers<ItemEnd>();
  readonly #over = new AbortController();
  readonly #idleAlarm = new Alarm(() => this.#end.resolve("idle"));
  readonly #heldAlarm = new Alarm(() => this.#end.resolve("held"));

  /** Ids that the session waits for and that no event has told of; each is looked for once. */
  readonly #sought = new Set<string>();
  #feed: EventFeed | undefined;
  #turnOver = false;
  /** Nothing is dispatched before the history is known, or known to be missing. */
  #informed = false;
  #sawLive = false;
  #draining = false;
  #awaitsLease = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#dispatcher = new Dispatcher((call) => this.#lookUp(call));
    const { client, fetch: fetchFunction, sessionId, sandbox, staging, lease, journal, customTools, timeoutMs, secrets } = options;
    this.#sender = new EventSender(client, fetchFunction, sessionId);
    this.#runner = new CallRunner({
      sessionId,
      sandbox,
      staging,
      lease,
      journal,
      customTools,
      timeoutMs,
      secrets,
      ranElsewhere: () => this.#dispatcher.ranElsewhere,
    });
  }

  /** Never rejects for what the session, its sandbox or the network do. */
  async serve(): Promise<SessionEnd> {
    const { leaseEnd, stop } = this.#options;
    const onLeaseEnd = (): void => this.#end.resolve(leaseEnd.reason as ItemEnd);
    const onStop = (): void => this.#end.resolve("shutdown");
    leaseEnd.addEventListener("abort", onLeaseEnd, { once: true });
    stop.addEventListener("abort", onStop, { once: true });
    if (leaseEnd.aborted) onLeaseEnd();
    if (stop.aborted) onStop();
    const { client, workId, sessionId, observe, secrets } = this.#options;
    this.#feed = new EventFeed({ client, workId, sessionId, observe, secrets, signal: this.#over.signal });
    const reading = this.#read(this.#feed);
    try {
      const because = await this.#end.promise;
      await this.#wind(because);
      return { because, turnOver: this.#turnOver };
    } finally {
      this.#over.abort();
      this.#idleAlarm.clear();
      this.#heldAlarm.clear();
      leaseEnd.removeEventListener("abort", onLeaseEnd);
      stop.removeEventListener("abort", onStop);
      await reading;
    }
  }

  async #read(feed: EventFeed): Promise<void> {
    for await (const item of feed.items()) {
      if (this.#over.signal.aborted) continue;
      this.#take(item);
      this.#advance();
    }
  }

  #take(item: FeedItem): void {
    switch (item.type) {
      case "connected":
        this.#sawLive = false;
        break;
      case "history":
        for (const event of item.events) this.#learn(event, this.#sawLive);
        break;
      case "history_complete":
      case "history_missing":
        this.#informed = true;
        break;
      case "event":
        this.#sawLive = true;
        this.#learn(item.event, false);
        this.#seek(awaitedCalls(item.event));
        break;
      case "refused":
        this.#end.resolve("failed");
        break;
    }
  }

  #learn(event: SessionEvent, old: boolean): void {
    this.#dispatcher.learn(event);
    if (old || idleNeutral.has(event.type)) return;
    this.#turnOver = endsTurn(event);
    this.#idleAlarm.clear();
    this.#heldAlarm.clear();
  }

  /** The session waits for calls that a frame which got lost on its way told of: history has them. */
  #seek(ids: readonly string[]): void {
    const missing = ids.filter((id) => !this.#dispatcher.knows(id) && !this.#sought.has(id));
    for (const id of missing) this.#sought.add(id);
    if (missing.length > 0) this.#feed?.reread();
  }

  /** Do what follows from what is known, and set the clocks. */
  #advance(): void {
    if (this.#dispatcher.sessionOver !== undefined) {
      this.#apply(this.#dispatcher.decide());
      this.#end.resolve(this.#dispatcher.sessionOver);
      return;
    }
    if (this.#informed && !this.#draining && this.#mayBegin()) this.#apply(this.#dispatcher.decide());
    const { maxIdleMs, maxHeldMs } = this.#options;
    const busy = this.#dispatcher.busy > 0;
    setOrClear(this.#heldAlarm, !busy, maxHeldMs);
    setOrClear(this.#idleAlarm, !busy && this.#informed && this.#turnOver && this.#dispatcher.held === 0, maxIdleMs);
  }

  /** Nothing is begun while the item may be another worker's; when that is known, what waited follows. */
  #mayBegin(): boolean {
    const { lease } = this.#options;
    if (lease.holds) return true;
    if (!this.#awaitsLease) {
      this.#awaitsLease = true;
      void lease.confirmed().then(() => {
        this.#awaitsLease = false;
        this.#advance();
      });
    }
    return false;
  }

  #apply(decisions: readonly Decision[]): void {
    const { observe } = this.#options;
    for (const decision of decisions) {
      const name = this.#nameOf(decision.call);
      switch (decision.type) {
        case "hold":
          observe({ type: "call.held", because: decision.because, ...name });
          break;
        case "drop":
          observe({ type: "call.dropped", because: decision.because, wasRunning: decision.wasRunning, ...name });
          this.#running.get(decision.call.id)?.controller.abort(new CallAbort("dropped"));
          break;
        case "interrupt":
          this.#running.get(decision.call.id)?.controller.abort(new CallAbort("interrupted"));
          break;
        case "run":
          this.#start(decision.call);
          break;
      }
    }
  }

  #start(call: ToolUse): void {
    const controller = new AbortController();
    this.#running.set(call.id, { call, controller });
    const running: Promise<void> = this.#runAndAnswer(call, controller).catch((error: unknown) => {
      // the journal or the executor itself failed: the call stays unanswered, and whoever serves the session next sees it
      this.#options.observe({ type: "call.unsent", failure: this.#options.secrets.failure(error), ...this.#nameOf(call) });
      this.#end.resolve("failed");
    });
    this.#underWay.add(running);
    void running.then(() => {
      this.#underWay.delete(running);
      this.#advance();
    });
  }

  async #runAndAnswer(call: ToolUse, controller: AbortController): Promise<void> {
    const { observe } = this.#options;
    const name = this.#nameOf(call);
    observe({ type: "call.started", input: call.input, ...name });
    const startedAt = performance.now();
    let outcome: CallOutcome | "settled";
    try {
      outcome = await this.#runner.run(call, controller.signal);
    } catch (error) {
      if (!(error instanceof CallAbort)) throw error;
      this.#dispatcher.ended(call.id);
      return;
    } finally {
      this.#running.delete(call.id);
    }
    if (outcome === "settled") return this.#dispatcher.settled(call.id);
    const { result, replayed } = outcome;
    observe({
      type: "call.finished",
      isError: result.isError,
      text: textOf(result.content),
      durationMs: performance.now() - startedAt,
      replayed,
      ...name,
    });
    this.#dispatcher.ended(call.id);
    this.#advance();
    if (isDropped(controller.signal)) return;
    await this.#answer(call, outcome);
  }

  async #answer(call: ToolUse, { result }: CallOutcome): Promise<void> {
    const { sessionId, journal, sandbox, observe, secrets } = this.#options;
    const name = this.#nameOf(call);
    const onFailure = (failure: ReturnType<Secrets["failure"]>, retryInMs: number | undefined): void =>
      observe({ type: "call.unsent", failure, ...(retryInMs === undefined ? {} : { retryInMs }), ...name });
    const sent = await sendResult(call, result, { sender: this.#sender, secrets, signal: this.#over.signal, onFailure });
    if (sent.outcome === "unsent") {
      // refused for good, or the session ends: the journal keeps the result
      this.#end.resolve("failed");
      return;
    }
    this.#dispatcher.settled(call.id);
    await journal.sent({ sessionId, callId: call.id });
    observe({ type: "call.sent", ...sent, ...name });
    if (!call.custom && agentToolset.get(call.name)?.readOnly === false) sandbox.forget(keysOf(sessionId, call));
  }

  /** End what runs, as the end demands. */
  async #wind(because: ItemEnd): Promise<void> {
    this.#draining = true;
    const all = async (): Promise<void> => void (await Promise.all(this.#underWay));
    if (because === "shutdown") {
      const drained = new AbortController();
      await Promise.race([all(), sleep(this.#options.drainMs, drained.signal)]);
      this.#abortAll(new CallAbort("shutdown"));
      await Promise.race([all(), sleep(afterDrainMs, drained.signal)]);
      drained.abort();
    }
    for (const { call, controller } of this.#running.values()) {
      if (controller.signal.aborted) continue;
      this.#options.observe({ type: "call.dropped", because: "item_ended", wasRunning: true, ...this.#nameOf(call) });
    }
    this.#over.abort();
    if (because === "lease_lost") {
      this.#abortAll(new CallAbort("left"));
      await this.#options.sandbox.leave();
    } else this.#abortAll(new CallAbort("dropped"));
    await all();
  }

  #abortAll(reason: CallAbort): void {
    for (const { controller } of this.#running.values()) controller.abort(reason);
  }

  #lookUp(call: ToolUse): ToolTraits | undefined {
    if (!call.custom) return agentToolset.get(call.name);
    const custom = this.#options.customTools.get(call.name);
    return custom === undefined ? undefined : { readOnly: custom.tool.readOnly === true, onlyFiles: false };
  }

  #nameOf(call: ToolUse): CallName {
    const { workId, sessionId } = this.#options;
    return {
      workId,
      sessionId,
      callId: call.id,
      tool: call.name,
      custom: call.custom,
      ...(call.threadId === undefined ? {} : { threadId: call.threadId }),
    };
  }
}

/** The ids of `requires_action`. */
function awaitedCalls(event: SessionEvent): readonly string[] {
  if (event.type !== "session.status_idle") return [];
  const reason: unknown = event["stop_reason"];
  const ids: unknown = typeof reason === "object" && reason !== null && "event_ids" in reason ? reason.event_ids : undefined;
  return Array.isArray(ids) ? ids.filter((id): id is string => typeof id === "string") : [];
}

function endsTurn(event: SessionEvent): boolean {
  if (event.type !== "session.status_idle") return false;
  const reason: unknown = event["stop_reason"];
  return !(typeof reason === "object" && reason !== null && "type" in reason && reason.type === "requires_action");
}

function setOrClear(alarm: Alarm, wanted: boolean, ms: number): void {
  if (!wanted) alarm.clear();
  else if (!alarm.isSet) alarm.set(ms);
}
