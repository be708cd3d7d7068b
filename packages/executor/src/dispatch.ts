import type { CallDrop } from "./events.ts";
import type { SessionEvent } from "./stream.ts";
import { compareTimestamps } from "./timestamps.ts";

/** A call of a tool that a client has to answer. */
export interface ToolUse {
  readonly id: string;
  readonly name: string;
  readonly custom: boolean;
  readonly input: unknown;
  readonly processedAt: string | undefined;
  readonly threadId: string | undefined;
  /** As it came; anything but absent and `allow` is gated. */
  readonly permission: unknown;
}

/** What to know of a tool before it runs. */
export interface ToolTraits {
  /** Changes nothing, so that such calls may overlap. */
  readonly readOnly: boolean;
  /** Does nothing but look at or replace files, which is quick. */
  readonly onlyFiles: boolean;
}

/** `undefined`: the tool is some other client's. */
export type LookUpTool = (call: ToolUse) => ToolTraits | undefined;

export type Decision =
  | { readonly type: "run"; readonly call: ToolUse }
  | { readonly type: "hold"; readonly call: ToolUse; readonly because: "confirmation" | "unknown_permission" | "not_ours" }
  /** Its thread was interrupted: it is to be cancelled, and answered. Comes after its `run`. */
  | { readonly type: "interrupt"; readonly call: ToolUse }
  /** It will get no answer; if it runs it is to be cancelled. */
  | { readonly type: "drop"; readonly call: ToolUse; readonly because: CallDrop; readonly wasRunning: boolean };

interface OpenCall {
  readonly call: ToolUse;
  readonly traits: ToolTraits | undefined;
  interrupted: boolean;
  phase: "new" | "held" | "ready" | "running" | "posting";
}

/**
 * Which calls of a session run, and when. Knows only what it was told: facts go in by {@link learn} in any order and any number of times,
 * {@link decide} says what follows from all of them. Pure: no clock, nothing asynchronous.
 *
 * A call runs at most once. It waits for every call of its thread that became ready before it, unless both only read. For calls of other threads it waits
 * where both are file work, one of them changing something, and not for those that wait for a command of their own thread. A call that is held (for a
 * confirmation, or because it is another client's) holds up nobody; released, it takes its place at the end.
 */
export class Dispatcher {
  readonly #lookUp: LookUpTool;
  readonly #known = new Set<string>();
  readonly #answered = new Set<string>();
  readonly #verdicts = new Map<string, "allow" | "deny">();
  readonly #terminatedThreads = new Set<string>();
  readonly #open = new Map<string, OpenCall>();
  /** Ready and running ones in the order of their turn, and cancelled ones that have not ended yet. */
  readonly #order = new Map<string, OpenCall>();
  readonly #begun = new Set<string>();
  #ranElsewhere = false;
  #cutOff: string | undefined;
  /** The same for single threads. */
  readonly #threadCutOffs = new Map<string, string>();
  #sessionOver: "session_terminated" | "session_deleted" | undefined;

  constructor(lookUp: LookUpTool) {
    this.#lookUp = lookUp;
  }

  /** How the session ended, once it did. */
  get sessionOver(): "session_terminated" | "session_deleted" | undefined {
    return this.#sessionOver;
  }

  /** Calls that run, wait for their turn, or are being answered. */
  get busy(): number {
    let busy = this.#order.size;
    for (const { phase } of this.#open.values()) if (phase === "posting") busy++;
    return busy;
  }

  /** Calls held for a confirmation; those of other clients are not counted. */
  get held(): number {
    let held = 0;
    for (const { phase, traits } of this.#open.values()) if (phase === "held" && traits !== undefined) held++;
    return held;
  }

  /** Whether a call was answered that did not run here: an earlier worker served the session, so it had a sandbox. */
  get ranElsewhere(): boolean {
    return this.#ranElsewhere;
  }

  /** Whether a call with this id was told of, or its answer was. */
  knows(id: string): boolean {
    return this.#known.has(id) || this.#answered.has(id);
  }

  learn(event: SessionEvent): void {
    switch (event.type) {
      case "agent.tool_use":
      case "agent.custom_tool_use":
        this.#learnCall(event);
        break;
      case "user.tool_result":
        this.#learnAnswer(event["tool_use_id"]);
        break;
      // the service's own: of its tools, and for calls that nobody may answer any more
      case "agent.tool_result":
        if (typeof event["tool_use_id"] === "string") this.#answered.add(event["tool_use_id"]);
        break;
      case "user.custom_tool_result":
        if (typeof event["custom_tool_use_id"] === "string") this.#answered.add(event["custom_tool_use_id"]);
        break;
      case "user.tool_confirmation":
        this.#learnVerdict(event["tool_use_id"], event["result"]);
        break;
      case "user.interrupt":
        this.#learnInterrupt(event["session_thread_id"], event["processed_at"]);
        break;
      case "session.thread_status_terminated":
        if (typeof event["session_thread_id"] === "string") this.#terminatedThreads.add(event["session_thread_id"]);
        break;
      case "session.status_terminated":
        this.#sessionOver ??= "session_terminated";
        break;
      case "session.deleted":
        this.#sessionOver = "session_deleted";
        break;
      default: // unknown types pass
    }
  }

  /** Everything that is to be done now; each thing is said once. */
  decide(): readonly Decision[] {
    const decisions: Decision[] = [];
    for (const open of this.#open.values()) this.#judge(open, decisions);
    for (const open of this.#order.values()) {
      // an interrupted one is run to be answered: nothing of it begins
      const interrupted = this.#open.get(open.call.id) === open && isAtOrBefore(open.call, this.#threadCutOffs.get(open.call.threadId ?? ""));
      if (open.phase === "ready" && (interrupted || this.#mayRun(open))) {
        open.phase = "running";
        this.#begun.add(open.call.id);
        decisions.push({ type: "run", call: open.call });
      }
      if (!interrupted || open.interrupted) continue;
      open.interrupted = true;
      decisions.push({ type: "interrupt", call: open.call });
    }
    return decisions;
  }

  /** The call ran, or was cancelled and has ended: others may go on. Its answer is under way. */
  ended(id: string): void {
    this.#order.delete(id);
    const open = this.#open.get(id);
    if (open !== undefined) open.phase = "posting";
  }

  /** The call is answered, or nobody wants an answer. */
  settled(id: string): void {
    this.#answered.add(id);
    this.#open.delete(id);
    this.#order.delete(id);
  }

  #learnCall(event: SessionEvent): void {
    const { id, name, input, processed_at: processedAt, session_thread_id: threadId, evaluated_permission: permission } = event;
    if (typeof id !== "string" || this.#known.has(id)) return;
    this.#known.add(id);
    const call: ToolUse = {
      id,
      name: typeof name === "string" ? name : "",
      custom: event.type === "agent.custom_tool_use",
      input,
      processedAt: typeof processedAt === "string" ? processedAt : undefined,
      threadId: typeof threadId === "string" && threadId !== "" ? threadId : undefined,
      permission,
    };
    this.#open.set(id, { call, traits: this.#lookUp(call), interrupted: false, phase: "new" });
  }

  #learnAnswer(id: unknown): void {
    if (typeof id !== "string") return;
    this.#answered.add(id);
    const open = this.#open.get(id);
    const isForeign = open !== undefined && open.traits === undefined;
    if (!this.#begun.has(id) && !isForeign) this.#ranElsewhere = true;
  }

  /** Anything but `allow` is a denial, and a denial stays one. */
  #learnVerdict(id: unknown, result: unknown): void {
    if (typeof id !== "string" || this.#verdicts.get(id) === "deny") return;
    this.#verdicts.set(id, result === "allow" ? "allow" : "deny");
  }

  #learnInterrupt(threadId: unknown, processedAt: unknown): void {
    // queued ones are not applied yet
    if (typeof processedAt !== "string") return;
    if (typeof threadId !== "string" || threadId === "") this.#cutOff = later(this.#cutOff, processedAt);
    else this.#threadCutOffs.set(threadId, later(this.#threadCutOffs.get(threadId), processedAt));
  }

  #judge(open: OpenCall, decisions: Decision[]): void {
    const { call } = open;
    const because = this.#dropReason(call);
    if (because !== undefined) {
      this.#open.delete(call.id);
      if (open.phase === "posting") return;
      const wasRunning = open.phase === "running";
      if (!wasRunning) this.#order.delete(call.id);
      decisions.push({ type: "drop", call, because, wasRunning });
      return;
    }
    if (open.phase !== "new" && open.phase !== "held") return;
    const hold = this.#holdReason(open);
    if (hold === undefined) {
      open.phase = "ready";
      this.#order.set(call.id, open);
    } else if (open.phase === "new") {
      open.phase = "held";
      decisions.push({ type: "hold", call, because: hold });
    }
  }

  #dropReason(call: ToolUse): CallDrop | undefined {
    if (this.#sessionOver !== undefined) return "session_ended";
    if (this.#answered.has(call.id)) return "answered_elsewhere";
    if (call.threadId !== undefined && this.#terminatedThreads.has(call.threadId)) return "thread_terminated";
    if (isAtOrBefore(call, this.#cutOff)) return "interrupted";
    if (call.permission === "deny" || this.#verdicts.get(call.id) === "deny") return "denied";
    return undefined;
  }

  #holdReason({ call, traits }: OpenCall): "confirmation" | "unknown_permission" | "not_ours" | undefined {
    const free = call.permission === undefined || call.permission === "allow" || this.#verdicts.get(call.id) === "allow";
    if (!free) return call.permission === "ask" ? "confirmation" : "unknown_permission";
    return traits === undefined ? "not_ours" : undefined;
  }

  #mayRun(candidate: OpenCall): boolean {
    let earlier = true;
    for (const other of this.#order.values()) {
      if (other === candidate) earlier = false;
      else if (exclude(other, candidate) && (other.phase !== "ready" || (earlier && this.#comesFirst(other, candidate)))) return false;
    }
    return true;
  }

  /** Of one that waits for a command of its own thread, which may take long, other threads do not wait. */
  #comesFirst(earlier: OpenCall, candidate: OpenCall): boolean {
    if (ofOneThread(earlier, candidate)) return true;
    for (const before of this.#order.values()) {
      if (before === earlier) return true;
      if (ofOneThread(before, earlier) && before.traits?.onlyFiles !== true && exclude(before, earlier)) return false;
    }
    return true;
  }
}

function ofOneThread(a: OpenCall, b: OpenCall): boolean {
  return a.call.threadId === b.call.threadId;
}

/** Whether they must not run at once. */
function exclude(a: OpenCall, b: OpenCall): boolean {
  if (a.traits?.readOnly === true && b.traits?.readOnly === true) return false;
  return ofOneThread(a, b) || (a.traits?.onlyFiles === true && b.traits?.onlyFiles === true);
}

function isAtOrBefore({ processedAt }: ToolUse, cutOff: string | undefined): boolean {
  return cutOff !== undefined && processedAt !== undefined && compareTimestamps(processedAt, cutOff) <= 0;
}

function later(known: string | undefined, stamp: string): string {
  return known === undefined || compareTimestamps(stamp, known) > 0 ? stamp : known;
}
