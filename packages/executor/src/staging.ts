import type Anthropic from "@anthropic-ai/sdk";
import type { Sandbox } from "@glovebox/core";
import type { Bound } from "./binding.ts";
import type { Observe, Secrets } from "./events.ts";
import type { SessionInfo, SessionNeeds } from "./session-info.ts";
import { SkillCache } from "./skill-cache.ts";
import { installSkills } from "./skills.ts";
import { orAbort } from "./wait.ts";

/** See `setUp` of the worker's options. */
export type SetUp = (sandbox: Sandbox, session: SessionInfo, options: SetUpOptions) => Promise<void>;

export interface SetUpOptions {
  /** `attached`: an earlier worker, or this one before a lost connection, may have set it up, wholly or not. */
  readonly how: "created" | "attached";
  readonly signal: AbortSignal;
}

export interface StagerOptions {
  readonly setUp: SetUp | undefined;
  readonly timeoutMs: number;
  readonly observe: Observe;
  readonly secrets: Secrets;
}

/** Makes sandboxes ready for their sessions: one for all sessions of a worker. */
export class Stager {
  readonly #options: StagerOptions;
  readonly #skills = new SkillCache();
  /** What was done to a sandbox, or is being done, as long as this worker is connected to it. */
  readonly #staged = new WeakMap<Sandbox, Promise<void>>();

  constructor(options: StagerOptions) {
    this.#options = options;
  }

  /** For one work item of a session. */
  forSession(needs: SessionNeeds, client: Anthropic): SessionStaging {
    return new SessionStaging(needs, async (bound, tell) => {
      const { sandbox } = bound;
      const before = this.#staged.get(sandbox);
      if (before !== undefined) return await before;
      const staging = this.#stage(bound, needs, client, tell);
      this.#staged.set(sandbox, staging);
      // the next one who needs it tries again
      staging.catch(() => this.#staged.delete(sandbox));
      await staging;
    });
  }

  async #stage({ sandbox, how }: Bound, { info, skills }: SessionNeeds, client: Anthropic, tell: (note: string) => void): Promise<void> {
    const { setUp, timeoutMs, observe, secrets } = this.#options;
    const signal = AbortSignal.timeout(timeoutMs);
    await installSkills(skills, sandbox, {
      client,
      cache: this.#skills,
      signal,
      onFailure: ({ skillId, version }, error) => {
        const failure = secrets.failure(error);
        observe({ type: "skill.failed", sessionId: info.id, skillId, version, failure });
        tell(`Note: the skill ${JSON.stringify(skillId)} could not be put into the sandbox: ${failure.message}`);
      },
    });
    if (setUp !== undefined) await orAbort(setUp(sandbox, info, { how: how === "created" ? "created" : "attached", signal }), signal);
  }
}

/** What a session's calls ask for before they run. */
export class SessionStaging {
  readonly needs: SessionNeeds;
  readonly #stage: (bound: Bound, tell: (note: string) => void) => Promise<void>;
  readonly #notes: string[] = [];

  constructor(needs: SessionNeeds, stage: (bound: Bound, tell: (note: string) => void) => Promise<void>) {
    this.needs = needs;
    this.#stage = stage;
  }

  /** What the model should know, oldest first; it grows. */
  get notes(): readonly string[] {
    return this.#notes;
  }

  /**
   * The sandbox has all that the session needs.
   * @throws what the application's own `setUp` throws, or the signal's reason
   */
  async ready(bound: Bound, signal: AbortSignal): Promise<void> {
    await orAbort(
      this.#stage(bound, (note) => void this.#notes.push(note)),
      signal,
    );
  }
}
