import { checkAcceptance } from "./acceptance.ts";
import type { Behaviour } from "./behaviour.ts";
import {
  kindOfResult,
  onThread,
  permissionOf,
  resultParams,
  serverResultEvent,
  textBlocks,
  toolUseEvent,
  toRecord,
  toResult,
  type Call,
  type Thread,
} from "./calls.ts";
import type { SkewableClock } from "./clock.ts";
import { mintId } from "./credentials.ts";
import { EventLog } from "./event-log.ts";
import { ApiFailure } from "./failure.ts";
import { Lifetime } from "./lifetime.ts";
import type { CallRecord, CallResult } from "./report.ts";
import type { ToolCall } from "./script.ts";
import { StatusBoard } from "./session-status.ts";
import type { ContentBlock, EventParams, JsonObject, SessionEvent, SessionStatus, StopReason } from "./wire.ts";

const interruptedText = "Tool execution was interrupted before completion. Please retry.";

/** Thrown into whatever waits on a session that is no more. */
export class SessionOver extends Error {
  override readonly name = "SessionOver";
}

export interface SessionContext {
  readonly clock: SkewableClock;
  readonly behaviour: Behaviour;
  /** Whether tools run on a worker of the customer's, and not in the service's own container. */
  readonly selfHosted: boolean;
  /** Queue a work item for the session unless one is live. */
  readonly wake: () => void;
  /** The session was deleted: forget it and end its streams. */
  readonly deleted: () => void;
}

/** One session's state and what its events do. What is refused stands in `session-rules`; who plays the model is `play`'s business, HTTP the handlers'. */
export class Session {
  readonly id: string = mintId("sesn");
  readonly log: EventLog;
  readonly createdAtMs: number;
  readonly messages: string[] = [];
  readonly #context: SessionContext;
  /** Ends with the session; the reason is a `SessionOver`. */
  readonly life: Lifetime;
  readonly #calls = new Map<string, Call>();
  readonly #open = new Set<Call>();
  readonly #board: StatusBoard;
  readonly #waitingMessages: string[] = [];
  #turnOpen = false;
  #turn = -1;
  #settledUnsaid = false;
  #onMessage: (() => void) | null = null;
  #onSettled: (() => void) | null = null;

  constructor(agentName: string, context: SessionContext) {
    this.#context = context;
    this.createdAtMs = context.clock.stampMs();
    this.life = new Lifetime(context.clock);
    this.log = new EventLog(context.clock, context.behaviour.historyOrder);
    this.#board = new StatusBoard(agentName, this.log, context.clock);
  }

  get status(): SessionStatus {
    return this.#board.status;
  }

  /** As a retrieval shows it, which may lag behind an idle event. */
  get shownStatus(): SessionStatus {
    return this.#board.shownStatus(this.#context.behaviour.statusLagMs);
  }

  /** The primary one first, then by age. */
  get threads(): readonly Thread[] {
    return this.#board.threads;
  }

  /** False before the first message, after an idle that ended a turn, and after an interrupt. */
  get turnOpen(): boolean {
    return this.#turnOpen;
  }

  get turns(): number {
    return this.#turn + 1;
  }

  get activeSeconds(): number {
    return this.#board.activeSeconds;
  }

  get usage(): { readonly input_tokens: number; readonly output_tokens: number } {
    return this.#board.usage;
  }

  records(): readonly CallRecord[] {
    return [...this.#calls.values()].map(toRecord);
  }

  record(callId: string): CallRecord | undefined {
    const call = this.#calls.get(callId);
    return call && toRecord(call);
  }

  // What clients send.

  /**
   * Check all events, then apply them in order.
   * @throws {ApiFailure} 400, and nothing was applied
   */
  accept(events: readonly EventParams[]): readonly SessionEvent[] {
    if (this.status === "terminated") throw new ApiFailure(400, `Session ${this.id} is terminated and accepts no events.`);
    const { behaviour, selfHosted } = this.#context;
    checkAcceptance(events, {
      behaviour,
      selfHosted,
      callOf: (event) => this.#callOf(event),
      checkThread: (threadId) => void this.#board.threadById(threadId),
    });
    const stored = events.map((event) => this.#apply(event));
    this.#afterSettling();
    return stored;
  }

  #apply(event: EventParams): SessionEvent {
    switch (event.type) {
      case "user.message":
        return this.#message(event);
      case "user.interrupt":
        return this.#interrupt(event);
      case "user.tool_confirmation":
        return this.#confirm(event);
      case "user.tool_result":
      case "user.custom_tool_result":
        return this.#result(event);
      default:
        return this.log.append(event);
    }
  }

  #message(event: EventParams): SessionEvent {
    const stored = this.log.append(event, { queued: true });
    this.#waitingMessages.push(stored.id);
    this.#context.wake();
    this.#onMessage?.();
    return stored;
  }

  #interrupt(event: EventParams): SessionEvent {
    const stored = this.log.append(event, { queued: true });
    this.#context.wake();
    const apply = (): void => {
      this.log.process(stored.id);
      const threadId = event["session_thread_id"];
      this.#applyInterrupt(typeof threadId === "string" ? this.#board.threadById(threadId) : null);
    };
    if (this.#context.behaviour.interruptLagMs > 0) this.life.later(this.#context.behaviour.interruptLagMs, apply);
    else apply();
    return stored;
  }

  #applyInterrupt(thread: Thread | null): void {
    const affected = [...this.#open].filter((call) => thread === null || call.thread === thread);
    for (const call of affected) this.#settleByServer(call, "interrupted", toResult(textBlocks(interruptedText), true));
    if (thread !== null) return this.#afterSettling();
    this.endTurn({ type: "end_turn" });
    this.#onSettled?.();
  }

  #confirm(event: EventParams): SessionEvent {
    const call = this.#callOf(event);
    const stored = this.log.append({ ...event, ...onThread(call) }, { queued: true });
    this.log.process(stored.id);
    call.gate = "open";
    if (event["result"] === "deny") {
      const reason = typeof event["deny_message"] === "string" ? `: ${event["deny_message"]}` : ".";
      this.#settleByServer(call, "denied", toResult(textBlocks(`The user denied this tool use${reason}`), true));
    } else if (call.kind === "mcp" || call.spec.answer?.by === "server") {
      this.#answerByServer(call);
    } else {
      this.#afterAllow();
      this.#answerByApplication(call);
    }
    return stored;
  }

  #afterAllow(): void {
    if (this.status !== "idle") return;
    if (this.#context.behaviour.afterAllow === "requires_action") return this.#idleOnOpenCalls();
    if ([...this.#open].every((call) => call.gate === "open")) this.#board.toRunning();
  }

  #result(event: EventParams): SessionEvent {
    const call = this.#callOf(event);
    const stored = this.log.append({ ...event, ...onThread(call) });
    if (kindOfResult(event) === call.kind) {
      const content = (event["content"] ?? []) as readonly ContentBlock[];
      this.#settle(call, "result", toResult(content, event["is_error"] === true));
    }
    return stored;
  }

  #callOf(event: EventParams): Call {
    const id = String(event["tool_use_id"] ?? event["custom_tool_use_id"]);
    const call = this.#calls.get(id);
    if (call === undefined) throw new ApiFailure(this.#context.behaviour.settledResultStatus, `No tool use ${id} in session ${this.id}.`);
    return call;
  }

  // What the model does.

  /** Wait for a user's message and open a turn with all that came. @throws {SessionOver} */
  async nextMessage(): Promise<void> {
    this.life.signal.throwIfAborted();
    if (this.#waitingMessages.length === 0) await this.life.wait((resolve) => (this.#onMessage = resolve));
    this.#onMessage = null;
    this.#turnOpen = true;
    this.applyMessages();
    this.#board.toRunning();
  }

  /** Apply the messages that came while the turn was open. */
  applyMessages(): void {
    for (const id of this.#waitingMessages.splice(0)) {
      const event = this.log.process(id);
      const content = (event["content"] ?? []) as readonly ContentBlock[];
      const { text } = toResult(content, false);
      this.messages.push(text);
      this.#board.countInput(text);
    }
  }

  /** One model request. Everything is emitted on one tick, so that a stream carries it in one write. Returns the calls, denied ones included. */
  emitTurn(say: {
    readonly thinking: boolean;
    readonly message: string | null;
    readonly events: readonly EventParams[];
    readonly calls: readonly ToolCall[];
  }): readonly CallRecord[] {
    this.#turn += 1;
    const start = this.log.append({ type: "span.model_request_start" });
    if (say.thinking) this.log.append({ type: "agent.thinking" });
    if (say.message !== null) this.log.append({ type: "agent.message", content: textBlocks(say.message) });
    for (const event of say.events) this.log.append(event);
    const output = this.#board.countOutput(`${say.message ?? ""}${JSON.stringify(say.calls.map((call) => call.input ?? {}))}`);
    const end = {
      type: "span.model_request_end",
      model_request_start_id: start.id,
      is_error: false,
      model_usage: { input_tokens: this.usage.input_tokens, output_tokens: output, cache_creation_input_tokens: 0, cache_read_input_tokens: 0 },
    };
    const callsLast = this.#context.behaviour.toolUsePosition === "after_span_end";
    if (callsLast) this.log.append(end);
    const calls = say.calls.map((spec) => this.#emitCall(spec));
    if (!callsLast) this.log.append(end);
    for (const call of calls) {
      if (permissionOf(call.spec) === "deny") this.#settleByServer(call, "denied", toResult(textBlocks("This tool use was denied by policy."), true));
      else if (call.gate === "open") this.#startAnswer(call);
    }
    this.#settledUnsaid = false;
    return calls.map(toRecord);
  }

  /** Idle on what is still open, if anything is. */
  idleOnOpenCalls(): void {
    if (this.#open.size > 0 && this.status === "running") this.#idleOnOpenCalls();
  }

  get openCalls(): number {
    return this.#open.size;
  }

  /** Resolves when no call is open, or an interrupt ended the turn. @throws {SessionOver} */
  async settled(): Promise<void> {
    while (this.#open.size > 0 && this.#turnOpen) await this.life.wait((resolve) => (this.#onSettled = resolve));
    this.#onSettled = null;
  }

  endTurn(reason: StopReason, details: JsonObject | null = null): void {
    this.#turnOpen = false;
    this.#board.toIdle(reason, details);
  }

  // Endings.

  terminateThread(thread: Thread): void {
    if (thread.state === "terminated") return;
    this.#board.terminateThread(thread);
    for (const call of this.#open) if (call.thread === thread) this.#settle(call, "dropped", null);
    this.#afterSettling();
  }

  /** Idempotent. @throws {ApiFailure} 400: it is the primary one, or runs */
  archiveThread(thread: Thread): void {
    if (thread.label === null) throw new ApiFailure(400, `Thread ${thread.id} is the session's primary thread and cannot be archived.`);
    if (thread.state === "running") throw new ApiFailure(400, `Thread ${thread.id} is running and cannot be archived; interrupt it first.`);
    if (thread.archivedAtMs !== null) return;
    this.terminateThread(thread);
    thread.archivedAtMs = this.#context.clock.stampMs();
  }

  /** Idempotent. @param type the event that tells it */
  end(type: "session.status_terminated" | "session.deleted", live: boolean): void {
    if (this.status === "terminated" && type === "session.status_terminated") return;
    this.#board.toTerminated();
    this.#turnOpen = false;
    for (const call of this.#open) this.#settle(call, "dropped", null);
    this.log.append({ type }, { live });
    this.life.end(new SessionOver(type));
    if (type === "session.deleted") this.#context.deleted();
  }

  /** The simulator is closing: nothing is told to anybody. */
  abandon(): void {
    this.life.end(new SessionOver("abandoned"));
  }

  /** @param key a label or an id @throws {ApiFailure} 404 */
  findThread(key: string): Thread {
    return this.#board.findThread(key);
  }

  // Calls.

  #emitCall(spec: ToolCall): Call {
    const thread = this.#board.thread(spec.thread ?? null);
    const event = this.log.append(toolUseEvent(spec, thread.label === null ? null : thread.id));
    const permission = permissionOf(spec);
    const call: Call = {
      id: event.id,
      spec,
      kind: spec.kind ?? "agent",
      thread,
      turn: this.#turn,
      emittedAtMs: this.#context.clock.now(),
      gate: permission === "allow" || permission === "absent" || permission === "deny" ? "open" : "waiting",
      outcome: "open",
      settledAtMs: null,
      result: null,
    };
    this.#calls.set(call.id, call);
    this.#open.add(call);
    return call;
  }

  #startAnswer(call: Call): void {
    if (call.kind === "mcp" || call.spec.answer?.by === "server") this.#answerByServer(call);
    else this.#answerByApplication(call);
  }

  #answerByServer(call: Call): void {
    const { text = "", isError = false, afterMs = 0 } = call.spec.answer ?? {};
    const answer = (): void => {
      if (call.outcome === "open") this.#settleByServer(call, "result", toResult(textBlocks(text), isError));
    };
    if (afterMs === 0) return answer();
    this.life.later(afterMs, () => {
      answer();
      this.#afterSettling();
    });
  }

  #answerByApplication(call: Call): void {
    const { answer } = call.spec;
    if (answer?.by !== "application") return;
    this.life.later(answer.afterMs ?? 0, () => {
      if (call.outcome === "open") this.accept([resultParams(call, textBlocks(answer.text), answer.isError ?? false)]);
    });
  }

  /** The event with which a client answers an open call. @throws {ApiFailure} 400 */
  answerFor(callId: string, content: readonly ContentBlock[], isError: boolean): EventParams {
    return resultParams(this.#callOf({ type: "user.tool_result", tool_use_id: callId }), content, isError);
  }

  #settleByServer(call: Call, outcome: Call["outcome"], result: CallResult): void {
    this.log.append(serverResultEvent(call, result));
    this.#settle(call, outcome, result);
  }

  #settle(call: Call, outcome: Call["outcome"], result: CallResult | null): void {
    call.outcome = outcome;
    call.result = result;
    call.settledAtMs = this.#context.clock.now();
    this.#open.delete(call);
    this.#settledUnsaid = true;
    this.#board.countInput(result?.text ?? "");
  }

  /** Show in the status what was settled since the status was shown last. */
  #afterSettling(): void {
    if (!this.#settledUnsaid) return;
    this.#settledUnsaid = false;
    if (this.#open.size > 0) {
      if (this.status === "idle") this.#idleOnOpenCalls();
      return;
    }
    if (this.#turnOpen) this.#board.toRunning();
    this.#onSettled?.();
  }

  #idleOnOpenCalls(): void {
    this.#board.toIdle({ type: "requires_action", event_ids: [...this.#open].map((call) => call.id) }, null);
  }
}
