import type { Thread } from "./calls.ts";
import type { SkewableClock } from "./clock.ts";
import { mintId } from "./credentials.ts";
import type { EventLog } from "./event-log.ts";
import { ApiFailure } from "./failure.ts";
import type { JsonObject, SessionStatus, StopReason } from "./wire.ts";

/** What a session shows of itself: its status and its threads', time and tokens used. Appends the events that tell of changes. */
export class StatusBoard {
  readonly #log: EventLog;
  readonly #clock: SkewableClock;
  /** By label; the primary thread has none. */
  readonly #threads = new Map<string | null, Thread>();
  #status: SessionStatus = "idle";
  /** When it left `running` last. */
  #idleSinceMs = -Infinity;
  #runningSinceMs: number | null = null;
  #activeMs = 0;
  #inputTokens = 0;
  #outputTokens = 0;

  constructor(agentName: string, log: EventLog, clock: SkewableClock) {
    this.#log = log;
    this.#clock = clock;
    this.#threads.set(null, this.#newThread(null, agentName, "idle"));
  }

  get status(): SessionStatus {
    return this.#status;
  }

  /** As a retrieval shows it, which may lag behind an idle event. */
  shownStatus(lagMs: number): SessionStatus {
    return this.#status === "idle" && this.#clock.now() - this.#idleSinceMs < lagMs ? "running" : this.#status;
  }

  /** The primary one first, then by age. */
  get threads(): readonly Thread[] {
    return [...this.#threads.values()];
  }

  get activeSeconds(): number {
    const sinceMs = this.#runningSinceMs === null ? 0 : this.#clock.now() - this.#runningSinceMs;
    return (this.#activeMs + sinceMs) / 1000;
  }

  get usage(): { readonly input_tokens: number; readonly output_tokens: number } {
    return { input_tokens: this.#inputTokens, output_tokens: this.#outputTokens };
  }

  countInput(text: string): void {
    this.#inputTokens += tokensIn(text);
  }

  /** Returns the tokens of this text alone. */
  countOutput(text: string): number {
    const tokens = tokensIn(text);
    this.#outputTokens += tokens;
    return tokens;
  }

  /** The thread with this label, made and told of at its first use. */
  thread(label: string | null): Thread {
    const known = this.#threads.get(label);
    if (known !== undefined) return known;
    const thread = this.#newThread(label, label ?? "", "running");
    this.#threads.set(label, thread);
    this.#log.append({ type: "session.thread_created", ...named(thread), workflow_run_id: null });
    this.#log.append({ type: "session.thread_status_running", ...named(thread) });
    return thread;
  }

  /** @param key a label or an id @throws {ApiFailure} 404 */
  findThread(key: string): Thread {
    return this.#threads.get(key) ?? this.threadById(key);
  }

  /** @throws {ApiFailure} 404 */
  threadById(id: string): Thread {
    for (const thread of this.#threads.values()) if (thread.id === id) return thread;
    throw new ApiFailure(404, `Thread ${id} not found.`);
  }

  toRunning(): void {
    if (this.#status !== "idle") return;
    this.#status = "running";
    this.#runningSinceMs = this.#clock.now();
    this.#log.append({ type: "session.status_running" });
    for (const thread of this.#threads.values()) {
      if (thread.state !== "idle") continue;
      this.#setState(thread, "running");
      this.#log.append({ type: "session.thread_status_running", ...named(thread) });
    }
  }

  /** Also from idle to idle: a changed reason is told anew. */
  toIdle(reason: StopReason, details: JsonObject | null): void {
    if (this.#status === "running") this.#idleSinceMs = this.#clock.now();
    this.#leaveRunning();
    this.#status = "idle";
    const stop = { stop_reason: reason, stop_details: details };
    for (const thread of this.#threads.values()) {
      if (thread.state !== "running") continue;
      this.#setState(thread, "idle");
      this.#log.append({ type: "session.thread_status_idle", ...named(thread), ...stop });
    }
    this.#log.append({ type: "session.usage", usage: { ...this.usage, active_seconds: this.activeSeconds } });
    this.#log.append({ type: "session.status_idle", ...stop });
  }

  toTerminated(): void {
    this.#leaveRunning();
    this.#status = "terminated";
    for (const thread of this.#threads.values()) this.#setState(thread, "terminated");
  }

  terminateThread(thread: Thread): void {
    this.#setState(thread, "terminated");
    this.#log.append({ type: "session.thread_status_terminated", ...named(thread) });
  }

  #newThread(label: string | null, agentName: string, state: "running" | "idle"): Thread {
    const createdAtMs = this.#clock.stampMs();
    return {
      id: mintId("sthr"),
      label,
      agentName,
      createdAtMs,
      updatedAtMs: createdAtMs,
      archivedAtMs: null,
      state,
      hasChanged: false,
      hasIdled: false,
      runningSinceMs: state === "running" ? this.#clock.now() : null,
      ranMs: 0,
    };
  }

  #setState(thread: Thread, state: Thread["state"]): void {
    if (thread.state === state) return;
    const nowMs = this.#clock.now();
    if (thread.runningSinceMs !== null) thread.ranMs += nowMs - thread.runningSinceMs;
    thread.runningSinceMs = state === "running" ? nowMs : null;
    thread.updatedAtMs = this.#clock.stampMs();
    thread.state = state;
    thread.hasChanged = true;
    thread.hasIdled ||= state === "idle";
  }

  #leaveRunning(): void {
    this.#activeMs = this.activeSeconds * 1000;
    this.#runningSinceMs = null;
  }
}

function named(thread: Thread): { readonly session_thread_id: string; readonly agent_name: string } {
  return { session_thread_id: thread.id, agent_name: thread.agentName };
}

/** A rule of thumb, so that usage grows as a real one does. */
function tokensIn(text: string): number {
  return Math.ceil(text.length / 4);
}
