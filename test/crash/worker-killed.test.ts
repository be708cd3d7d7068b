import { type EndpointName, startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { answeredCalls } from "../workers/answers.ts";
import { startEngineProxy } from "../workers/engine-proxy.ts";
import { ownedSandbox, removeSandboxes, sandboxesOf, untilFile } from "../workers/sandboxes.ts";
import { startWorker } from "../workers/start.ts";

/** Where a worker is when it dies. */
type Step =
  /** A request of its has arrived: `before` it had any effect, or `after` it had, and the answer is lost. */
  | { readonly request: EndpointName; readonly cut: "before" | "after" }
  /** The engine has answered this request of its, and it does not know. */
  | { readonly engine: RegExp; readonly transport: "socket" | "exec" }
  /** Its call has got so far. */
  | { readonly file: string };

const steps: readonly (readonly [string, Step])[] = [
  ["after the poll, before the ack", { request: "work.ack", cut: "before" }],
  ["after the ack", { request: "work.ack", cut: "after" }],
  ["after the first heartbeat", { request: "work.heartbeat", cut: "after" }],
  ["when the container is made", { engine: /^POST .*\/containers\/create$/u, transport: "socket" }],
  ["when the container is started", { engine: /^POST .*\/start$/u, transport: "socket" }],
  ["when the container is made, over exec", { engine: /^POST .*\/containers\/create$/u, transport: "exec" }],
  ["when the guest is in the container, over exec", { engine: /^PUT .*\/archive$/u, transport: "exec" }],
  ["when the container is started, over exec", { engine: /^POST .*\/start$/u, transport: "exec" }],
  ["when the stream is attached", { request: "events.list", cut: "before" }],
  ["in the middle of the run", { file: "/workspace/started" }],
  ["after the run, before the send", { request: "events.send", cut: "before" }],
  ["after the send, before its answer is read", { request: "events.send", cut: "after" }],
  ["before the stop", { request: "work.stop", cut: "before" }],
  ["after the stop, before the sandbox is destroyed", { request: "work.stop", cut: "after" }],
];

test.each(steps)(
  "a worker killed %s: another finishes the session, each effect and answer is there once, no container is left",
  async (_, step) => {
    await using simulator = await startSimulator({ behaviour: { reclaimOlderThanMs: 500 } });
    await using _sandboxes = removeSandboxes(simulator);
    const reached = Promise.withResolvers<void>();
    const kill = (): void => {
      first.kill("SIGKILL");
      reached.resolve();
    };
    await using proxy = await startEngineProxy((request) => {
      if ("engine" in step && step.engine.test(request)) kill();
    });
    const provider = "transport" in step && step.transport === "exec" ? "test/workers/exec-transport/glovebox.config.ts" : "docker";
    if ("request" in step) simulator.addRequestFault({ endpoint: step.request, cut: step.cut, where: () => (kill(), true) });
    await using first = startWorker(simulator, provider, { env: { DOCKER_HOST: proxy.host } });
    const wait = "file" in step ? "touch started; while [ ! -e go ]; do sleep 0.05; done; " : "";
    const session = simulator.createSession({
      script: {
        turns: [
          { calls: [{ name: "bash", input: { command: `echo one >> effects; ${wait}cat effects` }, expect: { equals: "one" } }] },
          { calls: [{ name: "bash", input: { command: "echo two >> effects; cat effects" }, expect: { equals: "one\ntwo" } }], end: "terminated" },
        ],
      },
    });
    if ("file" in step) {
      await using sandbox = await ownedSandbox(simulator, session.id);
      await untilFile(sandbox, step.file);
      kill();
      await sandbox.files.write("/workspace/go", "");
    }
    await reached.promise;
    await first.ended;
    if (session.work.some(({ state }) => state === "active")) session.expireLease();
    await using second = startWorker(simulator, provider);
    const report = await session.finished;
    expect(report.failures, second.output()).toEqual([]);
    expect(answeredCalls(session)).toEqual(report.calls.map(({ id }) => id));
    await expect.poll(() => sandboxesOf(simulator), { timeout: 20_000 }).toEqual([]);
  },
  60_000,
);

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
