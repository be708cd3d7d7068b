import { SandboxError } from "@glovebox/core";
import { startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { z } from "zod";
import { Worker, customTool } from "../src/index.ts";
import { ownerKey, runWorker, startHarness } from "./harness.ts";

const bash = (command: string) => ({ name: "bash", input: { command } });

test("a session's calls run in its sandbox and are answered, each once", async () => {
  await using harness = await startHarness();
  const session = harness.session({
    script: {
      turns: [
        {
          calls: [
            { name: "write", input: { file_path: "src/a.txt", content: "one\ntwo\n" } },
            { name: "read", input: { file_path: "src/a.txt" } },
            { name: "edit", input: { file_path: "src/a.txt", old_string: "two", new_string: "$& 2" } },
            { name: "read", input: { file_path: "src/a.txt", view_range: [2, 2] } },
            { name: "glob", input: { pattern: "**/*.txt" } },
          ],
        },
        { calls: [bash("echo hello")] },
      ],
    },
  });
  const worker = harness.work();
  const report = await session.finished;
  expect(report.calls.map(({ result }) => [result?.text, result?.isError])).toEqual([
    ["wrote 8 bytes to src/a.txt", false],
    ["one\ntwo\n", false],
    ["edited src/a.txt (1 replacement(s))", false],
    ["$& 2", false],
    ["/workspace/src/a.txt", false],
    ["echo hello", false],
  ]);
  expect(harness.sandboxes.commands).toEqual(["echo hello"]);
  expect(worker.ofType("sandbox.ready").map(({ how }) => how)).toEqual(["created"]);
  await worker.until("call.sent", () => worker.ofType("call.sent").length === 6);
  expect(worker.ofType("call.sent").every(({ outcome, attempts }) => outcome === "settled" && attempts === 1)).toBe(true);
});

test("sessions do not wait for each other, and each has its own sandbox", async () => {
  const both = Promise.withResolvers<void>();
  const seen = new Set<string>();
  const shell = async ({ sandboxId }: { readonly sandboxId: string }) => {
    seen.add(sandboxId);
    if (seen.size === 3) both.resolve();
    await both.promise;
    return { output: "together" };
  };
  await using harness = await startHarness({}, { shell });
  const sessions = [1, 2, 3].map(() => harness.session({ script: { turns: [{ calls: [bash("x")] }] } }));
  harness.work();
  const reports = await Promise.all(sessions.map(({ finished }) => finished));
  expect(reports.map(({ calls }) => calls[0]?.result?.text)).toEqual(["together", "together", "together"]);
  expect(harness.sandboxes.fake.sandboxes.size).toBe(3);
});

test("with maxSessions items held nothing more is claimed until one ends", async () => {
  await using harness = await startHarness();
  const held = harness.session({ script: { turns: [{ calls: [{ ...bash("a"), permission: "ask" }] }] } });
  const worker = harness.work({ maxSessions: 1, maxIdleMs: 10 });
  const { callId } = await worker.until("call.held");
  const other = harness.session({ script: { turns: [{ calls: [bash("b")] }] } });
  await held.waitForEvent(({ type }) => type === "session.status_idle");
  expect(other.work.map(({ state }) => state)).toEqual(["queued"]);
  held.confirm(callId, "allow");
  expect((await other.finished).calls[0]?.result?.text).toBe("b");
  expect(worker.ofType("item.claimed").map(({ sessionId }) => sessionId)).toEqual([held.id, other.id]);
});

test("permissions: allow runs, deny and denied do not, unknown is held, and a confirmation before the call counts", async () => {
  await using harness = await startHarness();
  const session = harness.session({
    script: {
      turns: [
        {
          calls: [
            { ...bash("allow"), permission: "allow" },
            { ...bash("absent"), permission: "absent" },
            { ...bash("deny"), permission: "deny" },
            { ...bash("asked"), permission: "ask", confirm: { result: "allow" } },
            { ...bash("refused"), permission: "ask", confirm: { result: "deny" } },
            { ...bash("odd"), permission: "perhaps" },
          ],
        },
      ],
    },
  });
  const worker = harness.work();
  const { callId } = await worker.until("call.held", ({ because }) => because === "unknown_permission");
  session.confirm(callId, "deny");
  const report = await session.finished;
  expect(report.calls.map(({ outcome }) => outcome)).toEqual(["result", "result", "denied", "result", "denied", "denied"]);
  expect(harness.sandboxes.commands.toSorted()).toEqual(["absent", "allow", "asked"]);
});

test("custom tools are dispatched by kind and name, validated, and answered in their kind; others are left alone", async () => {
  await using harness = await startHarness();
  const add = customTool({ name: "add", inputSchema: z.object({ a: z.number(), b: z.number() }), run: ({ a, b }) => `${a + b}` });
  const fails = customTool({ name: "fails", inputSchema: { type: "object" }, run: () => Promise.reject(new Error("no luck")) });
  const own = customTool({
    name: "bash",
    inputSchema: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] },
    run: () => "the application's own bash",
  });
  const session = harness.session({
    script: {
      turns: [
        {
          calls: [
            { name: "add", kind: "custom", input: { a: 1, b: 2 } },
            { name: "add", kind: "custom", input: { a: "1" } },
            { name: "fails", kind: "custom" },
            { name: "bash", kind: "custom", input: { n: 1 } },
            { name: "bash", kind: "custom", input: { command: "rm -rf /" } },
            { name: "constructor", kind: "custom" },
            { name: "__proto__" },
            { name: "add" },
          ],
        },
      ],
    },
  });
  const worker = harness.work({ tools: [add, fails, own] });
  await worker.until("call.held", () => worker.ofType("call.held").length === 3);
  const held = worker.ofType("call.held");
  for (const [index, text] of ["mine", "mine too", "not the custom one"].entries()) session.answer(held[index]?.callId ?? "", text);
  const { calls } = await session.finished;
  expect(calls.map(({ result }) => [result?.text, result?.isError])).toEqual([
    ["3", false],
    ["add: invalid input: a: Invalid input: expected number, received string; b: Invalid input: expected number, received undefined", true],
    ["Error: no luck", true],
    ["the application's own bash", false],
    ["bash: invalid input: n: Invalid input: expected number, received undefined", true],
    ["mine", false],
    ["mine too", false],
    ["not the custom one", false],
  ]);
  expect(worker.ofType("call.held").map(({ because }) => because)).toEqual(["not_ours", "not_ours", "not_ours"]);
  expect(harness.sandboxes.commands).toEqual([]);
});

test("a custom tool that ignores its time-out blocks nobody", async () => {
  await using harness = await startHarness();
  const stuck = customTool({ name: "stuck", inputSchema: { type: "object" }, run: () => new Promise<string>(() => undefined) });
  const session = harness.session({ script: { turns: [{ calls: [{ name: "stuck", kind: "custom" }, bash("after")] }] } });
  harness.work({ tools: [stuck], timeouts: { byTool: { stuck: 20 } } });
  const { calls } = await session.finished;
  expect(calls.map(({ result }) => result?.text)).toEqual(["stuck: timed out after 20ms", "after"]);
});

test("whatever a custom tool gives is answered, as text where it is nothing that the API takes", async () => {
  await using harness = await startHarness();
  const outputs: readonly unknown[] = [
    undefined,
    "",
    7,
    { isError: true },
    [{ type: "redacted" }],
    [{ type: "image", source: { type: "base64", media_type: "image/png", data: "AAAA" } }],
    { content: [{ type: "text", text: "told" }], isError: true },
    "lone \ud800",
  ];
  const odd = customTool({ name: "odd", inputSchema: z.object({ n: z.number() }), run: ({ n }) => outputs[n] as string });
  const calls = outputs.map((_, n) => ({ name: "odd", kind: "custom" as const, input: { n } }));
  const session = harness.session({ script: { turns: [{ calls }] } });
  harness.work({ tools: [odd] });
  const report = await session.finished;
  expect(report.calls.map(({ result }) => [result?.text, result?.isError])).toEqual([
    ["(no output)", false],
    ["(no output)", false],
    ["odd: the tool gave neither text nor content blocks", true],
    ["odd: the tool gave neither text nor content blocks", true],
    ['{"type":"redacted"}', false],
    ["[left out: a block of type image: it is neither png, jpeg, gif nor webp]", true],
    ["told", true],
    ["lone \ufffd", false],
  ]);
});

test("a wrong key, a revoked key and an unknown environment end the worker with a code and the variable's name, never with the key", async () => {
  await using harness = await startHarness();
  const { environmentId, environmentKey, url: baseUrl } = harness.simulator;
  const common = { environmentId, environmentKey, baseUrl, provider: harness.sandboxes.provider, ownerKey };
  const wrongKey = "sk-ant-oat01-not-the-key";
  const refused = await runWorker({ ...common, environmentKey: wrongKey }).done.catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: "unauthenticated" });
  expect(String(refused)).toContain("ANTHROPIC_ENVIRONMENT_KEY");
  expect(String(refused)).not.toContain(wrongKey);
  expect(String(refused)).toContain('The control plane answered 401 {"type":"error"');
  const unknown = await runWorker({ ...common, environmentId: "env_unknown" }).done.catch((error: unknown) => error);
  expect(SandboxError.is(unknown) && ["not_found", "permission_denied"].includes(unknown.code)).toBe(true);
  expect(String(unknown)).toContain("ANTHROPIC_ENVIRONMENT_ID");
  const worker = harness.work();
  await worker.until("worker.started");
  harness.simulator.revokeEnvironmentKey();
  await expect(worker.done).rejects.toMatchObject({ code: "unauthenticated" });
  expect(worker.ofType("worker.stopped")).toHaveLength(1);
});

test("wrong options are refused with their name and without their value", () => {
  const options = { environmentId: "env_1", environmentKey: "sk-ant key with spaces", ownerKey, provider: undefined as never, maxSessions: 0 };
  expect(() => new Worker(options)).toThrow(/environmentKey: .*maxSessions: /su);
  expect(() => new Worker(options)).not.toThrow(/key with spaces/u);
  expect(() => new Worker({ ...options, environmentKey: "k", maxSessions: 1, ownerKey: new Uint8Array(8) })).toThrow(/ownerKey/u);
});

test("a spec that the provider cannot honour ends the worker before it polls", async () => {
  await using harness = await startHarness();
  await expect(harness.work({ spec: { gpu: { count: 1 } } }).done).rejects.toMatchObject({ code: "unsupported", effect: "none" });
  await expect(harness.work({ spec: { cpu: { min: 2, max: 1 } } }).done).rejects.toMatchObject({ code: "invalid_argument" });
  expect(harness.simulator.requests).toEqual([]);
});

test("a control plane that cannot be reached is told with the cause", async () => {
  await using harness = await startHarness();
  const gone = await startSimulator();
  await gone[Symbol.asyncDispose]();
  const worker = harness.work({ baseUrl: gone.url });
  expect((await worker.until("poll.failed")).failure).toEqual({
    code: "error",
    message: `Connection error. (fetch failed: connect ECONNREFUSED ${new URL(gone.url).host})`,
  });
});

test("no credential reaches an observer, a sandbox or a result", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({
    endpoint: "events.send",
    status: 500,
    message: `leaking ${harness.simulator.environmentKey}`,
    headers: { "retry-after-ms": "1" },
  });
  const requests: string[] = [];
  const session = harness.session({ script: { turns: [{ calls: [bash("x")] }] } });
  const tokens = new Set<string>([harness.simulator.environmentKey]);
  const worker = harness.work({
    fetch: async (input, init) => {
      tokens.add(new Headers(init?.headers).get("authorization")?.replace("Bearer ", "") ?? "");
      return await fetch(input, init);
    },
    maxIdleMs: 10,
  });
  await session.finished;
  await worker.until("item.ended");
  expect(tokens.size).toBe(2);
  const told = JSON.stringify([worker.events, requests, session.events, [...harness.sandboxes.fake.sandboxes.values()]]);
  expect([...tokens].filter((token) => told.includes(token))).toEqual([]);
});

test("malformed events pass without harm", async () => {
  await using harness = await startHarness();
  const session = harness.session({
    script: {
      turns: [
        {
          events: [
            { type: "agent.tool_use", name: 7, input: "text" },
            { type: "user.tool_confirmation" },
            { type: "user.interrupt", processed_at: "not a time" },
            { type: "session.thread_status_terminated", session_thread_id: { odd: true } },
            { type: "session.status_idle", stop_reason: 5 },
            { type: "never.heard.of" },
          ],
          calls: [bash("x"), { name: "bash", input: { command: ["not", "text"] } }],
        },
      ],
    },
  });
  harness.work();
  const { calls } = await session.finished;
  expect(calls.map(({ result }) => result?.text)).toEqual(["x", "bash: invalid input: command: Invalid input: expected string, received array"]);
});
