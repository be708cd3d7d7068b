import { Sandbox } from "@glovebox/core";
import { expect, test } from "vitest";
import { realClock } from "@glovebox/simulator";
import { sandboxIdFor } from "../src/index.ts";
import { ownerKey, startHarness } from "./harness.ts";

const script = { turns: [{ calls: [{ name: "bash", input: { command: "x" } }] }] };

test("polls fail, are asked to wait, and go on; an ack whose answer was lost is ours", async () => {
  await using harness = await startHarness({ behaviour: { secondAck: "conflict" } });
  harness.simulator.addRequestFault({ endpoint: "work.poll", status: 429, headers: { "retry-after-ms": "5" } });
  harness.simulator.addRequestFault({ endpoint: "work.ack", cut: "after" });
  const session = harness.session({ script });
  const worker = harness.work();
  expect((await session.finished).calls[0]?.result?.text).toBe("x");
  expect(worker.ofType("poll.failed").map(({ failure }) => failure.code)).toEqual(["http_429", "error"]);
  expect(harness.simulator.requests.filter(({ endpoint }) => endpoint === "work.ack")).toHaveLength(2);
});

test("what is asked of lease and reclaim goes out with each heartbeat and poll, and nothing where nothing is asked", async () => {
  await using harness = await startHarness({ behaviour: { leaseTtlMs: 2_000 } });
  const session = harness.session({ script });
  const worker = harness.work({ leaseTtlMs: 61_500, reclaimOlderThanMs: 2_500, maxIdleMs: 20 });
  await session.finished;
  await worker.until("item.ended");
  await worker.stop();
  const queries = (name: string) => harness.simulator.requests.filter(({ endpoint }) => endpoint === name).map(({ query }) => query);
  expect(queries("work.heartbeat").map(({ desired_ttl_seconds: seconds }) => seconds)).toEqual(["62"]);
  expect(new Set(queries("work.poll").map(({ reclaim_older_than_ms: ms }) => ms))).toEqual(new Set(["2500"]));
  const plain = harness.work({ maxIdleMs: 20 });
  await plain.until("worker.started");
  session.sendMessage("More.");
  await plain.until("item.ended");
  expect(queries("work.heartbeat").at(-1)).not.toHaveProperty("desired_ttl_seconds");
  expect(queries("work.poll").at(-1)).not.toHaveProperty("reclaim_older_than_ms");
});

test("a worker that drains ends when the queue is empty and what it claimed is done", async () => {
  // longer than a poll waits
  const shell = async () => (await new Promise((resolve) => setTimeout(resolve, 1_200)), { output: "x" });
  await using harness = await startHarness({}, { shell });
  const sessions = [1, 2, 3].map(() => harness.session({ script }));
  const worker = harness.work({ drain: true, maxSessions: 2, maxIdleMs: 30 });
  await worker.done;
  expect(sessions.map((session) => session.report().calls[0]?.result?.text)).toEqual(["x", "x", "x"]);
  expect(worker.ofType("item.ended").map(({ because, stopped }) => [because, stopped])).toEqual([
    ["idle", true],
    ["idle", true],
    ["idle", true],
  ]);
  await harness.work({ drain: true }).done;
});

test("an item that somebody else acknowledged is left alone", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({ endpoint: "work.ack", status: 409 });
  harness.session({ script });
  const worker = harness.work();
  await worker.until("poll.failed");
  expect(worker.ofType("item.claimed")).toEqual([]);
  expect(harness.simulator.requests.filter(({ endpoint }) => endpoint === "work.heartbeat" || endpoint === "work.stop")).toEqual([]);
});

test.each(["null", "no_content", "empty"] as const)("an empty poll may say so by %s", async (emptyPoll) => {
  await using harness = await startHarness({ behaviour: { emptyPoll } });
  const worker = harness.work();
  await harness.simulator.waitForRequest(({ endpoint }) => endpoint === "work.poll");
  const session = harness.session({ script });
  expect((await session.finished).calls[0]?.result?.text).toBe("x");
  expect(worker.ofType("poll.failed")).toEqual([]);
});

test.each(["padded", "extra_fields", "api_base_url", "no_token", "garbage", "absent"] as const)("an item's secret may be %s", async (workSecret) => {
  await using harness = await startHarness({ behaviour: { workSecret } });
  const session = harness.session({ script });
  harness.work();
  expect((await session.finished).calls[0]?.result?.text).toBe("x");
});

test("an item that a worker acknowledged and died over is served by one of those that find it, and the others let go", async () => {
  // stamps lie in the past, so that what was acknowledged now is old enough
  const clock = realClock();
  await using harness = await startHarness({ clock: { ...clock, now: () => clock.now() - 6_000 } });
  const { simulator } = harness;
  const dying = harness.work({ sweepMs: 0 });
  simulator.addRequestFault({ endpoint: "work.heartbeat", status: 400 });
  simulator.addRequestFault({ endpoint: "work.stop", status: 400, times: Infinity });
  const session = harness.session({ script });
  await dying.until("item.ended");
  await dying.stop();
  expect(session.work.map(({ state }) => state)).toEqual(["starting"]);
  simulator.clearFaults();
  simulator.addRequestFault({ endpoint: "work.heartbeat", latencyMs: 300, times: 2 });
  const workers = [harness.work(), harness.work()];
  expect((await session.finished).calls[0]?.result?.text).toBe("x");
  await Promise.race(workers.map(async (worker) => await worker.until("item.ended")));
  expect(workers.map((worker) => worker.ofType("item.claimed").map(({ workId }) => workId))).toEqual([[session.work[0]?.id], [session.work[0]?.id]]);
  expect(workers.flatMap((worker) => worker.ofType("item.ended"))).toMatchObject([{ because: "lease_lost", stopped: false }]);
  expect(harness.sandboxes.commands).toEqual(["x"]);
});

test("an item that its worker acknowledged just now is left alone", async () => {
  await using harness = await startHarness();
  const { simulator } = harness;
  simulator.addRequestFault({ endpoint: "work.heartbeat", latencyMs: 500 });
  const session = harness.session({ script });
  const worker = harness.work();
  await worker.until("item.claimed");
  const other = harness.work();
  await simulator.waitForRequest(() => simulator.requests.filter(({ endpoint, status }) => endpoint === "work.list" && status === 200).length === 2);
  expect((await session.finished).calls[0]?.result?.text).toBe("x");
  expect(other.ofType("item.claimed")).toEqual([]);
});

test("sandboxes of sessions that are over are swept, those of others and of live sessions are not", async () => {
  await using harness = await startHarness();
  const { environmentId } = harness.simulator;
  const alive = harness.session({ prompt: null });
  const over = harness.session({ prompt: null });
  over.terminate();
  const make = async (session: string, environment = environmentId): Promise<string> => {
    const id = sandboxIdFor(environment, session);
    await Sandbox.create(harness.sandboxes.provider, {}, { id, ownerKey, ownership: { by: "session", session } });
    return id;
  };
  const kept = [await make(alive.id), await make("sesn_unknown", "env_other")];
  await make("sesn_unknown");
  await make(over.id);
  const worker = harness.work({ maxSessions: 1 });
  await worker.until("sandbox.released", () => new Set(worker.ofType("sandbox.released").map(({ sessionId }) => sessionId)).size === 2);
  expect([...harness.sandboxes.fake.sandboxes.keys()].toSorted()).toEqual(kept.toSorted());
});
