import { mkdtempDisposableSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type SessionHandle, type Simulator, startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { answeredCalls } from "../workers/answers.ts";
import { startEngineProxy } from "../workers/engine-proxy.ts";
import { ownedSandbox, removeSandboxes, untilFile } from "../workers/sandboxes.ts";
import { startWorker, type WorkerProcess } from "../workers/start.ts";

const behaviour = { leaseTtlMs: 2_000 };
const blocked = (name: string): string => `touch started-${name}; while [ ! -e go-${name} ]; do sleep 0.05; done`;

/** Freeze the worker that serves, until another has the session. */
async function overtake(frozen: WorkerProcess, simulator: Simulator, start: () => WorkerProcess): Promise<WorkerProcess> {
  frozen.kill("SIGSTOP");
  const next = start();
  const acks = (): number => simulator.requests.filter(({ endpoint, status }) => endpoint === "work.ack" && status === 200).length;
  await simulator.waitForRequest(({ endpoint }) => endpoint === "work.ack" && acks() === 2);
  return next;
}

/** It let the item go, and left it to the other. */
async function letsGo(worker: WorkerProcess, session: SessionHandle): Promise<void> {
  await expect.poll(() => worker.logged("item.ended"), { timeout: 20_000 }).toMatchObject([{ because: "lease_lost", stopped: false }]);
  expect(session.work.map(({ state }) => state)).toEqual(["active"]);
}

test("a worker frozen in mid-call is overtaken; continued, it lets go, and every effect and answer is there once", async () => {
  await using simulator = await startSimulator({ behaviour });
  await using _sandboxes = removeSandboxes(simulator);
  await using first = startWorker(simulator, "docker");
  const session = simulator.createSession({
    script: {
      turns: [
        { calls: [{ name: "bash", input: { command: `echo one >> effects; ${blocked("one")}; cat effects` }, expect: { equals: "one" } }] },
        { calls: [{ name: "bash", input: { command: `echo two >> effects; ${blocked("two")}; cat effects` }, expect: { equals: "one\ntwo" } }] },
        { calls: [{ name: "bash", input: { command: "echo three >> effects; cat effects" }, expect: { equals: "one\ntwo\nthree" } }] },
      ],
    },
  });
  await using sandbox = await ownedSandbox(simulator, session.id);
  await untilFile(sandbox, "/workspace/started-one");
  await using second = await overtake(first, simulator, () => startWorker(simulator, "docker"));
  await sandbox.files.write("/workspace/go-one", "");
  await untilFile(sandbox, "/workspace/started-two");
  first.kill("SIGCONT");
  await letsGo(first, session);
  await sandbox.files.write("/workspace/go-two", "");
  const report = await session.finished;
  expect(report.failures, second.output()).toEqual([]);
  expect(answeredCalls(session)).toEqual(report.calls.map(({ id }) => id));
}, 60_000);

test("a worker frozen while it makes the sandbox and continued leaves it to the one who works in it", async () => {
  await using simulator = await startSimulator({ behaviour });
  await using _sandboxes = removeSandboxes(simulator);
  const started = Promise.withResolvers<void>();
  await using proxy = await startEngineProxy((request) => {
    if (!request.endsWith("/start")) return;
    first.kill("SIGSTOP");
    started.resolve();
  });
  await using first = startWorker(simulator, "docker", { env: { DOCKER_HOST: proxy.host } });
  const session = simulator.createSession({
    script: {
      turns: [
        { calls: [{ name: "bash", input: { command: `KEPT=yes; ${blocked("it")}; echo $KEPT` }, expect: { equals: "yes" } }] },
        { calls: [{ name: "bash", input: { command: "echo $KEPT" }, expect: { equals: "yes" } }] },
      ],
    },
  });
  await started.promise;
  await using second = await overtake(first, simulator, () => startWorker(simulator, "docker"));
  await using sandbox = await ownedSandbox(simulator, session.id);
  await untilFile(sandbox, "/workspace/started-it");
  first.kill("SIGCONT");
  await letsGo(first, session);
  await sandbox.files.write("/workspace/go-it", "");
  const report = await session.finished;
  expect(report.failures, second.output()).toEqual([]);
  expect(answeredCalls(session)).toEqual(report.calls.map(({ id }) => id));
}, 60_000);

test("a worker frozen between two calls and continued does not run what came meanwhile, not even a custom tool", async () => {
  using directory = mkdtempDisposableSync(join(tmpdir(), "glovebox-notes-"));
  const notes = join(directory.path, "notes");
  await using simulator = await startSimulator({ behaviour });
  await using _sandboxes = removeSandboxes(simulator);
  const start = (): WorkerProcess => startWorker(simulator, "test/workers/custom-tool/glovebox.config.ts", { env: { NOTES: notes } });
  await using first = start();
  const served = Promise.withResolvers<void>();
  const session = simulator.createSession({
    brain: async function* () {
      yield { calls: [{ kind: "custom", name: "note", input: { line: "one" }, expect: { equals: "noted one" } }] };
      await served.promise;
      yield { calls: [{ kind: "custom", name: "note", input: { line: "two" }, expect: { equals: "noted two" } }] };
      yield { calls: [{ name: "bash", input: { command: blocked("end") }, expect: { isError: false } }] };
    },
  });
  await session.waitForEvent(({ type }) => type === "user.custom_tool_result");
  await using second = await overtake(first, simulator, start);
  served.resolve();
  await using sandbox = await ownedSandbox(simulator, session.id);
  await untilFile(sandbox, "/workspace/started-end");
  first.kill("SIGCONT");
  await letsGo(first, session);
  await sandbox.files.write("/workspace/go-end", "");
  const report = await session.finished;
  expect(report.failures, second.output()).toEqual([]);
  expect(answeredCalls(session)).toEqual(report.calls.map(({ id }) => id));
  expect(readFileSync(notes, "utf8")).toBe("one\ntwo\n");
}, 60_000);
