import { type Sandbox, SandboxError } from "@glovebox/core";
import type { Bound, SessionSandbox } from "./binding.ts";
import type { ResultBlock } from "./content.ts";
import type { ToolUse } from "./dispatch.ts";
import type { Secrets } from "./events.ts";
import type { CallResult, Journal } from "./journal.ts";
import type { Lease } from "./lease.ts";
import { blockResult, textResult } from "./result-blocks.ts";
import { callKeyFor } from "./routing.ts";
import type { PreparedCustomTool } from "./tools/custom.ts";
import type { SessionStaging } from "./staging.ts";
import { type AgentTool, type ToolContext, ToolError, parseInput, plainMessage } from "./tools/tool.ts";
import { agentToolset } from "./tools/toolset.ts";
import { orAbort } from "./wait.ts";

/** `shutdown` and `interrupted` are answered, `dropped` and `left` are not. `left`: the session is another worker's, and what runs in the sandbox goes on. */
type AbortCause = "dropped" | "interrupted" | "left" | "shutdown" | "timeout";

/** Why a running call is aborted. */
export class CallAbort extends Error {
  override readonly name = "AbortError";
  readonly because: AbortCause;

  constructor(because: AbortCause) {
    super("This operation was aborted");
    this.because = because;
  }
}

export interface RunCallOptions {
  readonly sessionId: string;
  readonly sandbox: SessionSandbox;
  readonly staging: Pick<SessionStaging, "ready" | "notes">;
  readonly lease: Pick<Lease, "confirmed">;
  readonly journal: Journal;
  readonly customTools: ReadonlyMap<string, PreparedCustomTool>;
  readonly timeoutMs: (tool: string) => number;
  readonly secrets: Secrets;
  /** Whether calls of the session ran under an earlier worker, in a sandbox that may be gone. */
  readonly ranElsewhere: () => boolean;
}

export interface CallOutcome {
  readonly result: CallResult;
  /** It was produced before, and kept. */
  readonly replayed: boolean;
}

/** What one thread's model has been told; each has a context of its own. */
interface Thread {
  /** What its next result tells beside its own. */
  readonly remarks: string[];
  toldTurn: number;
  toldNotes: number;
}

/** What a tool that ignores its abort is given before it is abandoned, in ms. */
const graceMs = 2_000;
const attempts = 3;

/** Runs calls of one session, each to a result. */
export class CallRunner {
  readonly #options: RunCallOptions;
  readonly #threads = new Map<string | undefined, Thread>();

  constructor(options: RunCallOptions) {
    this.#options = options;
  }

  /**
   * Run a call, or find what it gave before.
   * @returns `settled` when it has its answer already
   * @throws {CallAbort} `dropped`, `left`
   */
  async run(call: ToolUse, signal: AbortSignal): Promise<CallOutcome | "settled"> {
    const { journal, sessionId } = this.#options;
    const id = { sessionId, callId: call.id };
    const entry = await journal.read(id);
    if (entry?.state === "sent") return "settled";
    if (entry?.state === "finished") return { result: entry.result, replayed: true };
    const begun = entry?.state === "started";
    let replayed = false;
    const onReplay = (): void => void (replayed = true);
    let result: CallResult;
    try {
      signal.throwIfAborted();
      result = call.custom ? await this.#runCustom(call, signal, begun) : await this.#runAgentTool(call, signal, begun, onReplay);
    } catch (error) {
      if (isDropped(signal)) throw signal.reason;
      result = failed(this.#errorText(call, error, signal));
    }
    // the answer to an interrupted call may reach nobody
    const texts = isInterrupted(signal) ? [] : this.#untold(call);
    const remarks = texts.map((text) => ({ type: "text", text }) as const);
    const told = remarks.length === 0 ? result : { ...result, content: [...result.content, ...remarks] };
    await journal.finished(id, told);
    return { result: told, replayed };
  }

  async #runAgentTool(call: ToolUse, signal: AbortSignal, begunBefore: boolean, replayed: () => void): Promise<CallResult> {
    const tool = agentToolset.get(call.name);
    if (tool === undefined) throw new ToolError(`${call.name}: no such tool`);
    const run = tool.prepare(call.input);
    let begun = begunBefore;
    let lost: SandboxError | undefined;
    const { cancelled, left } = endsOf(signal);
    for (let attempt = 1; ; attempt++) {
      const bound = await this.#acquire(call, signal, lost);
      const repeatable = await this.#mayRun(tool, call, bound, begun, lost !== undefined, signal);
      const unknown = (): CallResult => failed(lost === undefined ? unknownOutcome(call.name) : this.#lostText(call.name, bound.lostBefore ?? lost));
      if (!repeatable) return unknown();
      await this.#options.journal.started({ sessionId: this.#options.sessionId, callId: call.id });
      begun = true;
      try {
        return succeeded(await orAbort(run(this.#toolContext(tool, call, bound.sandbox, cancelled, replayed)), left));
      } catch (error) {
        if (!SandboxError.is(error)) throw error;
        if (error.reason === "fenced" && attempt < attempts) {
          await this.#retake(bound, signal);
          continue;
        }
        if (error.reason === "claim_without_result" || error.reason === "call_released") {
          return unknown();
        }
        if (error.code !== "unavailable" && !isGone(error, bound.sandbox)) throw error;
        if (attempt === attempts) return failed(this.#lostText(call.name, error));
        lost = error;
      }
    }
  }

  /** Another worker took the sandbox over. The lease tells which of the two is too late; where it is this one, its end aborts the call. */
  async #retake(bound: Bound, signal: AbortSignal): Promise<void> {
    await orAbort(this.#options.lease.confirmed(true), signal);
    this.#options.sandbox.retake(bound);
  }

  /** Whether running it (again) in this sandbox cannot double its effect. */
  async #mayRun(tool: AgentTool, call: ToolUse, bound: Bound, begun: boolean, wasLost: boolean, signal: AbortSignal): Promise<boolean> {
    if (!begun || tool.readOnly) return true;
    const { capabilities } = bound.sandbox;
    // what began elsewhere, or where nobody keeps a record, is not begun again
    if (!tool.keyed(capabilities) || (wasLost && bound.how === "created")) return false;
    if (capabilities.calls !== false && capabilities.calls.survives === "restart") return true;
    return (await bound.sandbox.callStatus(callKeyFor(this.#options.sessionId, call.id), { signal })) !== "unclaimed";
  }

  async #acquire(call: ToolUse, signal: AbortSignal, lost: SandboxError | undefined): Promise<Bound> {
    let bound: Bound;
    try {
      bound = await this.#options.sandbox.acquire(signal);
      await this.#options.staging.ready(bound, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      const said = this.#options.secrets.failure(error).message;
      const before = lost === undefined ? "so nothing was run" : "after it was lost while this call ran; it is unknown whether its effect happened";
      throw new ToolError(`The sandbox of this session could not be started, ${before}: ${said}`);
    }
    const thread = this.#thread(call);
    if (bound.turn > thread.toldTurn) {
      if (bound.how === "created" && (bound.turn > 1 || this.#options.ranElsewhere())) thread.remarks.push(replacedText);
      else if (bound.how === "attached" && bound.turn > 1) thread.remarks.push(reattachedText(bound.lostBefore));
      thread.toldTurn = bound.turn;
    }
    return bound;
  }

  #thread({ threadId }: ToolUse): Thread {
    const thread = this.#threads.get(threadId) ?? { remarks: [], toldTurn: 0, toldNotes: 0 };
    this.#threads.set(threadId, thread);
    return thread;
  }

  /** What the thread's model is told next, and not again. */
  #untold(call: ToolUse): readonly string[] {
    const thread = this.#thread(call);
    const { notes } = this.#options.staging;
    const texts = [...thread.remarks.splice(0), ...notes.slice(thread.toldNotes)];
    thread.toldNotes = notes.length;
    return texts;
  }

  #toolContext(tool: AgentTool, call: ToolUse, sandbox: Sandbox, signal: AbortSignal, replayed: () => void): ToolContext {
    const keyed = tool.keyed(sandbox.capabilities);
    return {
      sandbox,
      signal,
      threadId: call.threadId,
      timeoutMs: this.#options.timeoutMs(tool.name),
      call: keyed ? callKeyFor(this.#options.sessionId, call.id) : undefined,
      remark: (text) => void this.#thread(call).remarks.push(text),
      replayed,
    };
  }

  async #runCustom(call: ToolUse, signal: AbortSignal, begun: boolean): Promise<CallResult> {
    const { customTools, sessionId, journal, timeoutMs } = this.#options;
    const prepared = customTools.get(call.name);
    if (prepared === undefined) throw new ToolError(`${call.name}: no such tool`);
    // it ran in a worker that forgot it: only the journal speaks for custom tools
    if (begun && prepared.tool.readOnly !== true) return failed(unknownOutcome(call.name));
    const input = parseInput(call.name, prepared.schema, call.input);
    await journal.started({ sessionId, callId: call.id });
    const timedOut = new AbortController();
    const limitMs = timeoutMs(call.name);
    const timer = setTimeout(() => timedOut.abort(new CallAbort("timeout")), limitMs);
    const either = AbortSignal.any([signal, timedOut.signal]);
    try {
      const context = { signal: either, sessionId, callId: call.id, sandbox: async () => (await this.#acquire(call, either, undefined)).sandbox };
      const output = await abandoned((async () => await prepared.tool.run(input, context))(), either);
      return asResult(call.name, output);
    } catch (error) {
      if (timedOut.signal.aborted && !signal.aborted) throw new ToolError(`${call.name}: timed out after ${limitMs}ms`);
      if (signal.aborted || error instanceof ToolError) throw error;
      return failed(`Error: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      clearTimeout(timer);
    }
  }

  #lostText(tool: string, because: Error): string {
    const [why] = SandboxError.is(because) ? (causes.get(because.reason ?? "") ?? [plainMessage(because)]) : [because.message];
    return (
      `${tool}: the sandbox was lost while this call ran (${this.#options.secrets.scrub(why)}). ` +
      "It is unknown whether the call's effect happened, in whole or in part. It was not run again; look before you repeat it."
    );
  }

  #errorText(call: ToolUse, error: unknown, signal: AbortSignal): string {
    if (error instanceof ToolError) return error.message;
    if (signal.aborted && error === signal.reason) {
      return isInterrupted(signal) ? interruptedText : `${call.name}: This operation was aborted\nThe worker that ran it is shutting down.`;
    }
    if (!SandboxError.is(error)) return `${call.name}: internal error: ${this.#options.secrets.failure(error).message}`;
    const message = this.#options.secrets.scrub(plainMessage(error));
    if (error.code === "deadline_exceeded") {
      const unknown = error.effect === "unknown" ? "; it is unknown whether its effect happened" : "";
      return `${call.name}: timed out after ${this.#options.timeoutMs(call.name)}ms${unknown}`;
    }
    return `${call.name}: ${message}`;
  }
}

/** The control plane's own words for a call that an interrupt closed. Source: reference/managed-agents-protocol.md, 8.10. */
const interruptedText = "Tool execution was interrupted before completion. Please retry.";
const replacedText = "Note: the sandbox was replaced by a new, empty one. Files, shell state and processes of the earlier one are gone.";
function reattachedText(because: Error | undefined): string {
  const [why, todo] = SandboxError.is(because) ? (causes.get(because.reason ?? "") ?? []) : [];
  return (
    `Note: the sandbox was interrupted${why === undefined ? "" : ` (${why})`} and is back. ` +
    `Its files are kept; shell state and background processes may be gone.${todo === undefined ? "" : ` ${todo}`}`
  );
}

/** Why a sandbox was stopped, for a model, where it can do something about it; by the loss's reason. */
const causes: ReadonlyMap<string, readonly [why: string, todo: string]> = new Map([
  ["disk_limit", ["it was stopped because its files took more than its disk limit", "Remove what is not needed first, or it is stopped again."]],
  ["out_of_memory", ["it was stopped because it ran out of memory", "Use less at a time."]],
]);

function unknownOutcome(tool: string): string {
  return (
    `${tool}: the outcome of this call is unknown: it was begun, and whoever ran it was lost before its end was known. ` +
    "It may have happened, in whole or in part. It was not run again; look before you repeat it."
  );
}

/** The sandbox, and not a file in it, is not there any more. */
function isGone(error: SandboxError, sandbox: Sandbox): boolean {
  return sandbox.state === "lost" || (error.code === "not_found" && error.reason === undefined);
}

/** Whether nobody wants the call's result any more. */
export function isDropped({ aborted, reason }: AbortSignal): boolean {
  return aborted && (!(reason instanceof CallAbort) || reason.because === "dropped" || reason.because === "left");
}

function isInterrupted({ aborted, reason }: AbortSignal): boolean {
  return aborted && reason instanceof CallAbort && reason.because === "interrupted";
}

interface Ends {
  /** For what runs inside. */
  readonly cancelled: AbortSignal;
  /** Whoever has the sandbox now may have joined the very call, so that it goes on and only the wait for it ends. */
  readonly left: AbortSignal;
}

function endsOf(signal: AbortSignal): Ends {
  const [cancel, leave] = [new AbortController(), new AbortController()];
  const onAbort = (): void => {
    const isLeft = signal.reason instanceof CallAbort && signal.reason.because === "left";
    (isLeft ? leave : cancel).abort(signal.reason);
  };
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  return { cancelled: cancel.signal, left: leave.signal };
}

function succeeded(output: string | ResultBlock): CallResult {
  return typeof output === "string" ? textResult(output, false) : { isError: false, content: [output] };
}

function failed(text: string): CallResult {
  return textResult(text, true);
}

/** A custom tool is the application's own code, which may give anything. Nothing is an empty result. */
function asResult(tool: string, output: unknown): CallResult {
  if (typeof output === "string") return textResult(output, false);
  if (Array.isArray(output)) return blockResult(output, false);
  if (output === undefined || output === null) return textResult("", false);
  const { content, isError }: { content?: unknown; isError?: unknown } = typeof output === "object" ? output : {};
  if (typeof content === "string") return textResult(content, isError === true);
  if (Array.isArray(content)) return blockResult(content, isError === true);
  return failed(`${tool}: the tool gave neither text nor content blocks`);
}

/** Wait for what may ignore its abort, and some more after it. */
async function abandoned<T>(pending: Promise<T>, signal: AbortSignal): Promise<T> {
  const grace = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const onAbort = (): void => void (timer = setTimeout(() => grace.abort(signal.reason), graceMs));
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await orAbort(pending, grace.signal);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}
