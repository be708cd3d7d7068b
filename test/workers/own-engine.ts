import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { DEFAULT_IMAGE } from "@glovebox/docker";
import { askEngine, machineEngine, openAnswer } from "./engine-api.ts";

const startTimeoutMs = 60_000;

/** A Docker engine beside the machine's, which a test may kill. Needs root. It has the sandboxes' image and no network. */
export interface OwnEngine extends AsyncDisposable {
  /** For `DOCKER_HOST`. */
  readonly host: string;
  /** All of its containers, by name. */
  containers(): Promise<readonly string[]>;
  /** SIGKILL. `engine`: its containers go on without it. `everything`: containers, their shims and the engine, as when a host fails. */
  kill(what: "engine" | "everything"): Promise<void>;
  /** Start it again on the same data, and wait until it answers. */
  start(): Promise<void>;
}

export async function startOwnEngine(): Promise<OwnEngine> {
  await using stack = new AsyncDisposableStack();
  // short, because sockets lie in it
  const directory = mkdtempSync(join(tmpdir(), "gb-engine-"));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  stack.defer(() => unmountBelow(directory));
  const engine = new EngineProcess(directory);
  stack.defer(() => engine.stop());
  await engine.start();
  await askEngine(engine.socket, "POST", "/images/load?quiet=1", await openAnswer(machineEngine, "GET", `/images/${DEFAULT_IMAGE}/get`));
  const owned = stack.move();
  return {
    host: `unix://${engine.socket}`,
    containers: () => engine.containers(),
    kill: (what) => engine.kill(what),
    start: () => engine.start(),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

class EngineProcess {
  readonly socket: string;
  readonly #directory: string;
  readonly #execRoot: string;
  #process: ChildProcess | undefined;

  constructor(directory: string) {
    this.#directory = directory;
    this.#execRoot = join(directory, "exec");
    this.socket = join(directory, "d.sock");
    writeFileSync(join(directory, "daemon.json"), "{}"); // else the machine's own settings would hold
  }

  async start(): Promise<void> {
    // after a SIGKILL these name processes that are gone, or others by now
    for (const stale of [join(this.#directory, "pid"), this.#containerdPidFile]) rmSync(stale, { force: true });
    const log = join(this.#directory, "log");
    const output = openSync(log, "a");
    const arguments_ = [
      ...["--config-file", join(this.#directory, "daemon.json"), "--pidfile", join(this.#directory, "pid"), "-H", `unix://${this.socket}`],
      ...["--data-root", join(this.#directory, "data"), "--exec-root", this.#execRoot],
      ...["--bridge=none", "--iptables=false", "--ip-masq=false"],
    ];
    // in a network namespace of its own: an engine without a bridge removes the one that it finds, which would be the machine's engine's
    const child = spawn("unshare", ["--net", "dockerd", ...arguments_], { stdio: ["ignore", output, output] });
    this.#process = child;
    const deadline = Date.now() + startTimeoutMs;
    while (!(await askEngine(this.socket, "GET", "/_ping").catch(() => undefined))) {
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`dockerd does not answer:\n${readFileSync(log, "utf8").slice(-4_000)}`);
      await sleep(50);
    }
  }

  async containers(): Promise<readonly string[]> {
    const listed = JSON.parse(await askEngine(this.socket, "GET", "/containers/json?all=1")) as readonly { readonly Names: readonly string[] }[];
    return listed.flatMap(({ Names }) => Names);
  }

  async kill(what: "engine" | "everything"): Promise<void> {
    const containerd = Number(readFileSync(this.#containerdPidFile, "utf8"));
    const shims = what === "engine" ? [] : this.#shims();
    const inits = shims.flatMap((shim) => childrenOf(shim));
    for (const pid of [this.#process?.pid ?? 0, containerd, ...shims, ...inits].filter((each) => each > 0)) endNow(pid);
    await this.#ended();
    while ([containerd, ...shims, ...inits].some(isAlive)) await sleep(10);
  }

  /** In order, and with whatever it left running. */
  async stop(): Promise<void> {
    this.#process?.kill("SIGTERM");
    await this.#ended();
    const left = this.#shims();
    for (const pid of [...left, ...left.flatMap((shim) => childrenOf(shim))]) endNow(pid);
    while (left.some(isAlive)) await sleep(10);
  }

  async #ended(): Promise<void> {
    if (this.#process !== undefined && this.#process.exitCode === null && this.#process.signalCode === null) await once(this.#process, "exit");
  }

  get #containerdPidFile(): string {
    return join(this.#execRoot, "containerd/containerd.pid");
  }

  /** Each keeps one container, and outlives the engine. */
  #shims(): readonly number[] {
    return processes().filter((pid) => {
      const [program = "", ...rest] = contentOf(`/proc/${pid}/cmdline`).split("\0");
      return program.includes("containerd-shim") && rest.some((argument) => argument.startsWith(this.#execRoot));
    });
  }
}

function processes(): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/u.test(name))
    .map(Number);
}

function childrenOf(parent: number): readonly number[] {
  return processes().filter((pid) => statusOf(pid, "PPid") === String(parent));
}

/** A zombie is as good as gone; who reaps it is not the test's business. */
function isAlive(pid: number): boolean {
  const state = statusOf(pid, "State");
  return state !== undefined && !state.startsWith("Z");
}

function statusOf(pid: number, field: string): string | undefined {
  return new RegExp(`^${field}:\\s+(.*)$`, "mu").exec(contentOf(`/proc/${pid}/status`))?.[1];
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it ended meanwhile
  }
}

function endNow(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it ended meanwhile
  }
}

/** What an engine that was killed had mounted, innermost first. */
function unmountBelow(directory: string): void {
  const points = contentOf("/proc/self/mounts")
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  for (const point of points.filter((each) => each.startsWith(directory)).toReversed()) spawnSync("umount", ["--lazy", point]);
}
