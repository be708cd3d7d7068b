import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import type { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { betaAgentToolset20260401 } from "@anthropic-ai/sdk/tools/agent-toolset/node";
import { checkConversation, startSimulator, type SessionHandle, type Simulator, type SimulatorOptions } from "@glovebox/simulator";
import { expect } from "vitest";

// The official EnvironmentWorker runs its tools on this machine: scripts call harmless commands only, in a fresh directory.

export interface Running extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly workdir: string;
  /** Where attached memory stores are mounted. */
  readonly mountRoot: string;
  /** What the worker logged, a line each. */
  readonly logs: readonly string[];
  /** End the worker and wait for it. */
  stopWorker(): Promise<void>;
  /** End the worker; it has kept to the protocol and told no secret. */
  expectClean(): Promise<void>;
}

export interface RunOptions {
  readonly simulator?: SimulatorOptions;
  /** Default 30. */
  readonly maxIdleMs?: number;
  readonly tools?: readonly ReturnType<typeof betaTool>[];
  /** Default: the SDK's own. */
  readonly memorySyncIntervalMs?: number;
}

/** A simulator and the official worker, unmodified, serving its environment. */
export async function runOfficial(options: RunOptions = {}): Promise<Running> {
  const { simulator: simulatorOptions = {}, maxIdleMs = 30, tools = [], memorySyncIntervalMs } = options;
  await using stack = new AsyncDisposableStack();
  const directory = await mkdtemp(join(tmpdir(), "glovebox-official-"));
  stack.defer(() => rm(directory, { recursive: true, force: true }));
  const [workdir, mountRoot] = [join(directory, "work"), join(directory, "memory")];
  await mkdir(workdir);
  const behaviour = { memoryMountRoot: mountRoot, ...simulatorOptions.behaviour };
  const simulator = stack.use(await startSimulator({ ...simulatorOptions, behaviour }));
  const { client, logs } = helperClient(simulator);
  const abort = new AbortController();
  const worker = client.beta.environments.work.worker({
    environmentId: simulator.environmentId,
    environmentKey: simulator.environmentKey,
    workdir,
    maxIdleMs,
    workerId: "official",
    ...(memorySyncIntervalMs === undefined ? {} : { memorySyncIntervalMs }),
    tools: (context) => [...betaAgentToolset20260401(context), ...tools],
  });
  const running = worker.run(abort.signal).catch((error: unknown) => {
    if (!abort.signal.aborted) throw error;
  });
  const stopWorker = async (): Promise<void> => {
    abort.abort();
    await running;
  };
  stack.defer(stopWorker);
  const owned = stack.move();
  return {
    simulator,
    workdir,
    mountRoot,
    logs,
    stopWorker,
    async expectClean() {
      await stopWorker();
      expect(checkConversation(simulator.requests, { over: true })).toEqual([]);
      expect(simulator.secretsIn(logs.join("\n"))).toEqual([]);
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** A client whose own key must never arrive: what helpers make of it carries another credential. */
export function helperClient(simulator: Simulator): { readonly client: Anthropic; readonly logs: readonly string[] } {
  const logs: string[] = [];
  const log = (...parts: readonly unknown[]): void =>
    void logs.push(parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" "));
  const logger = { error: log, warn: log, info: log, debug: log };
  return { client: new Anthropic({ apiKey: "sk-ant-api03-parent-key-of-no-account", baseURL: simulator.url, logLevel: "info", logger }), logs };
}

export const bash = (command: string): { readonly name: string; readonly input: { readonly command: string } } => ({
  name: "bash",
  input: { command },
});

/** Endpoints that the worker called, in order, without polls and heartbeats. */
export function endpointsOf(simulator: Simulator): readonly string[] {
  return simulator.requests.map((request) => request.endpoint ?? request.path).filter((name) => name !== "work.poll" && name !== "work.heartbeat");
}

/** Wait until the session's event stream is open and its history read, so that what follows arrives live. */
export async function attached(simulator: Simulator, session: SessionHandle): Promise<void> {
  await simulator.waitForRequest((request) => request.endpoint === "events.list" && request.sessionId === session.id);
}

/** Wait until the session's first item was stopped. */
export async function stopped(simulator: Simulator, session: SessionHandle): Promise<void> {
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.workId === session.work[0]?.id);
}
