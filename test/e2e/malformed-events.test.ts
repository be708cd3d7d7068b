import {
  type CallRecord,
  type EventParams,
  type LoggedRequest,
  type SessionHandle,
  startSimulator,
  type Simulator,
  type ToolCall,
} from "@glovebox/simulator";
import { afterAll, beforeAll, expect, test } from "vitest";
import { answeredCalls } from "../workers/answers.ts";
import { removeSandboxes } from "../workers/sandboxes.ts";
import { startWorker, type WorkerProcess } from "../workers/start.ts";

let simulator: Simulator;
let worker: WorkerProcess;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  simulator = stack.use(await startSimulator({ behaviour: { reclaimOlderThanMs: 200, leaseTtlMs: 2_000 } }));
  stack.use(removeSandboxes(simulator));
  worker = stack.use(startWorker(simulator, "docker"));
});
afterAll(() => stack.disposeAsync());

const bash = (command: string): ToolCall => ({ name: "bash", input: { command } });
const shown = ({ result }: CallRecord): string => `${result?.isError === true ? "error: " : ""}${result?.text}`;

/** What the model reads, call by call. */
async function results(session: SessionHandle): Promise<readonly string[]> {
  const { calls, failures } = await session.finished;
  expect(failures).toEqual([]);
  return calls.map(shown);
}

const own = (json: string): unknown => JSON.parse(json) as unknown;

// what models, or services that lost their way, may put in; and what the model reads then
const inputs: Readonly<Record<string, readonly (readonly [input: unknown, result: string])[]>> = {
  bash: [
    [null, "error: bash: command is required"],
    ["text", "error: bash: invalid input: the input: Invalid input: expected object, received string"],
    [7, "error: bash: invalid input: the input: Invalid input: expected object, received number"],
    [[], "error: bash: invalid input: the input: Invalid input: expected object, received array"],
    [{}, "error: bash: command is required"],
    [{ command: null }, "error: bash: command is required"],
    [{ command: {} }, "error: bash: invalid input: command: Invalid input: expected string, received object"],
    [{ command: "echo x", timeout_ms: -1 }, "error: bash: invalid input: timeout_ms: Too small: expected number to be >=0"],
    [{ command: "echo x", timeout_ms: 1.5 }, "error: bash: invalid input: timeout_ms: Invalid input: expected int, received number"],
    [{ command: "echo x", timeout_ms: "5" }, "error: bash: invalid input: timeout_ms: Invalid input: expected number, received string"],
    [{ command: "echo x", restart: "yes" }, "error: bash: invalid input: restart: Invalid input: expected boolean, received string"],
    [{ command: "echo x", extra: 1, constructor: 1, toString: 2, hasOwnProperty: null }, "x"],
    [own('{"command":"echo x","__proto__":{"restart":true}}'), "x"],
    [own('{"__proto__":{"command":"echo polluted"}}'), "error: bash: command is required"],
    [{ command: "echo '\ud800'" }, "error: bash: the command holds a lone surrogate, which UTF-8 cannot say"],
    [{ command: "echo a\0b" }, "error: bash: a command cannot hold NUL"],
    [{ command: "printf '\\xff\\xed\\xa0\\x80'" }, "\ufffd\ufffd\ufffd\ufffd"],
    [{ command: `: '${"x".repeat(8_000_000)}'; echo whole` }, "whole"],
    [{ command: `: '${"x".repeat(34_000_000)}'` }, "error: bash: a command of 34000004 bytes; at most 33554432 fit, write it to a file"],
  ],
  read: [
    [{}, "error: read: file_path is required"],
    [{ file_path: 7 }, "error: read: invalid input: file_path: Invalid input: expected string, received number"],
    [{ file_path: "a", view_range: "1-2" }, "error: read: invalid input: view_range: Invalid input: expected array, received string"],
    [{ file_path: "a", view_range: [1] }, "error: read: view_range must be [start_line, end_line]"],
    [{ file_path: "a", view_range: [null, 2] }, "error: read: invalid input: view_range.0: Invalid input: expected number, received null"],
    [{ file_path: "\ud800" }, "error: read: a path holds a lone surrogate, which UTF-8 cannot say"],
    [{ file_path: "a\0b" }, "error: read: a path holds a NUL character"],
    [{ file_path: "__proto__" }, "error: read: __proto__: no such file or directory"],
  ],
  write: [
    [{ content: "x" }, "error: write: file_path is required"],
    [{ file_path: "lone", content: "a\ud800b" }, "wrote 5 bytes to lone"],
    [{ file_path: "lone-\udc00", content: "x" }, "error: write: a path holds a lone surrogate, which UTF-8 cannot say"],
    [{ file_path: "__proto__", content: "x" }, "wrote 1 bytes to __proto__"],
    [{ file_path: "constructor", content: null }, "wrote 0 bytes to constructor"],
    [{ file_path: "n", content: ["x"] }, "error: write: invalid input: content: Invalid input: expected string, received array"],
    [{ file_path: "big", content: "x".repeat(30_000_000) }, "wrote 30000000 bytes to big"],
  ],
  edit: [
    [{ file_path: "a", old_string: "" }, "error: edit: old_string is required"],
    [{ file_path: "a", old_string: "a" }, "error: edit: new_string is required"],
    [{ file_path: "a", old_string: "\ud800", new_string: "" }, "error: edit: old_string not found in a"],
    [
      { file_path: "a", old_string: "a", new_string: "b", replace_all: 1 },
      "error: edit: invalid input: replace_all: Invalid input: expected boolean, received number",
    ],
  ],
  glob: [
    [{}, "error: glob: pattern is required"],
    [{ pattern: {} }, "error: glob: invalid input: pattern: Invalid input: expected string, received object"],
    [{ pattern: "\ud800*" }, "error: glob: pattern holds a lone surrogate, which UTF-8 cannot say"],
    [{ pattern: "[" }, "no matches"],
  ],
  grep: [
    [{}, "error: grep: pattern is required"],
    [{ pattern: "x", path: 5 }, "error: grep: invalid input: path: Invalid input: expected string, received number"],
    [{ pattern: "\ud800" }, "error: grep: invalid regex: pattern holds a lone surrogate, which UTF-8 cannot say"],
    [{ pattern: "a\0" }, "error: grep: invalid regex: pattern holds a NUL character"],
    [{ pattern: "(" }, "error: grep: rg failed: regex parse error:\n    (\n    ^\nerror: unclosed group\n"],
  ],
};

test.each(Object.entries(inputs))(
  "%s: input of any kind has its exact result, and the session goes on",
  async (name, rows) => {
    const session = simulator.createSession({
      brain: async function* () {
        for (const [input] of rows) yield { calls: [{ name, input } as ToolCall] };
        yield { calls: [bash("echo fine")] };
      },
    });
    expect(await results(session)).toEqual([...rows.map(([, result]) => result), "fine"]);
    expect(answeredCalls(session)).toEqual(session.report().calls.map(({ id }) => id));
  },
  60_000,
);

test("calls of tools that are not the worker's are left to others, whatever their names, and the session goes on", async () => {
  const names = ["__proto__", "constructor", "toString", "hasOwnProperty", "", "BASH", "bash ", "web_search"];
  const answer = { by: "application", text: "mine" } as const;
  const calls: ToolCall[] = [
    ...names.map((name) => ({ name, answer })),
    ...[...names, "bash"].map((name) => ({ name, kind: "custom" as const, answer: { ...answer, afterMs: 300 } })),
  ];
  const session = simulator.createSession({
    brain: async function* () {
      yield { calls: [...calls, bash("echo fine")] };
    },
  });
  expect(await results(session)).toEqual([...calls.map(() => "mine"), "fine"]);
  const sent = simulator.requests.filter(({ endpoint, sessionId }) => endpoint === "events.send" && sessionId === session.id);
  expect(sent.flatMap((request) => request.sent.map(({ toolUseId }) => toolUseId))).toEqual([session.report().calls.at(-1)?.id]);
});

test("events of unknown types, with missing members and with members of wrong types change nothing", async () => {
  const events: readonly EventParams[] = [
    { type: "never.heard.of", content: "x".repeat(8_000_000) },
    { type: "__proto__" },
    { type: "constructor" },
    { type: "agent.tool_use" },
    { type: "agent.tool_use", name: 7, input: {} },
    { type: "agent.tool_use", name: { odd: true }, input: null },
    { type: "agent.custom_tool_use", name: null },
    { type: "user.tool_result" },
    { type: "user.tool_result", tool_use_id: 7 },
    { type: "user.custom_tool_result", custom_tool_use_id: null },
    { type: "user.tool_confirmation" },
    { type: "user.tool_confirmation", tool_use_id: {}, result: [] },
    { type: "user.interrupt", session_thread_id: "sthr_unknown" },
    { type: "session.thread_status_terminated", session_thread_id: { odd: true } },
    { type: "session.status_idle", stop_reason: 5 },
    { type: "session.status_idle", stop_reason: { type: ["end_turn"] } },
    { type: "session.error", error: null },
  ];
  const session = simulator.createSession({
    script: {
      turns: [
        { events, calls: [bash("echo one")] },
        { events, calls: [bash("echo two")] },
      ],
    },
  });
  expect(await results(session)).toEqual(["one", "two"]);
});

type Page = { readonly data: readonly Readonly<Record<string, unknown>>[] };
const isCall = ({ type }: Readonly<Record<string, unknown>>): boolean => type === "agent.tool_use";

/** The history of a session whose calls stand in it, changed once or for good. */
const histories: readonly (readonly [how: string, times: number, transform: (page: Page) => unknown])[] = [
  ["holds what are no events", Infinity, ({ data }) => ({ data: [null, 7, "text", [], {}, { type: 7 }, { type: null }, ...data] })],
  ["is empty", 1, () => ({})],
  ["is null", 1, () => null],
  ["is a text", 1, () => "text"],
  ["has a wrong kind of data", 1, () => ({ data: { length: 3 } })],
  [
    "has calls without an id, and with one that is no text",
    Infinity,
    ({ data }) => ({
      data: [
        ...data.filter(isCall).flatMap((event) => [
          { ...event, id: undefined },
          { ...event, id: 7 },
        ]),
        ...data,
      ],
    }),
  ],
  [
    "has a call's id again, with another input",
    Infinity,
    ({ data }) => ({ data: data.flatMap((event) => (isCall(event) ? [event, { ...event, input: { command: "echo again >> effects" } }] : [event])) }),
  ],
  [
    "has a call as custom tool's too",
    Infinity,
    ({ data }) => ({ data: data.flatMap((event) => (isCall(event) ? [event, { ...event, type: "agent.custom_tool_use" }] : [event])) }),
  ],
  ["is in reverse", Infinity, ({ data }) => ({ data: data.toReversed() })],
  ["has every event twice", Infinity, ({ data }) => ({ data: [...data, ...data] })],
];

test.each(histories)(
  "a history that %s: each call runs and is answered once",
  async (_, times, transform) => {
    const session = simulator.createSession({
      brain: async function* () {
        yield { calls: [bash("echo one >> effects; cat effects")] };
        yield { calls: [bash("echo two >> effects; cat effects")] };
        session.cutStreams(); // what follows is found in a history that begins with answered calls
        yield { calls: [bash("echo three >> effects; cat effects")] };
      },
      prompt: null,
    });
    const added = simulator.addRequestFault({
      endpoint: "events.list",
      where: ({ sessionId }) => sessionId === session.id,
      times,
      transform: (page) => transform(page as Page),
    });
    session.sendMessage("Begin.");
    expect(await results(session)).toEqual(["one", "one\ntwo", "one\ntwo\nthree"]);
    expect(answeredCalls(session)).toEqual(session.report().calls.map(({ id }) => id));
    expect(added.struck).toBeGreaterThan(0);
    added.remove();
  },
  30_000,
);

const isPoll = (body: unknown): body is Readonly<Record<string, unknown>> => typeof body === "object" && body !== null && "data" in body;
const polls: readonly (readonly [string, (work: Readonly<Record<string, unknown>>) => unknown])[] = [
  ["text", () => "text"],
  ["a list", (work) => [work]],
  ["an item without an id", (work) => ({ ...work, id: undefined })],
  ["an item whose id is no text", (work) => ({ ...work, id: 7 })],
  ["an item that nobody knows", (work) => ({ ...work, id: "work_../../unknown" })],
];

test.each(polls)("a poll is answered with %s: the session is served when it comes again", async (_, transform) => {
  let isFirst = true;
  const added = simulator.addRequestFault({
    endpoint: "work.poll",
    times: Infinity,
    transform: (body) => {
      if (!isFirst || !isPoll(body)) return body;
      isFirst = false;
      return transform(body);
    },
  });
  const before = simulator.requests.at(-1)?.atMs ?? 0;
  await simulator.waitForRequest(({ endpoint, atMs }) => endpoint === "work.poll" && atMs > before); // the one under way is none of the fault's
  const session = simulator.createSession({ script: { turns: [{ calls: [bash("echo fine")] }] } });
  expect(await results(session)).toEqual(["fine"]);
  expect(isFirst).toBe(false);
  added.remove();
});

test.each([
  ["sessions.retrieve", null],
  ["sessions.retrieve", {}],
  ["sessions.retrieve", { status: 7 }],
  ["work.heartbeat", null],
  ["work.heartbeat", {}],
  ["work.heartbeat", { last_heartbeat: 7, lease_extended: true, state: "active", ttl_seconds: "long" }],
  ["events.send", null],
  ["events.send", "text"],
] as const)("%s is answered with %j: the session goes on", async (endpoint, body) => {
  let struck = 0;
  const isOurs = ({ sessionId, workId }: LoggedRequest): boolean => sessionId === session.id || workId === session.work[0]?.id;
  const added = simulator.addRequestFault({ endpoint, where: isOurs, transform: () => (struck++, body) });
  const session = simulator.createSession({ script: { turns: [{ calls: [bash("echo one")] }, { calls: [bash("sleep 1.5; echo two")] }] } });
  expect(await results(session)).toEqual(["one", "two"]);
  expect([struck, session.work.map(({ state }) => state)]).toEqual([1, ["active"]]);
  expect(answeredCalls(session)).toEqual(session.report().calls.map(({ id }) => id));
  added.remove();
});

test("the worker that saw all of this ends in order", async () => {
  worker.kill("SIGTERM");
  expect(await worker.ended).toEqual({ code: 0, signal: null });
});
