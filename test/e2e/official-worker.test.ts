import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { checkConversation, type Brain, type Script } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { bash, endpointsOf, runOfficial, stopped } from "./official.ts";

test("a whole session: tools, several calls in a turn, files that stay", async () => {
  await using running = await runOfficial();
  const { simulator, workdir } = running;
  await writeFile(join(workdir, "notes.txt"), "first line\nsecond line\n");
  const script: Script = {
    name: "whole session",
    turns: [
      {
        message: "Looking around.",
        calls: [
          { ...bash("ls"), expect: { equals: "notes.txt", isError: false } },
          { ...bash("cat notes.txt"), expect: { equals: "first line\nsecond line" } },
          { name: "read", input: { file_path: "notes.txt", view_range: [2, 2] }, expect: { contains: "second line" } },
        ],
      },
      { calls: [{ name: "write", input: { file_path: "out/answer.txt", content: "42\n" }, expect: { equals: "wrote 3 bytes to out/answer.txt" } }] },
      {
        calls: [{ name: "edit", input: { file_path: "out/answer.txt", old_string: "42", new_string: "43" }, expect: { contains: "1 replacement" } }],
      },
      { calls: [{ ...bash("cat out/answer.txt; cat missing"), expect: { isError: true, matches: "^43\\n.*missing" } }] },
      { calls: [{ name: "glob", input: { pattern: "**/*.txt" }, expect: { contains: ["notes.txt", "out/answer.txt"] } }] },
      { message: "Done." },
    ],
  };
  const session = simulator.createSession({ script });
  const report = await session.finished;
  expect(report.failures).toEqual([]);
  expect(report).toMatchObject({ status: "completed", passed: true, turns: 6 });
  expect(await readFile(join(workdir, "out/answer.txt"), "utf8")).toBe("43\n");
  await stopped(simulator, session);
  expect(endpointsOf(simulator)).toEqual([
    "work.ack",
    "sessions.retrieve",
    "events.stream",
    "events.list",
    ...Array.from({ length: 7 }, () => "events.send"),
    "work.stop",
  ]);
  expect(session.work).toMatchObject([{ state: "stopped" }]);
  expect(new Set(simulator.requests.map((request) => request.credential))).toEqual(new Set(["environment_key", "sessions_token"]));
  for (const call of report.calls) expect(call.settledAtMs).toBeGreaterThan(call.emittedAtMs);
  await running.expectClean();
});

test("a brain in code sees results and decides by them", async () => {
  await using running = await runOfficial();
  const brain: Brain = async function* () {
    const [listed] = yield { calls: [bash("echo 3")] };
    const count = Number(listed?.result?.text);
    const echoed = yield { calls: Array.from({ length: count }, (_, index) => bash(`echo call ${index}`)) };
    yield { message: echoed.map((call) => call.result?.text).join(", ") };
  };
  const session = running.simulator.createSession({ brain });
  expect((await session.finished).calls).toHaveLength(4);
  expect(session.events.findLast((event) => event.type === "agent.message")?.["content"]).toEqual([{ type: "text", text: "call 0, call 1, call 2" }]);
});

test("allow, ask and deny: only what is allowed runs", async () => {
  await using running = await runOfficial();
  const session = running.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { ...bash("echo allowed"), permission: "allow", expect: { equals: "allowed" } },
            {
              ...bash("echo confirmed >> ran.txt; echo confirmed"),
              permission: "ask",
              confirm: { result: "allow", afterMs: 20 },
              expect: { equals: "confirmed" },
            },
            {
              ...bash("echo refused >> ran.txt"),
              permission: "ask",
              confirm: { result: "deny", denyMessage: "not today" },
              expect: { outcome: "denied", contains: "not today" },
            },
            { ...bash("echo forbidden >> ran.txt"), permission: "deny", expect: { outcome: "denied", isError: true } },
            { ...bash("echo unknown"), permission: "later_perhaps", confirm: { result: "allow" }, expect: { equals: "unknown" } },
          ],
        },
        { calls: [{ ...bash("cat ran.txt"), expect: { equals: "confirmed" } }] },
      ],
    },
  });
  expect((await session.finished).failures).toEqual([]);
});

test("custom tools are answered by their own kind, unowned ones by the application", async () => {
  const add = betaTool({
    name: "add",
    description: "Adds two numbers.",
    inputSchema: { type: "object", properties: { left: { type: "number" }, right: { type: "number" } } },
    run: (input) => String((input as { left: number }).left + (input as { right: number }).right),
  });
  await using running = await runOfficial({ tools: [add] });
  const session = running.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { name: "add", kind: "custom", input: { left: 2, right: 3 }, expect: { equals: "5" } },
            { name: "ask_operator", kind: "custom", answer: { by: "application", text: "yes", afterMs: 30 }, expect: { equals: "yes" } },
            { name: "web_search", answer: { by: "server", text: "found" }, expect: { equals: "found" } },
            { name: "lookup", kind: "mcp", answer: { by: "server", text: "from the server" } },
          ],
        },
      ],
    },
  });
  const report = await session.finished;
  expect(report.failures).toEqual([]);
  const sent = running.simulator.requests.flatMap((request) => request.sent);
  expect(sent).toEqual([{ type: "user.custom_tool_result", toolUseId: report.calls[0]?.id }]);
});

test("76: calls of other threads are served, those of a terminated one dropped", async () => {
  await using running = await runOfficial();
  const session = running.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { ...bash("echo primary"), expect: { equals: "primary" } },
            { ...bash("echo helper"), thread: "helper", expect: { equals: "helper" } },
            { ...bash("echo never >> ran.txt"), thread: "doomed", permission: "ask", expect: { outcome: "dropped" } },
          ],
          terminateThreads: ["doomed"],
        },
        { calls: [{ ...bash("cat ran.txt"), expect: { isError: true } }] },
      ],
    },
  });
  expect((await session.finished).failures).toEqual([]);
});

test("an interrupt closes what is open, and the next turn is served", async () => {
  await using running = await runOfficial();
  const session = running.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { ...bash("echo first"), expect: { equals: "first" } },
            { name: "nobody_has_this", expect: { outcome: "interrupted" } },
          ],
          interrupt: { afterSettled: 1 },
        },
        { user: "Go on.", calls: [{ ...bash("echo second"), expect: { equals: "second" } }] },
      ],
    },
  });
  const report = await session.finished;
  expect(report.failures).toEqual([]);
  expect(report.calls.map((call) => call.outcome)).toEqual(["result", "interrupted", "result"]);
});

test("a session terminated while its worker waits ends the item, whose force-stop comes once", async () => {
  await using running = await runOfficial({ maxIdleMs: 60_000 });
  const session = running.simulator.createSession({ script: { turns: [{ calls: [bash("echo once")] }, { end: "terminated" }] } });
  expect(await session.finished).toMatchObject({ status: "terminated", passed: true });
  await stopped(running.simulator, session);
  expect(endpointsOf(running.simulator).filter((name) => name === "work.stop")).toEqual(["work.stop"]);
});

test("a deleted session ends the stream and the item", async () => {
  await using running = await runOfficial({ maxIdleMs: 60_000 });
  const session = running.simulator.createSession({ script: { turns: [{ calls: [bash("echo once")] }, { end: "deleted" }] } });
  expect(await session.finished).toMatchObject({ status: "deleted" });
  await running.simulator.waitForRequest((request) => request.endpoint === "work.stop");
});

test("71: a result whose response was lost is stored once, and the call is not run again", async () => {
  await using running = await runOfficial();
  running.simulator.addRequestFault({ endpoint: "events.send", cut: "after" });
  const session = running.simulator.createSession({
    script: { turns: [{ calls: [bash("echo once >> ran.txt")] }, { calls: [{ ...bash("cat ran.txt"), expect: { equals: "once" } }] }] },
  });
  expect((await session.finished).failures).toEqual([]);
  expect(session.events.filter((event) => event.type === "user.tool_result")).toHaveLength(2);
  await stopped(running.simulator, session);
  await running.expectClean();
});

test("72: after a refused result the official worker goes on, and runs the call again when it reconnects", async () => {
  await using running = await runOfficial();
  const { simulator } = running;
  simulator.addRequestFault({ endpoint: "events.send", status: 400 });
  const session = simulator.createSession({
    script: { turns: [{ calls: [bash("echo ran >> ran.txt"), bash("echo later")] }, { calls: [bash("cat ran.txt")] }] },
  });
  await session.waitForEvent((event) => event.type === "user.tool_result");
  expect(session.report().calls.map((call) => call.outcome)).toEqual(["open", "result"]);
  expect(session.cutStreams()).toBe(1);
  expect((await session.finished).calls.at(-1)?.result?.text).toBe("ran\nran");
  expect(checkConversation(simulator.requests).map(({ rule }) => rule)).toEqual(["one_result"]);
});

test("83: after the idle time the item is stopped; a later message queues another, and nothing runs again", async () => {
  await using running = await runOfficial();
  const { simulator } = running;
  const brain: Brain = async function* () {
    yield { calls: [bash("echo once >> ran.txt")], idle: { type: "end_turn" } };
    yield { calls: [bash("cat ran.txt")] };
  };
  const session = simulator.createSession({ brain });
  await stopped(simulator, session);
  session.sendMessage("And now?");
  const report = await session.finished;
  expect(report.calls.map((call) => call.result?.text)).toEqual(["(no output)", "once"]);
  expect(session.work).toHaveLength(2);
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.workId === session.work[1]?.id);
  await running.expectClean();
});
