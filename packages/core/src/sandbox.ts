import { type Limits, bounded, limitsOf } from "./calls.ts";
import type { Capabilities, CapabilityName } from "./capabilities.ts";
import { checkKey, checkWhole, invalid, unsupported } from "./checks.ts";
import { DriverCalls, type SandboxState } from "./driver-calls.ts";
import { SandboxFiles } from "./files.ts";
import { type ExecOptions, type ExecResult, type RunningProcess, type SpawnOptions, exec, spawn } from "./process.ts";
import type { SandboxDriver, SandboxProvider, SandboxRef, SnapshotRef, SuspendedRef } from "./provider.ts";
import {
  type AttachOptions,
  type CreateOptions,
  type OwnerOptions,
  checkedRef,
  createRequest,
  createTimeoutMs,
  disposeTimeoutMs,
} from "./sandboxes.ts";
import { SandboxShell } from "./shell.ts";
import { checkEgress } from "./spec-check-egress.ts";
import { checkLabels, checkSpec, resolveResources } from "./spec-check.ts";
import { type EgressPolicy, type SandboxSpec, egressPolicySchema } from "./spec.ts";

/**
 * One sandbox, the same on every provider: what is given is checked, limits hold, errors are {@link SandboxError}, and what the provider cannot do is
 * `unsupported` before anything happens. Every call takes `signal` and `timeoutMs`. `await using` destroys what {@link create} made, and closes what
 * {@link attach} found.
 */
export class Sandbox implements AsyncDisposable {
  /** Files, directory transfer, and the agent tools' ways with text. */
  readonly files: SandboxFiles;
  /** Created means owned: disposing destroys. Attached means borrowed: disposing closes. */
  readonly ownership: "owned" | "borrowed";
  /** Resolves when the connection or the sandbox is lost, with the reason; never rejects. */
  readonly lost: Promise<Error>;
  readonly #provider: SandboxProvider;
  readonly #calls: DriverCalls;
  readonly #shells = new Map<string, SandboxShell>();
  /** Life-cycle calls go one after another. */
  #lifeCycle: Promise<unknown> = Promise.resolve();

  /** For who has a driver already; {@link create} and {@link attach} are the usual ways. */
  constructor(provider: SandboxProvider, driver: SandboxDriver, ownership: "owned" | "borrowed") {
    this.#provider = provider;
    this.#calls = new DriverCalls(provider.name, driver);
    this.files = new SandboxFiles(this.#calls);
    this.ownership = ownership;
    this.lost = driver.lost;
  }

  /**
   * Make a sandbox. An abort, a time-out (default 10 min) or a failure leaves nothing behind: what arrives late is destroyed. One that a session owns is
   * let go of instead: whoever else serves the session finds it by its id, and may be in it already.
   * @param spec Default: the provider's image and sizes, `/workspace`, no network
   * @throws {SandboxError} `invalid_argument` with the path of the wrong value, `unsupported`, `already_exists`: the id is taken,
   * `not_found`: no such image, `unavailable`: no engine
   */
  static async create(provider: SandboxProvider, spec: SandboxSpec = {}, options: CreateOptions = {}): Promise<Sandbox> {
    const request = await createRequest(provider, checkSpec(provider, spec), options);
    const discard = request.ownership.by === "session" ? closeLate : destroyLate;
    const info = { name: `${provider.name} create`, effect: "unknown", discard } as const;
    const driver = await bounded(info, { timeoutMs: createTimeoutMs, ...limitsOf(options) }, (signal) => provider.create(request, { signal }));
    return new Sandbox(provider, driver, "owned");
  }

  /**
   * Connect to a sandbox that is there, starting it when it was stopped.
   * @param ref as stored, or as `listSandboxes` gives it; the proof is then made with the owner key
   * @throws {SandboxError} `not_found`: it is gone. `permission_denied`: another owner's. `invalid_argument`: another provider's
   */
  static async attach(provider: SandboxProvider, ref: SandboxRef | Omit<SandboxRef, "proof">, options: AttachOptions = {}): Promise<Sandbox> {
    const proven = await checkedRef(provider, ref, options);
    const { mode = "join" } = options;
    if (mode !== "join" && mode !== "takeover") invalid(`mode is ${JSON.stringify(mode)}; give "join" or "takeover"`);
    const info = { name: `${provider.name} attach`, effect: "unknown", discard: closeLate } as const;
    const driver = await bounded(info, { timeoutMs: createTimeoutMs, ...limitsOf(options) }, (signal) => provider.attach(proven, { signal, mode }));
    return new Sandbox(provider, driver, "borrowed");
  }

  /**
   * Bring back what {@link suspend} put away.
   * @returns the sandbox, owned, and what was lost on the way
   */
  static async resume(
    provider: SandboxProvider,
    suspended: SuspendedRef,
    options: OwnerOptions = {},
  ): Promise<{ readonly sandbox: Sandbox; readonly lost: readonly ("processes" | "memory" | "files")[] }> {
    const resume = provider.resume?.bind(provider) ?? unsupported(provider.name, "cannot resume what was suspended (capability suspend)");
    const ref = await checkedRef(provider, suspended.ref, options);
    const discard = async (late: { readonly driver: SandboxDriver }): Promise<void> => await destroyLate(late.driver);
    const info = { name: `${provider.name} resume`, effect: "unknown", discard } as const;
    const result = await bounded(info, { timeoutMs: createTimeoutMs, ...limitsOf(options) }, (signal) => resume({ ...suspended, ref }, { signal }));
    return { sandbox: new Sandbox(provider, result.driver, "owned"), lost: result.lost };
  }

  /** As its maker chose it. */
  get id(): string {
    return this.#calls.driver.ref.id;
  }

  /** How to find it again; store the newest one, since it may change on resume. */
  get ref(): SandboxRef {
    return this.#calls.driver.ref;
  }

  /** What this sandbox can do, limits included. */
  get capabilities(): Capabilities {
    return this.#calls.driver.capabilities;
  }

  /** Absolute. */
  get workdir(): string {
    return this.#calls.driver.workdir;
  }

  get state(): SandboxState {
    return this.#calls.state;
  }

  /** Grows with each takeover; `undefined` where calls have no keys. */
  get generation(): number | undefined {
    return this.#calls.driver.calls?.generation;
  }

  /**
   * Run a program to its end: `argv` as it is, a string through `/bin/sh -c`. Defaults: 120 s, 1 MiB a stream of which the head stays, no input.
   * @throws {SandboxError} `not_found`, reason `ENOENT`: no such program or directory; `deadline_exceeded` only where killing it failed.
   * A code other than 0 is a result, and so is a time-out (`timedOut`)
   */
  async exec(command: string | readonly string[], options: ExecOptions = {}): Promise<ExecResult> {
    return await exec(this.#calls, command, options);
  }

  /** Start a program and stream its input and output. `signal` kills its process group, whenever it fires. */
  async spawn(command: string | readonly string[], options: SpawnOptions = {}): Promise<RunningProcess> {
    return await spawn(this.#calls, command, options);
  }

  /**
   * The persistent shell of that name; made inside at its first command.
   * @param name 1 to 128 characters of `[A-Za-z0-9_-]`
   * @throws {SandboxError} `unsupported`
   */
  shell(name = "main"): SandboxShell {
    const known = this.#shells.get(name) ?? new SandboxShell(this.#calls, name);
    this.#shells.set(name, known);
    return known;
  }

  /** What is known of a call with that key. */
  async callStatus(id: string, limits: Limits = {}): Promise<"unclaimed" | "running" | "finished" | "unknown"> {
    const facet = this.#calls.facet("calls with a key (capability calls)", this.#calls.driver.calls);
    return await this.#calls.call({ name: "call status", effect: "none" }, limits, (options) =>
      facet.status({ id: checkKey("call id", id) }, options),
    );
  }

  /** The results of these calls (1 to 256) have been delivered: their payloads may go, the claims stay. */
  async releaseCalls(ids: readonly string[], limits: Limits = {}): Promise<void> {
    const facet = this.#calls.facet("calls with a key (capability calls)", this.#calls.driver.calls);
    if (ids.length < 1 || ids.length > 256) invalid(`${ids.length} calls to release; give 1 to 256`);
    const keys = ids.map((id) => ({ id: checkKey("call id", id) }));
    await this.#calls.call({ name: "call release", effect: "unknown" }, limits, (options) => facet.release(keys, options));
  }

  /** Stop it where it is; what stays is in `capabilities.pause.keeps`. A paused one stays paused. */
  async pause(limits: Limits = {}): Promise<void> {
    const facet = this.#facet("pause", this.#calls.driver.pausing);
    await this.#inOrder(async () => {
      if (this.state === "paused") return;
      await this.#calls.call({ name: "pause", effect: "unknown" }, limits, async (options) => await facet.pause(options));
      this.#enter("paused");
    });
  }

  /** Go on after {@link pause}. A running one stays running. */
  async resume(limits: Limits = {}): Promise<void> {
    const facet = this.#facet("pause", this.#calls.driver.pausing);
    await this.#inOrder(async () => {
      if (this.state === "running") return;
      this.#calls.checkState("resume", "paused");
      const info = { name: `${this.#provider.name} resume`, effect: "unknown" } as const;
      await bounded(info, { timeoutMs: createTimeoutMs, ...limitsOf(limits) }, (signal) => facet.resume({ signal }));
      this.#enter("running");
    });
  }

  /** Put it away and free what is billed for running. This object is of no more use; {@link Sandbox.resume} gives a new one. */
  async suspend(limits: Limits = {}): Promise<SuspendedRef> {
    const facet = this.#facet("suspend", this.#calls.driver.suspending);
    return await this.#inOrder(async () => {
      const info = { name: "suspend", effect: "unknown" } as const;
      const suspended = await this.#calls.call(info, { timeoutMs: createTimeoutMs, ...limitsOf(limits) }, (options) => facet.suspend(options));
      this.#enter("suspended");
      return suspended;
    });
  }

  async snapshot(limits: Limits = {}): Promise<SnapshotRef> {
    const facet = this.#facet("snapshot", this.#calls.driver.snapshots);
    return await this.#inOrder(async () => {
      const info = { name: "snapshot", effect: "unknown" } as const;
      return await this.#calls.call(info, { timeoutMs: createTimeoutMs, ...limitsOf(limits) }, (options) => facet.snapshot(options));
    });
  }

  /** Another sandbox, owned, that begins where this one is. */
  async fork(spec: SandboxSpec = {}, options: CreateOptions = {}): Promise<Sandbox> {
    const facet = this.#facet("fork", this.#calls.driver.forking);
    const request = await createRequest(this.#provider, checkSpec(this.#provider, { workdir: this.workdir, ...spec }), options);
    const info = { name: "fork", effect: "unknown", discard: destroyLate } as const;
    const driver = await this.#inOrder(
      async () => await this.#calls.call(info, { timeoutMs: createTimeoutMs, ...limitsOf(options) }, (call) => facet.fork(request, call)),
    );
    return new Sandbox(this.#provider, driver, "owned");
  }

  /** Change cores, memory or disk; bounds are rounded as at creation. */
  async resize(request: Pick<SandboxSpec, "cpu" | "memoryBytes" | "diskBytes">, limits: Limits = {}): Promise<void> {
    const facet = this.#facet("resize", this.#calls.driver.resizing);
    const { resize } = this.capabilities;
    const refuse = (message: string): never => unsupported(this.#provider.name, message);
    for (const [field, name] of [
      ["cpu", "cpu"],
      ["memoryBytes", "memory"],
      ["diskBytes", "disk"],
    ] as const) {
      if (request[field] !== undefined && resize !== false && resize[name] === false) refuse(`cannot resize ${name} (capability resize.${name})`);
    }
    const resolved = resolveResources(request, this.capabilities, refuse);
    if (Object.keys(resolved).length === 0) invalid("nothing to resize; give cpu, memoryBytes or diskBytes");
    await this.#inOrder(
      async () => await this.#calls.call({ name: "resize", effect: "unknown" }, limits, (options) => facet.resize(resolved, options)),
    );
  }

  /** A duplex byte stream to a TCP port inside. */
  async connect(
    port: number,
    limits: Limits = {},
  ): Promise<{ readonly readable: ReadableStream<Uint8Array>; readonly writable: WritableStream<Uint8Array> }> {
    const facet = this.#facet("ports", this.#calls.driver.ports);
    const { ports } = this.capabilities;
    if (ports === false || ports.connect === false) unsupported(this.#provider.name, "connects to no port (capability ports.connect)");
    const discard = async (late: { readonly writable: WritableStream<Uint8Array> }): Promise<void> => await late.writable.abort();
    return await this.#calls.call({ name: "connect", effect: "unknown", discard }, limits, (options) => facet.connect(checkPort(port), options));
  }

  /** An address at which a port answers from outside; who may use it is in `capabilities.ports.url`. */
  async url(port: number, limits: Limits = {}): Promise<URL> {
    const facet = this.#facet("ports", this.#calls.driver.ports);
    const url = facet.url?.bind(facet) ?? unsupported(this.#provider.name, "gives ports no address (capability ports.url)");
    return await this.#calls.call({ name: "url", effect: "none" }, limits, (options) => url(checkPort(port), options));
  }

  /** Replace what may be reached; in force when the call returns. */
  async setEgress(policy: EgressPolicy, limits: Limits = {}): Promise<void> {
    const facet = this.#facet("egress", this.#calls.driver.egress);
    const parsed = egressPolicySchema.safeParse(policy);
    if (!parsed.success) invalid(`egress.${parsed.error.issues[0]?.path.join(".")}: ${parsed.error.issues[0]?.message}`);
    checkEgress(parsed.data, this.capabilities.egress, (message) => unsupported(this.#provider.name, message));
    await this.#calls.call({ name: "set egress", effect: "unknown" }, limits, (options) => facet.set(parsed.data, options));
  }

  /** When the provider ends it by itself, ISO 8601, or `undefined` when nothing does. */
  async expiresAt(limits: Limits = {}): Promise<string | undefined> {
    const facet = this.#facet("expiry", this.#calls.driver.expiry);
    return await this.#calls.call({ name: "expiry", effect: "none" }, limits, (options) => facet.expiresAt(options));
  }

  /** @returns the new end, ISO 8601 */
  async extend(byMs: number, limits: Limits = {}): Promise<string> {
    const facet = this.#facet("expiry", this.#calls.driver.expiry);
    checkWhole("byMs", byMs, 1);
    return await this.#calls.call({ name: "extend", effect: "unknown" }, limits, (options) => facet.extend(byMs, options));
  }

  async labels(limits: Limits = {}): Promise<Readonly<Record<string, string>>> {
    const facet = this.#facet("labels", this.#calls.driver.labels);
    return await this.#calls.call({ name: "labels", effect: "none" }, limits, (options) => facet.get(options));
  }

  /** Replaces all labels of the spec. */
  async setLabels(labels: Readonly<Record<string, string>>, limits: Limits = {}): Promise<void> {
    const facet = this.#facet("labels", this.#calls.driver.labels);
    const capability = this.capabilities.labels;
    if (capability === false || !capability.mutable) unsupported(this.#provider.name, "cannot change labels (capability labels.mutable)");
    const reserved = Object.keys(labels).find((key) => key === "" || key.startsWith("glovebox."));
    if (reserved !== undefined) invalid(`label key ${JSON.stringify(reserved)}; keys cannot be empty or begin with glovebox.`);
    checkLabels(labels, capability, (message) => unsupported(this.#provider.name, message));
    await this.#calls.call({ name: "set labels", effect: "unknown" }, limits, (options) => facet.set(labels, options));
  }

  /** Let go of it and leave it as it is. New calls are refused at once. Idempotent, and can be repeated after a failure. */
  async close(limits: Limits = {}): Promise<void> {
    if (this.state === "destroyed") return;
    if (this.state !== "ending") this.#calls.state = "closed";
    const info = { name: `${this.#provider.name} close`, effect: "unknown" } as const;
    await bounded(info, { timeoutMs: disposeTimeoutMs, ...limitsOf(limits) }, (signal) => this.#calls.driver.close({ signal }));
  }

  /** Free everything. New calls are refused at once. Idempotent, an absent sandbox is success, and it can be repeated after a failure. */
  async destroy(limits: Limits = {}): Promise<void> {
    if (this.state === "destroyed") return;
    this.#calls.state = "ending";
    const info = { name: `${this.#provider.name} destroy`, effect: "unknown" } as const;
    await bounded(info, { timeoutMs: disposeTimeoutMs, ...limitsOf(limits) }, (signal) => this.#calls.driver.destroy({ signal }));
    this.#calls.state = "destroyed";
  }

  /** Destroys what is owned and still there; closes what is borrowed, closed or suspended. */
  async [Symbol.asyncDispose](): Promise<void> {
    const keep = this.ownership === "borrowed" || this.state === "closed" || this.state === "suspended";
    if (keep && this.state !== "ending") await this.close();
    else await this.destroy();
  }

  #facet<F>(capability: CapabilityName, facet: F | undefined): F {
    return this.#calls.facet(`capability ${capability}`, facet);
  }

  #enter(state: SandboxState): void {
    if (this.state === "running" || this.state === "paused") this.#calls.state = state;
  }

  async #inOrder<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#lifeCycle.then(work, work);
    this.#lifeCycle = turn.catch(() => undefined);
    return await turn;
  }
}

function checkPort(port: number): number {
  if (!Number.isInteger(port) || port < 1 || port > 65_535) invalid(`port is ${port}; give 1 to 65535`);
  return port;
}

async function destroyLate(driver: SandboxDriver): Promise<void> {
  await driver.destroy({ signal: AbortSignal.timeout(disposeTimeoutMs) });
}

async function closeLate(driver: SandboxDriver): Promise<void> {
  await driver.close({ signal: AbortSignal.timeout(disposeTimeoutMs) });
}
