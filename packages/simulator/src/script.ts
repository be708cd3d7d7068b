import type { CallRecord, CallResult } from "./report.ts";
import type { SkillFile } from "./skills.ts";
import type { JsonObject, StopReason } from "./wire.ts";

/** A whole session as data: what the model says and calls, turn by turn. The same in TypeScript and in YAML. */
export interface Script {
  /** Shown in the session's title when none is given. */
  readonly name?: string;
  /** Memory stores that are made for the session and attached to it. Only for a session's own script, not for an agent's. */
  readonly memoryStores?: readonly ScriptStore[];
  /** Skills that are made for the session, beside those of its agent. Only for a session's own script. */
  readonly skills?: readonly ScriptSkill[];
  readonly turns: readonly Turn[];
}

export interface ScriptStore {
  /** Its mount path is made of it: `Team Notes` is at `/mnt/memory/team-notes`. */
  readonly name: string;
  readonly description?: string;
  /** Default `read_write`. */
  readonly access?: "read_write" | "read_only";
  readonly instructions?: string;
  /** Contents by path; a path starts with `/`. */
  readonly memories?: Readonly<Record<string, string>>;
}

export interface ScriptSkill {
  readonly name: string;
  readonly description?: string;
  /** By path inside the skill. A `SKILL.md` is made where there is none. */
  readonly files?: Readonly<Record<string, SkillFile>>;
}

/** One model request: everything in it is emitted together, and the next one starts when all its calls are settled. */
export interface Turn {
  /** A user's message that is sent before this turn. After an `idle` or an interrupt the session waits for one, from here or from outside. */
  readonly user?: string;
  /** Time on the simulator's clock before the turn starts. Default 0. */
  readonly pauseMs?: number;
  /** Emit `agent.thinking` first. */
  readonly thinking?: boolean;
  /** Text of the `agent.message`. Without one none is emitted. */
  readonly message?: string;
  /** Events that pass through as they are, before the calls; the simulator adds `id` and `processed_at`. Any type, known or not. */
  readonly events?: readonly ({ readonly type: string } & JsonObject)[];
  readonly calls?: readonly ToolCall[];
  /** Threads, by their label in `calls`, that terminate right after the calls were emitted. */
  readonly terminateThreads?: readonly string[];
  /** Time between the calls and the `requires_action` idle. Default 0: nobody can answer in between. */
  readonly idleDelayMs?: number;
  /** A `user.interrupt` while the calls of this turn are open. Ends the turn. */
  readonly interrupt?: InterruptPlan;
  /** End the turn with this stop reason and wait for the next user's message. */
  readonly idle?: StopReason;
  /** Goes out with `idle`, for a refusal. */
  readonly stopDetails?: JsonObject;
  /** End the session after this turn. */
  readonly end?: "terminated" | "deleted";
}

export interface InterruptPlan {
  /** How many calls of the turn must be settled first. Default 0. */
  readonly afterSettled?: number;
  /** Time after that. Default 0: together with the calls. */
  readonly afterMs?: number;
  /** Only this thread, by its label. Default: all. */
  readonly thread?: string;
}

export interface ToolCall {
  readonly name: string;
  /** Default `{}`. */
  readonly input?: JsonObject;
  /** `agent`: the hosted toolset, answered by `user.tool_result`. `custom`: by `user.custom_tool_result`. `mcp`: by the server only. Default `agent`. */
  readonly kind?: "agent" | "custom" | "mcp";
  /** A label; the first use makes the thread, and the call is cross-posted with its id. Default: the primary thread. */
  readonly thread?: string;
  /** `evaluated_permission`. `absent` omits the field; unknown values pass through and gate as `ask` does. Default `allow`, for custom calls `absent`. */
  readonly permission?: "allow" | "ask" | "deny" | "absent" | (string & {});
  /** The user's verdict on an `ask`. Without one the call waits for `confirm()` or for the API. */
  readonly confirm?: { readonly result: "allow" | "deny"; readonly denyMessage?: string; readonly afterMs?: number };
  /** Someone else than the worker answers: the service itself (`agent.tool_result`), or the application over the API. */
  readonly answer?: { readonly by: "server" | "application"; readonly text: string; readonly isError?: boolean; readonly afterMs?: number };
  /** What the result must be. Nothing is checked that is not named. */
  readonly expect?: Expectation;
}

/** Every named condition must hold. `equals`, `contains` and `matches` read the text blocks, joined by a line feed. */
export interface Expectation {
  readonly equals?: string;
  readonly contains?: string | readonly string[];
  /** A string is a regular expression's source, without flags. */
  readonly matches?: string | RegExp;
  readonly isError?: boolean;
  /** How the call must end. */
  readonly outcome?: CallRecord["outcome"];
  /** Returns what is wrong, or nothing. What it throws is reported the same way. TypeScript only. */
  readonly check?: (result: CallResult, call: CallRecord) => string | undefined | void;
}

/**
 * The model: yields turns and gets each turn's settled calls back. Starts at the session's first user message; when it returns, the session
 * ends its turn and is finished. What it throws fails the session's report.
 */
export type Brain = (context: BrainContext) => AsyncGenerator<Turn, void, readonly CallRecord[]>;

export interface BrainContext {
  readonly sessionId: string;
  /** Aborts when the session is terminated or deleted, or the simulator closed. */
  readonly signal: AbortSignal;
  /** Texts of the user's messages applied so far, oldest first. */
  readonly messages: readonly string[];
}

/** The brain that says what `script` says, whatever the results are. */
export function scriptBrain(script: Script): Brain {
  return async function* play() {
    for (const turn of script.turns) yield turn;
  };
}
