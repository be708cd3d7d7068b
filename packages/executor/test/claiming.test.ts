import { Sandbox } from "@glovebox/core";
import { expect, test } from "vitest";
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
