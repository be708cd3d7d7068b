import { SandboxError } from "@glovebox/core";
import { expect, test } from "vitest";
import { aborted } from "./fake-sandboxes.ts";
import { startHarness } from "./harness.ts";

const sleepCall = { name: "bash", input: { command: "sleep" } };
const slow = async ({ request, signal }: { readonly request: { readonly command: string }; readonly signal: AbortSignal }) => {
  if (request.command === "sleep") await aborted(signal);
  return { output: request.command };
};

test("an item whose turn is over is stopped after maxIdleMs, and the session's next one finds the same sandbox", async () => {
  await using harness = await startHarness();
  const session = harness.session({
    script: {
      turns: [
        { calls: [{ name: "bash", input: { command: "one" } }], idle: { type: "end_turn" } },
        { calls: [{ name: "bash", input: { command: "two" } }] },
      ],
    },
  });
  const worker = harness.work({ maxIdleMs: 20 });
  expect((await worker.until("item.ended")).because).toBe("idle");
  expect(session.work.map(({ state }) => state)).toEqual(["stopped"]);
  session.sendMessage("Go on.");
  await worker.until("sandbox.ready");
  const report = await session.finished;
  expect(report.calls.map(({ result }) => result?.text)).toEqual(["one", "two"]);
  expect(harness.sandboxes.fake.log.filter((line) => line.startsWith("create")).length).toBe(1);
  expect(harness.sandboxes.fake.log.filter((line) => line.startsWith("destroy")).length).toBe(0);
});

test("afterItem destroy destroys the sandbox with the item", async () => {
  await using harness = await startHarness();
  harness.session({ script: { turns: [{ calls: [{ name: "bash", input: { command: "one" } }] }] } });
  const worker = harness.work({ maxIdleMs: 20, afterItem: "destroy" });
  expect((await worker.until("sandbox.released")).how).toBe("destroyed");
  expect(harness.sandboxes.fake.sandboxes.size).toBe(0);
});

test("a deleted session loses its sandbox and its running call, and nothing is posted", async () => {
  await using harness = await startHarness({}, { shell: slow });
  const session = harness.session({ script: { turns: [{ calls: [sleepCall] }] } });
  const worker = harness.work();
  await worker.until("call.started");
  session.terminate();
  expect((await worker.until("item.ended")).because).toBe("session_terminated");
  await worker.until("sandbox.released");
  expect(worker.ofType("call.dropped").map(({ because, wasRunning }) => [because, wasRunning])).toEqual([["session_ended", true]]);
  expect(harness.simulator.requests.filter(({ endpoint }) => endpoint === "events.send")).toEqual([]);
  expect(harness.sandboxes.fake.sandboxes.size).toBe(0);
});

test("a termination that only history shows ends the item", async () => {
  await using harness = await startHarness({}, { shell: slow });
  const session = harness.session({ script: { turns: [{ calls: [sleepCall] }] } });
  const worker = harness.work();
  await worker.until("call.started");
  session.terminate({ live: false });
  session.cutStreams();
  expect((await worker.until("item.ended")).because).toBe("session_terminated");
});

test("a terminated session's item is stopped without opening a stream", async () => {
  await using harness = await startHarness();
  const session = harness.session({ script: { turns: [{ calls: [sleepCall] }] } });
  session.terminate();
  const worker = harness.work();
  expect(await worker.until("item.ended")).toMatchObject({ because: "session_terminated", stopped: true });
  expect(harness.simulator.requests.filter(({ endpoint }) => endpoint === "events.stream")).toEqual([]);
});

test("a health check looks at the provider, and is stopped and reported either way", async () => {
  await using harness = await startHarness();
  let probes = 0;
  const probe = async (): Promise<Record<string, never>> => {
    // once at the worker's start
    if (++probes === 3) throw new SandboxError("unavailable", "no engine answers", { effect: "none" });
    return {};
  };
  const worker = harness.work({ provider: { ...harness.sandboxes.provider, probe } });
  await worker.until("worker.started");
  for (const count of [1, 2]) {
    harness.simulator.enqueueHealthcheck();
    await worker.until("item.ended", () => worker.ofType("item.ended").length === count);
  }
  expect(worker.ofType("item.ended").map(({ stopped, failure }) => [stopped, failure?.code])).toEqual([
    [true, undefined],
    [true, "unavailable"],
  ]);
});

test("items that are no session are stopped and reported", async () => {
  await using harness = await startHarness();
  harness.simulator.enqueueHealthcheck();
  harness.simulator.enqueueHealthcheck({ typed: false });
  const worker = harness.work();
  await worker.until("item.ended", () => worker.ofType("item.ended").length === 2);
  expect(worker.ofType("item.ended").map(({ because, stopped }) => [because, stopped])).toEqual([
    ["not_a_session", true],
    ["not_a_session", true],
  ]);
});

test("an interrupt cancels the running call, answers nothing, and the session goes on", async () => {
  await using harness = await startHarness({}, { shell: slow });
  const session = harness.session({
    script: {
      turns: [{ calls: [sleepCall, { name: "bash", input: { command: "later" } }] }, { calls: [{ name: "bash", input: { command: "after" } }] }],
    },
  });
  const worker = harness.work();
  await worker.until("call.started");
  session.interrupt();
  await worker.until("call.dropped", ({ wasRunning }) => wasRunning);
  session.sendMessage("Go on.");
  const report = await session.finished;
  expect(report.calls.map(({ outcome }) => outcome)).toEqual(["interrupted", "interrupted", "result"]);
  expect(harness.sandboxes.commands).toEqual(["sleep", "after"]);
  expect(report.calls[2]?.result?.text).toMatch(/^after\nThe shell was ended with the command before this one/u);
});

test("a terminated thread's running and held calls are dropped, other threads go on", async () => {
  await using harness = await startHarness({}, { shell: slow });
  const session = harness.session({
    script: {
      turns: [
        {
          calls: [
            { ...sleepCall, thread: "child" },
            { name: "bash", input: { command: "held" }, permission: "ask", thread: "child" },
            { name: "bash", input: { command: "main" } },
          ],
        },
      ],
    },
  });
  const worker = harness.work();
  await worker.until("call.held");
  session.terminateThread("child");
  const report = await session.finished;
  expect(report.calls.map(({ outcome }) => outcome)).toEqual(["dropped", "dropped", "result"]);
  expect(worker.ofType("call.dropped").map(({ because }) => because)).toEqual(["thread_terminated", "thread_terminated"]);
});

test("a session whose turn is over holds up nobody while its item waits for more", async () => {
  await using harness = await startHarness();
  const dormant = harness.session({ script: { turns: [{ calls: [{ name: "bash", input: { command: "one" } }], idle: { type: "end_turn" } }] } });
  const worker = harness.work({ maxIdleMs: 60_000 });
  await worker.until("call.sent");
  await dormant.waitForEvent(({ type }) => type === "session.status_idle");
  const other = harness.session({ script: { turns: [{ calls: [{ name: "bash", input: { command: "two" } }] }] } });
  expect((await other.finished).calls[0]?.result?.text).toBe("two");
  expect(worker.ofType("item.ended")).toEqual([]);
});

test("a call of another client is left alone, and does not hold its item for ever", async () => {
  await using harness = await startHarness();
  const session = harness.session({ script: { turns: [{ calls: [{ name: "the_applications_own", kind: "custom" }] }] } });
  const worker = harness.work({ maxHeldMs: 30 });
  expect(await worker.until("item.ended")).toMatchObject({ because: "held", stopped: true });
  expect(worker.ofType("call.held")).toMatchObject([{ because: "not_ours" }]);
  expect(session.report().calls[0]?.outcome).toBe("open");
  expect(harness.simulator.requests.filter(({ endpoint }) => endpoint === "events.send")).toEqual([]);
});

test("a stop is tried for as long as the lease lasts, and not beyond it", async () => {
  await using harness = await startHarness({ behaviour: { leaseTtlMs: 3_000 } });
  const call = { name: "bash", input: { command: "x" } };
  const fault = harness.simulator.addRequestFault({ endpoint: "work.stop", status: 500, times: 2 });
  harness.session({ script: { turns: [{ calls: [call] }] } });
  const worker = harness.work({ maxIdleMs: 10 });
  expect(await worker.until("item.ended")).toMatchObject({ because: "idle", stopped: true });
  expect(fault.struck).toBe(2);
  harness.simulator.addRequestFault({ endpoint: "work.stop", status: 500, times: Infinity });
  harness.session({ script: { turns: [{ calls: [call] }] } });
  expect(await worker.until("item.ended", ({ stopped }) => !stopped)).toMatchObject({ because: "idle" });
  const { requests } = harness.simulator;
  const stops = requests.filter(({ endpoint }) => endpoint === "work.stop").slice(3);
  const beat = requests.findLast(({ endpoint, workId }) => endpoint === "work.heartbeat" && workId === stops[0]?.workId);
  expect(stops.length).toBeGreaterThan(3);
  expect(stops.every(({ workId }) => workId === stops[0]?.workId)).toBe(true);
  expect((stops.at(-1)?.atMs ?? 0) - (beat?.atMs ?? 0)).toBeLessThan(3_000);
}, 15_000);

test("a held call does not hold its item for ever", async () => {
  await using harness = await startHarness();
  harness.session({ script: { turns: [{ calls: [{ name: "bash", input: { command: "held" }, permission: "ask" }] }] } });
  const worker = harness.work({ maxHeldMs: 30 });
  expect((await worker.until("item.ended")).because).toBe("held");
  expect(harness.sandboxes.commands).toEqual([]);
});

test("a graceful stop lets a running call finish, posts its result and leaves the open session to the next worker", async () => {
  const finish = Promise.withResolvers<void>();
  const shell = async () => (await finish.promise, { output: "done" });
  await using harness = await startHarness({}, { shell });
  const session = harness.session({ script: { turns: [{ calls: [{ name: "bash", input: { command: "build" } }] }] } });
  const worker = harness.work({ drainMs: 60_000 });
  await worker.until("call.started");
  const stopped = worker.stop();
  await worker.until("worker.stopping");
  finish.resolve();
  await stopped;
  expect((await session.finished).calls[0]?.result?.text).toBe("done");
});

test("a graceful stop cancels what does not finish, and says so to the model", async () => {
  await using harness = await startHarness({}, { shell: slow });
  const session = harness.session({ script: { turns: [{ calls: [sleepCall] }] } });
  const worker = harness.work({ drainMs: 10 });
  await worker.until("call.started");
  await worker.stop();
  const { calls } = session.report();
  expect(calls[0]?.result).toMatchObject({ isError: true });
  expect(calls[0]?.result?.text).toMatch(/^bash: This operation was aborted\nThe worker that ran it is shutting down\./u);
});

test("a mid-turn shutdown hands the item over, and another worker finishes the session", async () => {
  await using harness = await startHarness({ behaviour: { leaseTtlBoundsMs: [50, 300_000] } }, {});
  const session = harness.session({ script: { turns: [{ calls: [{ name: "bash", input: { command: "one" }, permission: "ask" }] }] } });
  const first = harness.work();
  const { callId } = await first.until("call.held");
  await first.stop();
  expect(first.ofType("item.ended")).toMatchObject([{ because: "shutdown", stopped: false }]);
  session.expireLease();
  harness.work();
  session.confirm(callId, "allow");
  expect((await session.finished).calls[0]?.result?.text).toBe("one");
});
