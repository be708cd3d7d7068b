import { expect, test } from "vitest";
import { parseScript, startSimulator, VirtualClock, type Script } from "@glovebox/simulator";
import { readZip } from "./archive-reader.ts";

const yaml = `name: two turns
turns:
  - user: Fix it.
    thinking: true
    message: Looking.
    calls:
      - name: bash
        input: { command: ls }
        expect: { contains: [a, b], matches: "^a", isError: false }
      - { name: read, input: { file_path: a }, thread: helper }
  - idle: { type: end_turn }
`;

test("a script in YAML is the same data as in TypeScript", () => {
  expect(parseScript(yaml)).toEqual({
    name: "two turns",
    turns: [
      {
        user: "Fix it.",
        thinking: true,
        message: "Looking.",
        calls: [
          { name: "bash", input: { command: "ls" }, expect: { contains: ["a", "b"], matches: "^a", isError: false } },
          { name: "read", input: { file_path: "a" }, thread: "helper" },
        ],
      },
      { idle: { type: "end_turn" } },
    ],
  } satisfies Script);
});

test("what is wrong in YAML is named with file, line and path", () => {
  const message = (text: string): string => {
    try {
      parseScript(text, { file: "demo.yaml" });
      return "accepted";
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(message("turns:\n  - calls:\n      - name: 7\n")).toBe(
    "demo.yaml:3:15: turns[0].calls[0].name: Invalid input: expected string, received number",
  );
  expect(message("turns:\n  - calls:\n      - input: {}\n")).toBe(
    "demo.yaml:3:9: turns[0].calls[0].name: Invalid input: expected string, received undefined",
  );
  expect(message('turns:\n  - calls:\n      - name: a\n        expect: { matches: "(" }\n')).toMatch(
    /^demo\.yaml:4:28: turns\[0\]\.calls\[0\]\.expect\.matches: is not a regular expression$/,
  );
  expect(message("turns:\n  - mesage: hi\n")).toBe('demo.yaml:2:5: turns[0]: Unrecognized key: "mesage"');
  expect(message("turns:\n  - calls:\n      - { name: a, confirm: { result: allow } }\n")).toMatch(
    /^demo\.yaml:3:29: turns\[0\]\.calls\[0\]\.confirm: goes only with/,
  );
  expect(message("turns: [\n")).toMatch(/^demo\.yaml:2:1: /);
  expect(message("")).toBe("demo.yaml:1:1: script: Invalid input: expected object, received null");
});

test("a script that is wrong in TypeScript is refused before anything is created", async () => {
  await using simulator = await startSimulator();
  const script = { turns: [{ calls: [{ name: "" }] }] };
  expect(() => simulator.createSession({ script })).toThrow("script.turns[0].calls[0].name: Too small");
  expect(() => simulator.createSession({ script: { turns: [] }, brain: async function* () {} })).toThrow("not both");
  await expect(startSimulator({ agents: { a: { brain: { turns: [{ pauseMs: -1 }] } } } })).rejects.toThrow("turns[0].pauseMs");
});

const staged = `memoryStores:
  - name: Team Notes
    access: read_only
    instructions: Read first.
    memories: { /rules.md: Be kind. }
  - { name: Scratch }
skills:
  - name: pdf
    description: Reads PDF.
    files:
      SKILL.md: "# pdf"
      scripts/run.sh: { content: "#!/bin/sh", executable: true }
turns: []
`;

test("a script's memory stores and skills are made for its session, beside the agent's own skills", async () => {
  await using simulator = await startSimulator();
  const own = simulator.createSkill({ name: "own" });
  const store = simulator.createMemoryStore({ name: "Mine" });
  const session = simulator.createSession({ script: parseScript(staged), agent: { skills: [own.reference()] }, memoryStores: [{ id: store.id }] });
  expect(session.memoryStores.map(({ name, memories }) => [name, memories])).toEqual([
    ["Mine", {}],
    ["Team Notes", { "/rules.md": "Be kind." }],
    ["Scratch", {}],
  ]);
  const read = async (path: string): Promise<Response> =>
    fetch(`${simulator.url}${path}`, { headers: { authorization: `Bearer ${simulator.apiKey}`, "anthropic-beta": "managed-agents-2026-04-01" } });
  const shown = (await (await read(`/v1/sessions/${session.id}`)).json()) as {
    readonly agent: { readonly skills: readonly { readonly skill_id: string; readonly version: string }[] };
    readonly resources: readonly unknown[];
  };
  expect(shown.resources.slice(1)).toMatchObject([
    { name: "Team Notes", access: "read_only", instructions: "Read first.", mount_path: "/mnt/memory/team-notes" },
    { name: "Scratch", access: "read_write", instructions: null },
  ]);
  expect(shown.agent.skills).toMatchObject([{ skill_id: own.id }, { version: "latest" }]);
  const version = (await (await read(`/v1/skills/${shown.agent.skills[1]?.skill_id}/versions/latest`)).json()) as { readonly id: string };
  const content = await read(`/v1/skills/${shown.agent.skills[1]?.skill_id}/versions/${version.id}/content`);
  expect(readZip(Buffer.from(await content.arrayBuffer())).map(({ name, mode }) => [name, mode])).toEqual([
    ["pdf/SKILL.md", 0o644],
    ["pdf/scripts/run.sh", 0o755],
  ]);
  expect(simulator.createSession({ script: parseScript(staged) }).memoryStores).toHaveLength(2);
});

test("memory stores and skills that are wrong are named, and an agent's script can have none", async () => {
  const message = (text: string): string => {
    try {
      parseScript(`${text}\nturns: []\n`);
      return "accepted";
    } catch (error) {
      return (error as Error).message;
    }
  };
  expect(message("memoryStores: [{ name: a, memories: { a.md: x } }]")).toMatch(/^script:1:\d+: memoryStores\[0\]\.memories\.a\.md: /);
  expect(message("memoryStores: [{ name: a, access: full }]")).toMatch(/memoryStores\[0\]\.access: /);
  expect(message("skills: [{ name: a, files: { x: { executable: true } } }]")).toMatch(/skills\[0\]\.files\.x: /);
  const { memoryStores } = parseScript(staged);
  await expect(startSimulator({ agents: { a: { brain: { turns: [], ...(memoryStores === undefined ? {} : { memoryStores }) } } } })).rejects.toThrow(
    "go with a session's own script",
  );
});

test("each expectation that fails is reported readably, with the first difference", async () => {
  await using simulator = await startSimulator();
  const session = simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            {
              name: "bash",
              input: { command: "ls" },
              expect: {
                equals: "one\ntwo\nthree",
                contains: ["one", "four"],
                matches: /^x/m,
                isError: false,
                outcome: "denied",
                check: (result) => (result.text.length > 3 ? "too long" : undefined),
              },
            },
            { name: "good", expect: { equals: "fine", matches: "^fi", isError: false, check: () => undefined } },
          ],
        },
      ],
    },
  });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  const [bash, good] = session.report().calls;
  session.answer(bash?.id ?? "", "one\ntwo\nTHREE", true);
  session.answer(good?.id ?? "", "fine");
  const { passed, failures } = await session.finished;
  expect(passed).toBe(false);
  const heading = `turn 0, bash {"command":"ls"} (${bash?.id}):\n  `;
  expect(failures.map((failure) => failure.message)).toEqual([
    `${heading}expected outcome denied, got result`,
    `${heading}expected no error, got an error: "one\\ntwo\\nTHREE"`,
    `${heading}texts differ at character 8 (line 3); lengths 13 and 13\n  expected "one\\ntwo\\nthree"\n  got      "one\\ntwo\\nTHREE"`,
    `${heading}expected text that contains "four"\n  got "one\\ntwo\\nTHREE"`,
    `${heading}expected text that matches /^x/m\n  got "one\\ntwo\\nTHREE"`,
    `${heading}too long`,
  ]);
});

test("a brain that throws fails the report and ends the turn", async () => {
  await using simulator = await startSimulator();
  const session = simulator.createSession({
    brain: async function* () {
      yield { message: "one" };
      throw new RangeError("lost my mind");
    },
  });
  const report = await session.finished;
  expect(report).toMatchObject({ status: "completed", passed: false, failures: [{ callId: null }] });
  expect(report.failures[0]?.message).toContain("RangeError: lost my mind");
  expect(session.events.slice(-4).map((event) => event.type)).toEqual([
    "session.error",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
  ]);
});

test("a plan for a thread that no call made fails the report", async () => {
  await using simulator = await startSimulator();
  for (const turn of [{ terminateThreads: ["helpr"] }, { interrupt: { thread: "helpr" } }]) {
    const session = simulator.createSession({ script: { turns: [{ calls: [{ name: "a", thread: "helper" }], ...turn }] } });
    expect((await session.finished).failures[0]?.message).toContain("Thread helpr not found.");
  }
});

test("pauses, verdicts and answers keep to the clock", async () => {
  const clock = new VirtualClock();
  await using simulator = await startSimulator({ clock });
  const session = simulator.createSession({
    script: {
      turns: [
        {
          pauseMs: 1_000,
          calls: [
            { name: "a", kind: "custom", answer: { by: "application", text: "yes", afterMs: 500 } },
            { name: "b", permission: "ask", confirm: { result: "deny", afterMs: 2_000 } },
            { name: "c", answer: { by: "server", text: "page", afterMs: 700 } },
          ],
        },
      ],
    },
  });
  await new Promise((resolve) => setImmediate(resolve));
  await clock.advance(10_000);
  const { calls, startedAtMs } = await session.finished;
  expect(calls.map((call) => [call.emittedAtMs - startedAtMs, (call.settledAtMs ?? 0) - startedAtMs])).toEqual([
    [1_000, 1_500],
    [1_000, 3_000],
    [1_000, 1_700],
  ]);
});

test("a virtual clock runs timers in order of time and honours cancellation", async () => {
  const clock = new VirtualClock(0);
  const ran: string[] = [];
  clock.setTimer(20, () => ran.push(`b${clock.now()}`));
  clock.setTimer(10, () => {
    ran.push(`a${clock.now()}`);
    clock.setTimer(5, () => ran.push(`nested${clock.now()}`));
  });
  clock.setTimer(15, () => ran.push("cancelled")).cancel();
  await clock.advance(19);
  expect(ran).toEqual(["a10", "nested15"]);
  await clock.advance(1);
  expect([ran, clock.now()]).toEqual([["a10", "nested15", "b20"], 20]);
});
