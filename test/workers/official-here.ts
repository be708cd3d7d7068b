import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import type { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { betaAgentToolset20260401 } from "@anthropic-ai/sdk/tools/agent-toolset/node";
import { startSimulator, type SessionHandle, type Simulator, type SimulatorOptions } from "@glovebox/simulator";

/** The official `EnvironmentWorker` over a simulator, in this process. It runs its tools on this machine: scripts call nothing but echo, cat and ls. */
export interface OfficialRun extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly workdir: string;
}

export interface OfficialRunOptions {
  readonly simulator?: SimulatorOptions;
  readonly maxIdleMs?: number;
  readonly tools?: readonly ReturnType<typeof betaTool>[];
}

export async function officialWorker({ simulator: options = {}, maxIdleMs = 30, tools = [] }: OfficialRunOptions = {}): Promise<OfficialRun> {
  await using stack = new AsyncDisposableStack();
  const workdir = await mkdtemp(join(tmpdir(), "glovebox-official-"));
  stack.defer(() => rm(workdir, { recursive: true, force: true }));
  const simulator = stack.use(await startSimulator(options));
  // a key that the worker's helpers must never send: every request is checked for it by the log's credential kinds
  const client = new Anthropic({ apiKey: "sk-ant-api03-parent-key-of-no-account", baseURL: simulator.url, logLevel: "off" });
  const abort = new AbortController();
  const worker = client.beta.environments.work.worker({
    environmentId: simulator.environmentId,
    environmentKey: simulator.environmentKey,
    workdir,
    maxIdleMs,
    workerId: "official",
    tools: (context) => [...betaAgentToolset20260401(context), ...tools],
  });
  const running = worker.run(abort.signal).catch((error: unknown) => {
    if (!abort.signal.aborted) throw error;
  });
  stack.defer(async () => {
    abort.abort();
    await running;
  });
  const owned = stack.move();
  return { simulator, workdir, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export const bash = (command: string): { readonly name: string; readonly input: { readonly command: string } } => ({
  name: "bash",
  input: { command },
});

/** Endpoints that the worker called for a session, in order, without polls, heartbeats and repeated lists. */
export function endpointsOf(simulator: Simulator): readonly string[] {
  return simulator.requests.map((request) => request.endpoint ?? request.path).filter((name) => name !== "work.poll" && name !== "work.heartbeat");
}

/** Wait until the session's event stream is open and its history read, so that what follows arrives live. */
export async function attached(simulator: Simulator, session: SessionHandle): Promise<void> {
  await simulator.waitForRequest((request) => request.endpoint === "events.list" && request.sessionId === session.id);
}

export async function stopped(simulator: Simulator, session: SessionHandle): Promise<void> {
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.workId === session.work[0]?.id);
}
