import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SandboxProvider } from "@glovebox/core";
import { docker, type Transport } from "@glovebox/docker";
import { type Brain, startSimulator, type ToolCall } from "@glovebox/simulator";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type OwnEngine, startOwnEngine } from "../workers/own-engine.ts";
import { ownedSandbox, untilFile } from "../workers/sandboxes.ts";
import { startWorker, type WorkerProcess } from "../workers/start.ts";

let engine: OwnEngine;
let runtimeDirectory: string;

beforeAll(async () => {
  engine = await startOwnEngine();
});
afterAll(() => engine[Symbol.asyncDispose]());
beforeEach(() => {
  runtimeDirectory = mkdtempSync(join(tmpdir(), "gb-"));
});
afterEach(() => rmSync(runtimeDirectory, { recursive: true }));

const bash = (command: string, expect: NonNullable<ToolCall["expect"]>): ToolCall => ({ name: "bash", input: { command }, expect });
/** What a model reads while the engine is away. */
const nothingRan = {
  isError: true,
  matches: /^The sandbox of this session could not be started, so nothing was run: \[unavailable\] docker \w+: no Docker engine answers at unix:/u,
};

function environment(): { readonly DOCKER_HOST: string; readonly XDG_RUNTIME_DIR: string } {
  return { DOCKER_HOST: engine.host, XDG_RUNTIME_DIR: runtimeDirectory };
}

/** The test's own view of the engine that the worker uses. */
function observer(transport: Transport): SandboxProvider {
  return docker({ host: engine.host, transport, runtimeDirectory: join(runtimeDirectory, "glovebox") });
}

async function nothingIsLeft(worker: WorkerProcess): Promise<void> {
  await expect.poll(() => engine.containers(), { timeout: 10_000 }).toEqual([]);
  worker.kill("SIGTERM");
  expect(await worker.ended).toEqual({ code: 0, signal: null });
  expect(readdirSync(runtimeDirectory, { recursive: true }).filter((name) => name !== "glovebox")).toEqual([]);
}

test.each([
  { dies: "engine", transport: "exec" },
  { dies: "everything", transport: "exec" },
  { dies: "everything", transport: "socket" },
] as const)(
  "$dies dies in mid-call, the guest being reached over $transport: the outcome is unknown, calls fail until it is back, files are kept",
  async ({ dies, transport }) => {
    await using simulator = await startSimulator();
    await using worker = startWorker(simulator, transport === "exec" ? "test/workers/exec-transport/glovebox.config.ts" : "docker", {
      env: environment(),
    });
    const brain: Brain = async function* () {
      yield { calls: [{ name: "write", input: { file_path: "kept.txt", content: "kept\n" }, expect: { isError: false } }] };
      const unknown =
        /^The sandbox of this session could not be started, after it was lost while this call ran; it is unknown whether its effect happened: /u;
      yield { calls: [bash("echo once >> effects; touch started; sleep 600", { isError: true, matches: unknown })] };
      yield { calls: [bash("echo twice >> effects", nothingRan)] };
      await engine.start();
      const back = "Note: the sandbox was interrupted and is back. Its files are kept; shell state and background processes may be gone.";
      yield { calls: [bash("cat kept.txt effects", { isError: false, equals: `kept\nonce\n${back}` })], end: "terminated" };
    };
    const session = simulator.createSession({ brain });
    {
      await using sandbox = await ownedSandbox(simulator, session.id, observer(transport));
      await untilFile(sandbox, "/workspace/started");
      await engine.kill(dies);
    }
    const report = await session.finished;
    expect(report.failures, worker.output()).toEqual([]);
    await nothingIsLeft(worker);
  },
  60_000,
);

test("over a socket a running call and its session outlive the engine; others are told, and served when it is back; what ended meanwhile is swept", async () => {
  await using simulator = await startSimulator();
  await using worker = startWorker(simulator, "docker", { env: environment(), config: { sweepMs: 200 } });
  const session = simulator.createSession({
    script: {
      turns: [
        { calls: [bash("echo once >> effects; touch started; while [ ! -e go ]; do sleep 0.05; done; cat effects", { equals: "once" })] },
        { calls: [bash("echo alive", { equals: "alive" })], end: "terminated" },
      ],
    },
  });
  {
    await using sandbox = await ownedSandbox(simulator, session.id, observer("socket"));
    await untilFile(sandbox, "/workspace/started");
    await engine.kill("engine");
    await sandbox.files.write("/workspace/go", "");
  }
  expect((await session.finished).failures, worker.output()).toEqual([]);
  const brain: Brain = async function* () {
    yield { calls: [bash("echo too early", nothingRan)] };
    await engine.start();
    yield { calls: [bash("echo works", { equals: "works" })], end: "terminated" };
  };
  expect((await simulator.createSession({ brain }).finished).failures, worker.output()).toEqual([]);
  await nothingIsLeft(worker);
}, 60_000);
