import type { Clock } from "./clock.ts";
import { checkCall } from "./expect.ts";
import type { CallRecord, Failure, SessionReport } from "./report.ts";
import type { Brain, InterruptPlan, ToolCall, Turn } from "./script.ts";
import { type Session, SessionOver } from "./session.ts";

/** A brain at work on one session, and what has come of it. */
export interface Play {
  readonly finished: Promise<SessionReport>;
  report(): SessionReport;
}

/** Let `brain` play the model of `session`, from its first message until the session ends. */
export function play(session: Session, brain: Brain, clock: Clock): Play {
  const performer = new Performer(session, brain, clock);
  return { finished: performer.run(), report: () => performer.report("abandoned") };
}

class Performer {
  readonly #session: Session;
  readonly #brain: Brain;
  readonly #clock: Clock;
  readonly #failures: Failure[] = [];
  #startedAtMs: number;

  constructor(session: Session, brain: Brain, clock: Clock) {
    this.#session = session;
    this.#brain = brain;
    this.#clock = clock;
    this.#startedAtMs = clock.now();
  }

  report(status: SessionReport["status"]): SessionReport {
    const finishedAtMs = this.#clock.now();
    return {
      sessionId: this.#session.id,
      status,
      passed: this.#failures.length === 0,
      failures: [...this.#failures],
      calls: this.#session.records(),
      turns: this.#session.turns,
      startedAtMs: this.#startedAtMs,
      finishedAtMs,
      durationMs: finishedAtMs - this.#startedAtMs,
    };
  }

  async run(): Promise<SessionReport> {
    try {
      await this.#session.nextMessage();
      this.#startedAtMs = this.#clock.now();
      await this.#turns();
      if (this.#session.turnOpen) this.#session.endTurn({ type: "end_turn" });
    } catch (error) {
      if (error instanceof SessionOver) return this.report(statusOf(error));
      this.#fail(error);
    }
    void this.#acknowledge();
    return this.report(this.#session.life.signal.aborted ? statusOf(this.#session.life.signal.reason) : "completed");
  }

  async #turns(): Promise<void> {
    const { id: sessionId, life, messages } = this.#session;
    const turns = this.#brain({ sessionId, signal: life.signal, messages });
    try {
      let calls: readonly CallRecord[] = [];
      for (;;) {
        const next = await life.orOver(turns.next(calls));
        if (next.done === true) return;
        calls = await this.#turn(next.value);
      }
    } finally {
      // a generator that hangs on something of its own must not hold up the report
      turns.return().catch(() => undefined);
    }
  }

  async #turn(turn: Turn): Promise<readonly CallRecord[]> {
    const session = this.#session;
    if (turn.pauseMs !== undefined && turn.pauseMs > 0) await session.life.sleep(turn.pauseMs);
    if (turn.user !== undefined) session.accept([{ type: "user.message", content: [{ type: "text", text: turn.user }] }]);
    if (session.turnOpen) session.applyMessages();
    else await session.nextMessage();
    const specs = turn.calls ?? [];
    const emitted = session.emitTurn({ thinking: turn.thinking ?? false, message: turn.message ?? null, events: turn.events ?? [], calls: specs });
    for (const label of turn.terminateThreads ?? []) session.terminateThread(session.findThread(label));
    if ((turn.idleDelayMs ?? 0) > 0) session.life.later(turn.idleDelayMs ?? 0, () => session.idleOnOpenCalls());
    else session.idleOnOpenCalls();
    this.#scheduleVerdicts(specs, emitted);
    if (turn.interrupt !== undefined) this.#scheduleInterrupt(turn.interrupt, emitted.length);
    try {
      await session.settled();
    } finally {
      this.#judge(specs, emitted);
    }
    if (turn.idle !== undefined && session.turnOpen) session.endTurn(turn.idle, turn.stopDetails ?? null);
    if (turn.end !== undefined) session.end(turn.end === "deleted" ? "session.deleted" : "session.status_terminated", true);
    return emitted.map((call) => session.record(call.id) ?? call);
  }

  #scheduleVerdicts(specs: readonly ToolCall[], emitted: readonly CallRecord[]): void {
    for (const [position, { confirm }] of specs.entries()) {
      const call = emitted[position];
      if (confirm === undefined || call === undefined) continue;
      this.#afterwards(confirm.afterMs ?? 0, () => {
        if (this.#session.record(call.id)?.outcome !== "open") return;
        const deny = confirm.denyMessage === undefined ? {} : { deny_message: confirm.denyMessage };
        this.#session.accept([{ type: "user.tool_confirmation", tool_use_id: call.id, result: confirm.result, ...deny }]);
      });
    }
  }

  #scheduleInterrupt(plan: InterruptPlan, calls: number): void {
    const session = this.#session;
    const { turns } = session;
    const openAtMost = calls - (plan.afterSettled ?? 0);
    const thread = plan.thread === undefined ? {} : { session_thread_id: session.findThread(plan.thread).id };
    const strike = (): void =>
      this.#afterwards(plan.afterMs ?? 0, () => {
        if (session.openCalls > 0 && session.turns === turns) session.accept([{ type: "user.interrupt", ...thread }]);
      });
    if (session.openCalls <= openAtMost) return strike();
    const stopListening = session.log.listen(() => {
      if (session.openCalls > openAtMost) return;
      stopListening();
      queueMicrotask(strike); // the events of this tick come first
    });
    session.life.signal.addEventListener("abort", stopListening, { once: true });
  }

  #afterwards(delayMs: number, action: () => void): void {
    if (delayMs > 0) this.#session.life.later(delayMs, action);
    else action();
  }

  #judge(specs: readonly ToolCall[], emitted: readonly CallRecord[]): void {
    for (const [position, { expect }] of specs.entries()) {
      const call = this.#session.record(emitted[position]?.id ?? "");
      if (expect !== undefined && call !== undefined) this.#failures.push(...checkCall(call, expect));
    }
  }

  #fail(error: unknown): void {
    const message = `the brain failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`;
    this.#failures.push({ callId: null, message });
    this.#session.log.append({
      type: "session.error",
      error: { type: "unknown_error", message: "The scripted brain failed.", retry_status: { type: "terminal" } },
    });
    if (this.#session.turnOpen) this.#session.endTurn({ type: "retries_exhausted" });
  }

  /** The brain has nothing more to say: every further message gets a turn that ends at once. */
  async #acknowledge(): Promise<void> {
    try {
      for (;;) {
        await this.#session.nextMessage();
        this.#session.endTurn({ type: "end_turn" });
      }
    } catch (error) {
      if (!(error instanceof SessionOver)) throw error;
    }
  }
}

function statusOf(over: SessionOver): SessionReport["status"] {
  if (over.message === "session.deleted") return "deleted";
  return over.message === "abandoned" ? "abandoned" : "terminated";
}
