import { startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { askEngine, machineEngine } from "../workers/engine-api.ts";
import { ownedSandbox, removeSandboxes, untilFile } from "../workers/sandboxes.ts";
import { startWorker } from "../workers/start.ts";

test("a container killed from outside in mid-call: the model is told, the session goes on with its files kept", async () => {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = startWorker(simulator, "docker");
  const session = simulator.createSession({
    script: {
      turns: [
        { calls: [{ name: "write", input: { file_path: "kept.txt", content: "kept" }, expect: { isError: false } }] },
        {
          calls: [
            {
              name: "bash",
              input: { command: "echo once >> effects; touch started; sleep 60" },
              expect: { isError: true, contains: "It is unknown whether the call's effect happened" },
            },
          ],
        },
        { calls: [{ name: "bash", input: { command: "cat kept.txt effects" }, expect: { isError: false, contains: "keptonce" } }] },
      ],
    },
  });
  const sandbox = await ownedSandbox(simulator, session.id);
  await untilFile(sandbox, "/workspace/started");
  await askEngine(machineEngine, "POST", `/containers/glovebox-${sandbox.id}/kill`);
  await sandbox.close();
  const report = await session.finished;
  expect(report.failures, worker.output()).toEqual([]);
  expect(report.calls[2]?.result?.text.match(/once/gu)).toHaveLength(1);
}, 120_000);

test("an agent that attacks the guest harms nothing: PID 1 lives, its memory and environment stay closed, a fork bomb stays within its limit", async () => {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = startWorker(simulator, "docker");
  const bomb =
    'limit=$(cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2> /dev/null | head -1); [ "$limit" -le 4096 ] || exit 9; :(){ :|:& };: ; sleep 1; echo never';
  const report = await simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            {
              name: "bash",
              input: { command: "kill -9 1; kill -STOP 1; cat /proc/1/environ /proc/1/maps; head -c 1 /proc/1/mem; ls /.glovebox; id -u" },
              expect: { matches: "^(?!.*GLOVEBOX_CONFIG)(.|\n)*\n1000$" },
            },
          ],
        },
        { calls: [{ name: "bash", input: { command: bomb, timeout_ms: 5_000 } }] },
        // what the bomb still says in the background comes with it
        { calls: [{ name: "bash", input: { command: "echo alive" }, expect: { isError: false, contains: "alive" } }] },
      ],
    },
  }).finished;
  expect(report.failures, worker.output()).toEqual([]);
}, 120_000);
