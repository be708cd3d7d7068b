import { docker } from "@glovebox/docker";
import { Worker } from "@glovebox/executor";
import { startSimulator } from "@glovebox/simulator";
import { virtual } from "@glovebox/virtual";
import { expect, test } from "vitest";
import { ownerKey, removeSandboxes } from "../workers/sandboxes.ts";

test.each([
  ["docker", docker],
  ["virtual", virtual],
] as const)(
  "a skill's programs can be run from its first call on, and belong to the agent: %s",
  async (name, make) => {
    await using simulator = await startSimulator();
    await using _sandboxes = removeSandboxes(simulator);
    const { environmentId, environmentKey, url: baseUrl } = simulator;
    const stop = new AbortController();
    const running = new Worker({ environmentId, environmentKey, baseUrl, provider: make(), ownerKey }).run(stop.signal);
    const files = { "SKILL.md": "Run greet.sh.", "greet.sh": { content: "#!/bin/bash\necho hello from a skill\n", executable: true } };
    const skill = simulator.createSkill({ name: "greeter", files });
    const script = {
      turns: [
        {
          calls: [
            { name: "bash", input: { command: "skills/greeter/greet.sh" }, expect: { equals: "hello from a skill" } },
            { name: "read", input: { file_path: "skills/greeter/SKILL.md" }, expect: { equals: "Run greet.sh." } },
            {
              name: "bash",
              input: { command: "stat -c '%U %a' skills/greeter/greet.sh" },
              ...(name === "docker" ? { expect: { equals: "agent 755" } } : {}),
            },
          ],
        },
      ],
    };
    const report = await simulator.createSession({ agent: { skills: [skill.reference()] }, script }).finished;
    expect(report.failures).toEqual([]);
    stop.abort();
    await running;
  },
  60_000,
);
