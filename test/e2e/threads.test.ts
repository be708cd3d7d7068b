import { docker } from "@glovebox/docker";
import { Worker } from "@glovebox/executor";
import { startSimulator } from "@glovebox/simulator";
import { virtual } from "@glovebox/virtual";
import { expect, test } from "vitest";
import { ownerKey, removeSandboxes } from "../workers/sandboxes.ts";

const bash = (command: string, thread?: string) => ({ name: "bash", input: { command }, ...(thread === undefined ? {} : { thread }) });

test.each([
  ["docker", docker],
  ["virtual", virtual],
] as const)(
  "threads of a session run at once in shells of their own, over the same files: %s",
  async (_, make) => {
    await using simulator = await startSimulator();
    await using _sandboxes = removeSandboxes(simulator);
    const { environmentId, environmentKey, url: baseUrl } = simulator;
    const stop = new AbortController();
    const running = new Worker({ environmentId, environmentKey, baseUrl, provider: make(), ownerKey }).run(stop.signal);
    const report = await simulator.createSession({
      script: {
        turns: [
          { calls: [bash("mkdir a b; NAME=primary")] },
          { calls: [bash("cd a; NAME=one", "one"), bash("cd b; NAME=two", "two")] },
          // each waits for what another one makes, so that none of them gets on unless all run
          {
            calls: [
              bash("until [ -e b/two ]; do sleep 0.05; done; touch a/primary; echo $NAME $PWD"),
              bash("until [ -e primary ]; do sleep 0.05; done; echo $NAME $PWD", "one"),
              bash("touch two; echo $NAME $PWD", "two"),
            ],
          },
        ],
      },
    }).finished;
    expect(report.calls.slice(3).map(({ result }) => result?.text)).toEqual(["primary /workspace", "one /workspace/a", "two /workspace/b"]);
    stop.abort();
    await running;
  },
  60_000,
);
