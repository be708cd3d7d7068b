import { startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { ownedSandbox, removeSandboxes, untilFile } from "../workers/sandboxes.ts";
import { startWorker } from "../workers/start.ts";

test("a worker killed in mid-call and started again: the very call finishes, its effect happens once, the shell keeps its state", async () => {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  const session = simulator.createSession({
    script: {
      turns: [
        { calls: [{ name: "bash", input: { command: "cd /tmp; export KEPT=yes; echo $$ > /workspace/shell" }, expect: { isError: false } }] },
        {
          calls: [
            {
              name: "bash",
              input: {
                command:
                  "echo once >> /workspace/effects; touch /workspace/started; while [ ! -e /workspace/go ]; do sleep 0.05; done; echo finished",
              },
              expect: { equals: "finished" },
            },
          ],
        },
        {
          calls: [
            {
              name: "bash",
              input: { command: 'echo "$KEPT $PWD"; cat /workspace/effects; [ "$(cat /workspace/shell)" = $$ ] && echo same shell' },
              expect: { equals: "yes /tmp\nonce\nsame shell" },
            },
          ],
        },
      ],
    },
  });
  {
    await using first = startWorker(simulator, "docker");
    await using sandbox = await ownedSandbox(simulator, session.id);
    await untilFile(sandbox, "/workspace/started");
    first.kill("SIGKILL");
    await first.ended;
    session.expireLease();
    await using second = startWorker(simulator, "docker");
    await simulator.waitForRequest(
      ({ endpoint, status }) =>
        endpoint === "work.ack" && status === 200 && simulator.requests.filter((request) => request.endpoint === "work.ack").length === 2,
    );
    await sandbox.files.write("/workspace/go", "");
    const report = await session.finished;
    expect(report.failures, second.output()).toEqual([]);
  }
  const sent = simulator.requests
    .filter(({ endpoint, status }) => endpoint === "events.send" && status === 200)
    .flatMap(({ sent: events }) => events.map(({ toolUseId }) => toolUseId));
  expect(sent).toEqual([...new Set(sent)]);
}, 120_000);
