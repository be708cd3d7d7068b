import { Sandbox, SandboxError, destroySandbox } from "@glovebox/core";
import type { SandboxProvider, SandboxSpec } from "@glovebox/core";
import type { BoundHow, Observe, Secrets } from "./events.ts";
import { Releases } from "./releases.ts";
import { sandboxIdFor } from "./routing.ts";
import { orAbort, sleep } from "./wait.ts";

export interface BindingOptions {
  readonly environmentId: string;
  readonly provider: SandboxProvider;
  readonly spec: SandboxSpec;
  readonly ownerKey: Uint8Array;
  readonly startTimeoutMs: number;
  readonly observe: Observe;
  readonly secrets: Secrets;
}

/** A sandbox at work for a session. */
export interface Bound {
  readonly sandbox: Sandbox;
  readonly how: BoundHow;
  /** Counts the sandboxes, or connections to one, that the session had in this worker: 1, 2, … */
  readonly turn: number;
  /** Why the one before was lost. */
  readonly lostBefore: Error | undefined;
}

const endTimeoutMs = 60_000;
const releaseTimeoutMs = 5_000;
/** What a sandbox that is still being made gets to be there and be left in order. */
const leaveTimeoutMs = 5_000;

/** One session's sandbox: made or found when it is first asked for, and again when it was lost. */
export class SessionSandbox {
  readonly sandboxId: string;
  readonly sessionId: string;
  readonly #options: BindingOptions;
  readonly #releases = new Releases((keys) => this.#release(keys));
  #over = false;
  #current: Promise<Bound> | undefined;
  /** The one that was bound last. */
  #newest: Sandbox | undefined;
  #turns = 0;
  #lostBecause: Error | undefined;
  #retakenTurn = 0;

  constructor(options: BindingOptions, sessionId: string) {
    this.#options = options;
    this.sessionId = sessionId;
    this.sandboxId = sandboxIdFor(options.environmentId, sessionId);
  }

  /**
   * The sandbox, with everyone else's keyed calls refused from now on. Who asks while it is being made waits for the same one.
   * @throws {SandboxError} what the provider says; the next one who asks tries again
   */
  async acquire(signal: AbortSignal): Promise<Bound> {
    const current = this.#current;
    if (current !== undefined) {
      const bound = await orAbort(current, signal);
      if (bound.sandbox.state !== "lost") return bound;
      // one of those who found it lost makes the next one
      if (this.#current === current) this.#current = undefined;
    }
    return await orAbort(this.#current ?? this.#hold(this.#bind()), signal);
  }

  /** Somebody else took this one over although the session is this worker's: who asks next gets it with everyone else refused again. */
  retake(bound: Bound): void {
    if (bound.turn <= this.#retakenTurn) return; // of the calls that were refused, the first one sees to it
    this.#retakenTurn = bound.turn;
    void bound.sandbox.close({ timeoutMs: endTimeoutMs }).catch(() => undefined);
    void this.#hold(asKept(this.#bind()));
  }

  /** The results of these calls were delivered: the sandbox may drop them, soon. */
  forget(keys: readonly string[]): void {
    this.#releases.add(keys);
  }

  async #release(keys: readonly string[]): Promise<void> {
    const sandbox = this.#newest;
    if (sandbox === undefined || sandbox.state !== "running" || sandbox.capabilities.calls === false) return;
    await sandbox.releaseCalls(keys, { timeoutMs: releaseTimeoutMs });
  }

  /** The next item of this session finds it as it is; it is told apart from one that was just found. */
  keep(): void {
    if (this.#current !== undefined) void this.#hold(asKept(this.#current));
  }

  /** Close the channel and leave the sandbox to others, also one that is still being made: they may be in it already. Calls with a key go on inside. */
  async leave(): Promise<void> {
    await this.#end("left", leaveTimeoutMs, async (sandbox) => {
      await this.#releases.flush();
      await sandbox?.close({ timeoutMs: endTimeoutMs });
    });
  }

  /** Free everything, whether it was ever asked for here or not. */
  async destroy(): Promise<void> {
    const { provider, ownerKey } = this.#options;
    await this.#end("destroyed", endTimeoutMs, async (sandbox) => {
      if (sandbox !== undefined && sandbox.state !== "lost") await sandbox.destroy({ timeoutMs: endTimeoutMs });
      else await destroySandbox(provider, { provider: provider.name, id: this.sandboxId }, { ownerKey, timeoutMs: endTimeoutMs });
    });
  }

  async #end(how: "destroyed" | "left", waitMs: number, end: (sandbox: Sandbox | undefined) => Promise<void>): Promise<void> {
    const { observe, secrets } = this.#options;
    const current = this.#current;
    this.#current = undefined;
    this.#over = true;
    const waited = new AbortController();
    const bound = await Promise.race([current?.catch(() => undefined), sleep(waitMs, waited.signal).then(() => "late" as const)]);
    waited.abort();
    if (bound === "late") void current?.then(async ({ sandbox }) => await end(sandbox)).catch(() => undefined);
    const named = { sessionId: this.sessionId, sandboxId: this.sandboxId, how };
    try {
      await end(bound === "late" ? undefined : bound?.sandbox);
      if (bound !== undefined || how === "destroyed") observe({ type: "sandbox.released", ...named });
    } catch (error) {
      observe({ type: "sandbox.released", ...named, failure: secrets.failure(error) });
    }
  }

  async #bind(): Promise<Bound> {
    const { observe, secrets, provider } = this.#options;
    const named = { sessionId: this.sessionId, sandboxId: this.sandboxId };
    const startedAt = performance.now();
    try {
      const { sandbox, how } = await this.#createOrAttach();
      this.#newest = sandbox;
      observe({ type: "sandbox.ready", ...named, provider: provider.name, how, durationMs: performance.now() - startedAt });
      void sandbox.lost.then((reason) => {
        this.#lostBecause = reason;
        if (!this.#over) observe({ type: "sandbox.lost", ...named, failure: secrets.failure(reason) });
      });
      return { sandbox, how, turn: ++this.#turns, lostBefore: this.#lostBecause };
    } catch (error) {
      if (!this.#over) observe({ type: "sandbox.failed", ...named, provider: provider.name, failure: secrets.failure(error) });
      throw error;
    }
  }

  /** Until it fails: the next one who asks tries again. */
  #hold(binding: Promise<Bound>): Promise<Bound> {
    this.#current = binding;
    binding.catch(() => {
      if (this.#current === binding) this.#current = undefined;
    });
    return binding;
  }

  /** Most sessions are new, so making comes first where a name that is taken is refused; what was there before is looked for first elsewhere. */
  async #createOrAttach(): Promise<{ readonly sandbox: Sandbox; readonly how: "created" | "attached" }> {
    const { provider, spec } = this.#options;
    const { identity } = provider.capabilitiesFor(spec);
    let attachFirst = identity.attach !== false && (identity.unique === false || this.#turns > 0);
    for (let attempt = 1; ; attempt++) {
      try {
        return attachFirst ? { sandbox: await this.#attach(), how: "attached" } : { sandbox: await this.#create(), how: "created" };
      } catch (error) {
        const expected = SandboxError.is(error) && error.code === (attachFirst ? "not_found" : "already_exists");
        if (!expected || attempt === 4) throw error;
        attachFirst = !attachFirst;
      }
    }
  }

  async #create(): Promise<Sandbox> {
    const { provider, spec, ownerKey, startTimeoutMs: timeoutMs } = this.#options;
    const ownership = { by: "session", session: this.sessionId } as const;
    return await Sandbox.create(provider, spec, { id: this.sandboxId, ownerKey, ownership, timeoutMs });
  }

  async #attach(): Promise<Sandbox> {
    const { provider, ownerKey, startTimeoutMs: timeoutMs } = this.#options;
    const ref = { provider: provider.name, id: this.sandboxId };
    return await Sandbox.attach(provider, ref, { mode: "takeover", ownerKey, timeoutMs });
  }
}

/** Nothing happened to it that the model has to be told. */
async function asKept(binding: Promise<Bound>): Promise<Bound> {
  return { ...(await binding), how: "kept" };
}
