import { Sandbox, SandboxError } from "@glovebox/core";
import type { SandboxProvider } from "@glovebox/core";
import { expect, test } from "vitest";
import { customTool, sandboxIdFor } from "../src/index.ts";
import { aborted } from "./fake-sandboxes.ts";
import { type Harness, ownerKey, startHarness } from "./harness.ts";

const oneCall = (command: string) => ({ turns: [{ calls: [{ name: "bash", input: { command } }] }] });
const count = ({ simulator }: Harness, name: string): number => simulator.requests.filter(({ endpoint }) => endpoint === name).length;
const sends = (harness: Harness): number => count(harness, "events.send");
const acks = (harness: Harness): number => count(harness, "work.ack");

test("a send whose answer was lost is sent again and the call is not run again", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({ endpoint: "events.send", cut: "after" });
  const session = harness.session({ script: oneCall("once") });
  const worker = harness.work();
  await worker.until("call.sent");
  expect((await session.finished).calls[0]?.result?.text).toBe("once");
  expect(harness.sandboxes.commands).toEqual(["once"]);
});

test("a send that fails some times is repeated until it is stored, once", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({ endpoint: "events.send", status: 500, times: 2, headers: { "retry-after-ms": "1" } });
  const session = harness.session({ script: oneCall("once") });
  const worker = harness.work();
  expect((await worker.until("call.sent")).attempts).toBe(3);
  expect((await session.finished).calls[0]?.result?.text).toBe("once");
  expect(harness.sandboxes.commands).toEqual(["once"]);
}, 15_000);

test("a conflict that passes is no refusal: the result is sent again and stored", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({ endpoint: "events.send", status: 409, times: 2, headers: { "retry-after-ms": "1" } });
  const session = harness.session({ script: oneCall("once") });
  const worker = harness.work();
  expect(await worker.until("call.sent")).toMatchObject({ outcome: "settled", attempts: 3 });
  expect((await session.finished).calls[0]?.result?.text).toBe("once");
  expect(harness.sandboxes.commands).toEqual(["once"]);
});

test("a call whose frame never came is found in history when the session waits for it, and looked for once", async () => {
  await using harness = await startHarness();
  harness.simulator.addStreamFault({ kind: "drop", where: ({ type }) => type === "agent.tool_use" });
  const session = harness.session({ prompt: null, script: oneCall("lost") });
  harness.work();
  await harness.simulator.waitForRequest(({ endpoint, status }) => endpoint === "events.list" && status === 200);
  session.emit({ type: "session.status_idle", stop_reason: { type: "requires_action", event_ids: ["sevt_of_nobody"] } });
  session.emit({ type: "session.status_idle", stop_reason: { type: "requires_action", event_ids: ["sevt_of_nobody"] } });
  session.sendMessage("Begin.");
  expect((await session.finished).calls[0]?.result?.text).toBe("lost");
  expect(harness.simulator.requests.filter(({ endpoint }) => endpoint === "events.list")).toHaveLength(3);
});

test("a result that the control plane refuses for good is not run again, and later calls go on", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({ endpoint: "events.send", status: 400 });
  const session = harness.session({
    script: {
      turns: [
        {
          calls: [
            { name: "bash", input: { command: "a" } },
            { name: "bash", input: { command: "b" } },
          ],
        },
      ],
    },
  });
  const worker = harness.work();
  await worker.until("call.sent", () => worker.ofType("call.sent").length === 2);
  expect(
    worker
      .ofType("call.sent")
      .map(({ outcome }) => outcome)
      .toSorted(),
  ).toEqual(["refused", "settled"]);
  session.cutStreams();
  await worker.until("stream.connected", () => worker.ofType("stream.connected").length === 2);
  await harness.simulator.waitForRequest(({ endpoint }) => endpoint === "events.list");
  expect(harness.sandboxes.commands).toEqual(["a", "b"]);
});

test.each([400, 413])("a result with media that the control plane refuses (%i) is answered with an error instead", async (status) => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({ endpoint: "events.send", status });
  const picture = customTool({
    name: "picture",
    inputSchema: { type: "object" },
    run: () => [{ type: "image", source: { type: "url", url: "https://example.com/a.png" } }],
  });
  const session = harness.session({ script: { turns: [{ calls: [{ name: "picture", kind: "custom" }] }] } });
  harness.work({ tools: [picture] });
  expect((await session.finished).calls[0]?.result).toMatchObject({
    isError: true,
    text: `The tool ran, but its result was refused by the control plane (HTTP ${status}), so it is not shown.`,
  });
});

test("a call whose result was refused is not run again by the session's next item", async () => {
  await using harness = await startHarness({ behaviour: { leaseTtlMs: 1_000 } });
  harness.simulator.addRequestFault({ endpoint: "events.send", status: 400 });
  const session = harness.session({ script: oneCall("once") });
  const worker = harness.work();
  await worker.until("call.sent");
  session.expireLease();
  await worker.until("item.ended");
  await worker.until("call.started", () => worker.ofType("call.started").length === 2);
  await worker.stop();
  expect(harness.sandboxes.commands).toEqual(["once"]);
  expect(sends(harness)).toBe(1);
});

test("a worker that dies in mid-call is followed by one that gets the very call's result", async () => {
  const finish = Promise.withResolvers<void>();
  const shell = async () => (await finish.promise, { output: "built" });
  await using harness = await startHarness({ behaviour: { reclaimOlderThanMs: 20 } }, { shell });
  const session = harness.session({ script: oneCall("build") });
  // as if its process had died: nothing of it arrives any more
  let dead = false;
  const first = harness.work({ fetch: async (input, init) => (dead ? await Promise.reject(new TypeError("no network")) : await fetch(input, init)) });
  await first.until("call.started");
  dead = true;
  session.cutStreams();
  session.expireLease();
  const second = harness.work();
  expect(await second.until("sandbox.ready")).toMatchObject({ how: "attached" });
  await second.until("call.started");
  finish.resolve();
  expect((await session.finished).calls[0]?.result?.text).toBe("built");
  expect(harness.sandboxes.commands).toEqual(["build"]);
  expect(second.ofType("call.finished")).toMatchObject([{ replayed: true }]);
  dead = false;
});

test("a connection lost in mid-call is made again and the very call goes on", async () => {
  const finish = Promise.withResolvers<void>();
  const begun = Promise.withResolvers<void>();
  const shell = async () => {
    begun.resolve();
    await finish.promise;
    return { output: "built" };
  };
  await using harness = await startHarness({}, { shell });
  const session = harness.session({ script: oneCall("build") });
  const worker = harness.work();
  await begun.promise;
  harness.sandboxes.disconnect();
  await worker.until("sandbox.ready", ({ how }) => how === "attached");
  finish.resolve();
  const text = (await session.finished).calls[0]?.result?.text;
  expect(text).toBe("built\nNote: the sandbox was interrupted and is back. Its files are kept; shell state and background processes may be gone.");
  expect(harness.sandboxes.commands).toEqual(["build"]);
});

test("a sandbox that is gone in mid-call gives an error result, the next call gets a new one and is told", async () => {
  const started = Promise.withResolvers<void>();
  const shell = async ({ request }: { readonly request: { readonly command: string } }) => {
    if (request.command !== "build") return { output: request.command };
    started.resolve();
    return await new Promise<never>(() => undefined);
  };
  await using harness = await startHarness({}, { shell });
  const session = harness.session({
    script: { turns: [{ calls: [{ name: "bash", input: { command: "build" } }] }, { calls: [{ name: "bash", input: { command: "next" } }] }] },
  });
  harness.work();
  await started.promise;
  harness.sandboxes.destroyAll();
  const { calls } = await session.finished;
  expect(calls[0]?.result?.isError).toBe(true);
  expect(calls[0]?.result?.text).toMatch(
    /^bash: the sandbox was lost while this call ran .*It is unknown whether the call's effect happened.*Note: the sandbox was replaced by a new, empty one/su,
  );
  expect(calls[1]?.result).toMatchObject({ text: "next", isError: false });
  expect(harness.sandboxes.commands).toEqual(["build", "next"]);
});

test("a worker that holds the lease takes its sandbox back from one that came too late, and runs the call", async () => {
  await using harness = await startHarness();
  const { simulator, sandboxes } = harness;
  const session = harness.session({
    brain: async function* ({ sessionId }) {
      yield { calls: [{ name: "bash", input: { command: "before" } }] };
      const ref = { provider: sandboxes.provider.name, id: sandboxIdFor(simulator.environmentId, sessionId) };
      await Sandbox.attach(sandboxes.provider, ref, { mode: "takeover", ownerKey });
      yield {
        calls: [
          { name: "bash", input: { command: "one" } },
          { name: "bash", input: { command: "two" } },
        ],
      };
    },
  });
  const worker = harness.work();
  const { calls } = await session.finished;
  expect(calls.map(({ result }) => result?.text)).toEqual(["before", "one", "two"]);
  expect(sandboxes.commands).toEqual(["before", "one", "two"]);
  expect(sandboxes.fake.log.filter((line) => line.startsWith("attach"))).toHaveLength(2);
  expect(worker.ofType("item.ended")).toEqual([]);
});

test("a worker whose lease is lost while it makes the sandbox answers nothing, and leaves the sandbox to whoever serves the session next", async () => {
  const creating = Promise.withResolvers<void>();
  await using harness = await startHarness({ behaviour: { leaseTtlMs: 2_000 } }, { creating: creating.promise });
  const session = harness.session({ script: oneCall("once") });
  const worker = harness.work();
  await worker.until("call.started");
  session.expireLease();
  await worker.until("call.dropped");
  await harness.simulator.waitForRequest(({ endpoint }) => endpoint === "work.ack" && acks(harness) === 2);
  expect(sends(harness)).toBe(0);
  creating.resolve();
  expect((await session.finished).calls[0]?.result).toMatchObject({ text: "once", isError: false });
  expect(harness.sandboxes.commands).toEqual(["once"]);
  expect(harness.sandboxes.fake.log.filter((line) => line.startsWith("destroy"))).toEqual([]);
});

test.each([
  ["no engine", new SandboxError("unavailable", "no engine answers", { effect: "none" }), "[unavailable] no engine answers"],
  ["no image", new SandboxError("not_found", "no such image: nowhere:1", { effect: "none" }), "[not_found] no such image: nowhere:1"],
  ["no answer", undefined, "[deadline_exceeded] fake create took longer than 30 ms; give a larger timeoutMs"],
] as const)(
  "a sandbox that cannot be made answers the pending calls with an error result, and the session goes on when it can: %s",
  async (_, failure, said) => {
    await using harness = await startHarness();
    let broken = true;
    const { provider } = harness.sandboxes;
    const create: SandboxProvider["create"] = async (request, options) => {
      if (!broken) return await provider.create(request, options);
      if (failure !== undefined) throw failure;
      await aborted(options.signal);
      throw options.signal.reason;
    };
    const calls = [1, 2].map((n) => ({ name: "bash", input: { command: `echo ${n}` } }));
    const session = harness.session({ script: { turns: [{ calls }, { idle: { type: "end_turn" } }, { calls }] } });
    const worker = harness.work({ provider: { ...provider, create }, startTimeoutMs: 30, maxIdleMs: 20 });
    expect((await worker.until("item.ended")).because).toBe("idle");
    broken = false;
    session.sendMessage("Try again.");
    const results = (await session.finished).calls.map(({ result }) => [result?.isError, result?.text]);
    const text = `The sandbox of this session could not be started, so nothing was run: ${said}`;
    expect(results).toEqual([
      [true, text],
      [true, text],
      [false, expect.stringMatching(/^echo 1/u)],
      [false, "echo 2"],
    ]);
    expect(worker.ofType("sandbox.failed").length).toBeLessThanOrEqual(3);
  },
);

test("a session's first sandbox is not told as a replacement, although calls before it failed", async () => {
  await using harness = await startHarness();
  const { SandboxError } = await import("@glovebox/core");
  let up = false;
  const { create } = harness.sandboxes.provider;
  const provider: typeof harness.sandboxes.provider = {
    ...harness.sandboxes.provider,
    create: async (request, options) => {
      if (!up) throw new SandboxError("unavailable", "no engine answers", { effect: "none" });
      return await create(request, options);
    },
  };
  const session = harness.session({
    brain: async function* () {
      yield { calls: [{ name: "bash", input: { command: "early" } }] };
      up = true;
      yield { calls: [{ name: "bash", input: { command: "late" } }] };
    },
  });
  harness.work({ provider });
  const { calls } = await session.finished;
  expect(calls.map(({ result }) => [result?.isError, result?.text])).toEqual([
    [true, "The sandbox of this session could not be started, so nothing was run: [unavailable] no engine answers"],
    [false, "late"],
  ]);
});

test("calls that history shows as answered are not run again, also when the answer stands on a later page", async () => {
  await using harness = await startHarness({ behaviour: { reclaimOlderThanMs: 20 } });
  const session = harness.session({
    script: {
      turns: [
        { calls: [{ name: "bash", input: { command: "a" } }], idle: { type: "end_turn" } },
        { calls: [{ name: "bash", input: { command: "b" } }] },
      ],
    },
  });
  const first = harness.work({ maxIdleMs: 10 });
  await first.until("item.ended");
  await first.stop();
  for (let count = 0; count < 1_100; count++) session.emit({ type: "span.noise" });
  harness.work();
  session.sendMessage("Go on.");
  await session.finished;
  expect(harness.sandboxes.commands).toEqual(["a", "b"]);
});

test("streams that break in every way lose no call and double none", async () => {
  await using harness = await startHarness();
  const isCall = ({ type }: { readonly type: string }): boolean => type === "agent.tool_use";
  const kinds = ["cut", "cut_after", "cut_mid_frame", "end", "drop", "duplicate", "split", "error", "invalid_json", "no_event_name"] as const;
  for (const [index, kind] of kinds.entries()) harness.simulator.addStreamFault({ kind, where: isCall, nth: index + 1 });
  const turns = kinds.map((kind) => ({ calls: [{ name: "bash", input: { command: kind } }] }));
  const session = harness.session({ script: { turns } });
  harness.work();
  const report = await session.finished;
  expect(report.calls.map(({ result }) => result?.text)).toEqual([...kinds]);
  expect(harness.sandboxes.commands).toEqual([...kinds]);
  expect(sends(harness)).toBe(kinds.length);
});

test("a reconnection reads the end of the history alone, or all of it where that is refused", async () => {
  await using harness = await startHarness();
  const session = harness.session({ prompt: null, script: oneCall("once") });
  session.emit({ type: "span.noise" });
  const worker = harness.work();
  const lists = () => harness.simulator.requests.filter(({ endpoint, status }) => endpoint === "events.list" && status !== null);
  const from = (index: number): number => Date.parse(lists()[index]?.query["created_at[gte]"] ?? "");
  await harness.simulator.waitForRequest(() => lists().length === 1);
  session.cutStreams();
  await harness.simulator.waitForRequest(() => lists().length === 2);
  session.sendMessage("Begin.");
  await session.finished;
  expect(from(0)).toBeNaN();
  expect(Date.now() - from(1)).toBeGreaterThanOrEqual(300_000);
  expect(Date.now() - from(1)).toBeLessThan(330_000);
  harness.simulator.addRequestFault({ endpoint: "events.list", where: ({ query }) => query["created_at[gte]"] !== undefined, status: 400 });
  session.cutStreams();
  await worker.until("history.failed");
  await harness.simulator.waitForRequest(() => lists().length === 4);
  expect(from(3)).toBeNaN();
  expect(harness.sandboxes.commands).toEqual(["once"]);
});

test("calls run on without the history when it cannot be read", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({ endpoint: "events.list", status: 400, times: Infinity });
  const session = harness.session({ prompt: null, script: oneCall("live") });
  const worker = harness.work();
  await worker.until("history.failed");
  session.sendMessage("Begin.");
  expect((await session.finished).calls[0]?.result?.text).toBe("live");
});
