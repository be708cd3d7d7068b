import { expect, test } from "vitest";
import { Worker } from "../src/index.ts";
import { type Harness, ownerKey, startHarness } from "./harness.ts";

const script = { turns: [{ calls: [{ name: "bash", input: { command: "x" } }] }] };

/** Claims the queue's item as a poller of its own would, with a first heartbeat where wanted. */
async function claim({ simulator }: Harness, { beat }: { readonly beat: boolean }) {
  const base = `${simulator.url}/v1/environments/${simulator.environmentId}/work`;
  const headers = { authorization: `Bearer ${simulator.environmentKey}`, "anthropic-beta": "managed-agents-2026-04-01" };
  const ask = async (path: string, method = "POST"): Promise<Record<string, unknown>> =>
    (await (await fetch(`${base}${path}`, { method, headers })).json()) as Record<string, unknown>;
  const { id, secret, data } = (await ask("/poll?block_ms=999", "GET")) as { id: string; secret: string; data: { id: string } };
  await ask(`/${id}/ack`);
  const answer = beat ? await ask(`/${id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`) : {};
  const lastHeartbeat = typeof answer["last_heartbeat"] === "string" ? answer["last_heartbeat"] : "";
  return { item: { workId: id, sessionId: data.id, secret, lastHeartbeat }, ask };
}

function worker({ simulator, sandboxes }: Harness): Worker {
  const { environmentId, environmentKey, url: baseUrl } = simulator;
  return new Worker({ environmentId, environmentKey, baseUrl, provider: sandboxes.provider, ownerKey, maxIdleMs: 20 });
}

test.each([true, false])("an item that another process claimed is served to its end, its lease continued where there is one (%s)", async (beat) => {
  await using harness = await startHarness();
  const session = harness.session({ script });
  const { item } = await claim(harness, { beat });
  expect(await worker(harness).serve(item)).toBe("idle");
  expect(session.report().calls[0]?.result?.text).toBe("x");
  const { requests } = harness.simulator;
  expect(requests.filter(({ endpoint }) => endpoint === "work.poll")).toHaveLength(1);
  expect(requests.filter(({ status }) => status === 412)).toEqual([]);
  expect(requests.findLast(({ endpoint }) => endpoint === "work.stop")?.credential).toBe("sessions_token");
});

test("a lease that was lost on the way is let go without a stop, and nothing is run", async () => {
  await using harness = await startHarness();
  const session = harness.session({ script });
  const { item } = await claim(harness, { beat: true });
  session.expireLease();
  expect(await worker(harness).serve(item)).toBe("lease_lost");
  expect(harness.simulator.requests.filter(({ endpoint }) => endpoint === "work.stop")).toEqual([]);
  expect(harness.sandboxes.commands).toEqual([]);
});

test("an item that was to be stopped on the way is stopped, and nothing is run", async () => {
  await using harness = await startHarness();
  harness.session({ script });
  const { item, ask } = await claim(harness, { beat: true });
  await ask(`/${item.workId}/stop`);
  expect(await worker(harness).serve(item)).toBe("stop_requested");
  expect(harness.simulator.requests.filter(({ endpoint }) => endpoint === "work.stop")).toHaveLength(2);
  expect(harness.sandboxes.commands).toEqual([]);
});
