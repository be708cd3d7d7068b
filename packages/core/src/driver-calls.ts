import { type CallInfo, type Limits, bounded } from "./calls.ts";
import { checkKey, unsupported } from "./checks.ts";
import { SandboxError } from "./errors.ts";
import type { CallKey, CallOptions, MutationOptions, SandboxDriver } from "./provider.ts";

/**
 * `ending`: `destroy` was asked for and has not succeeded yet; it can be repeated. `lost`: connection or sandbox went away;
 * attach again. `closed`: this object let go, the sandbox lives on.
 */
export type SandboxState = "running" | "paused" | "suspended" | "closed" | "lost" | "ending" | "destroyed";

/** Options of a call that changes something. */
export interface KeyedLimits extends Limits {
  /** Makes the call happen at most once, see {@link CallKey}: 1 to 128 characters of `[A-Za-z0-9_-]`. Needs `capabilities.calls`. */
  readonly call?: string;
}

/** A file call that names no time may take this long, in milliseconds. Streams take as long as they take. */
const callTimeoutMs = 120_000;

/** What `Sandbox`, its files and its shells share: one driver, its state, and the one way to call it. */
export class DriverCalls {
  readonly provider: string;
  readonly driver: SandboxDriver;
  state: SandboxState = "running";
  lostBecause: Error | undefined;
  readonly #lostListeners = new Set<(reason: Error) => void>();

  constructor(provider: string, driver: SandboxDriver) {
    this.provider = provider;
    this.driver = driver;
    void this.#watch();
  }

  /**
   * Be told of the loss. One promise lives as long as the sandbox and would keep every call that ever waited on it; this does not.
   * @returns stops telling
   */
  onLost(listener: (reason: Error) => void): () => void {
    if (this.lostBecause !== undefined) listener(this.lostBecause);
    this.#lostListeners.add(listener);
    return () => void this.#lostListeners.delete(listener);
  }

  /** @throws {SandboxError} `failed_precondition`; `unavailable` when it was lost */
  checkState(operation: string, allowed: SandboxState = "running"): void {
    if (this.state === allowed) return;
    if (this.state === "lost") {
      throw new SandboxError("unavailable", `${operation}: the sandbox was lost; attach to it again`, { effect: "none", cause: this.lostBecause });
    }
    throw new SandboxError("failed_precondition", `${operation} while the sandbox is ${this.state}`, { effect: "none" });
  }

  /** Call the driver while the sandbox runs. */
  async call<T>(info: CallInfo<T>, limits: Limits, work: (options: CallOptions) => Promise<T>): Promise<T> {
    limits.signal?.throwIfAborted();
    this.checkState(info.name);
    return await bounded({ ...info, name: `${this.provider} ${info.name}` }, { timeoutMs: callTimeoutMs, ...limits }, (signal) => work({ signal }));
  }

  /** Like {@link call}, with a key where one is given. */
  async mutate<T>(info: Omit<CallInfo<T>, "effect">, limits: KeyedLimits, work: (options: MutationOptions) => Promise<T>): Promise<T> {
    const key = this.key(limits.call);
    return await this.call({ ...info, effect: "unknown" }, limits, ({ signal }) => work(key === undefined ? { signal } : { signal, call: key }));
  }

  key(call: string | undefined): CallKey | undefined {
    if (call === undefined) return undefined;
    checkKey("call id", call);
    if (this.driver.capabilities.calls === false) unsupported(this.provider, "cannot run a call at most once; leave call out");
    return { id: call };
  }

  /** A facet of the driver, or the refusal that names it. */
  facet<F>(name: string, facet: F | undefined): F {
    return facet ?? unsupported(this.provider, `lacks ${name} for this sandbox`);
  }

  async #watch(): Promise<void> {
    const reason = await this.driver.lost;
    this.lostBecause = reason;
    if (this.state === "running" || this.state === "paused") this.state = "lost";
    for (const listener of this.#lostListeners) listener(reason);
  }
}
