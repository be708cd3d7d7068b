import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import Anthropic from "@anthropic-ai/sdk";
import { expect, test } from "vitest";
import { startSimulator, VirtualClock, type Simulator, type SimulatorOptions, type WebhookEvent, type WebhookFaultKind } from "@glovebox/simulator";

interface Delivery {
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
  readonly event: WebhookEvent;
}

interface Receiver extends AsyncDisposable {
  readonly url: string;
  readonly deliveries: readonly Delivery[];
}

/** @param answer the status for a delivery; `hang`: none */
async function receiver(answer: (delivery: Delivery, position: number) => number | "hang" = () => 200): Promise<Receiver> {
  const deliveries: Delivery[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      const delivery: Delivery = { headers: request.headers, body, event: JSON.parse(body) as WebhookEvent };
      deliveries.push(delivery);
      const status = answer(delivery, deliveries.length - 1);
      if (status !== "hang") response.writeHead(status, status >= 300 && status < 400 ? { location: "http://127.0.0.1:1/" } : {}).end();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`,
    deliveries,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

interface Told extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly clock: VirtualClock;
}

/** A simulator on its own clock, which starts at the real time: receivers look at theirs. */
async function told(options: SimulatorOptions = {}): Promise<Told> {
  const clock = new VirtualClock(Date.now());
  const simulator = await startSimulator({ clock, ...options });
  return { simulator, clock, [Symbol.asyncDispose]: () => simulator[Symbol.asyncDispose]() };
}

const client = new Anthropic({ apiKey: "unused", baseURL: "http://127.0.0.1:1" });

function unwrap({ body, headers }: Delivery, key: string): WebhookEvent {
  return client.beta.webhooks.unwrap(body, { headers: headers as Record<string, string>, key }) as WebhookEvent;
}

test("91: an event is posted with the headers of Standard Webhooks, and the official client takes it", async () => {
  await using target = await receiver();
  await using on = await told();
  const hook = on.simulator.createWebhook({ url: target.url, types: ["session.status_run_started"] });
  const session = on.simulator.createSession();
  await hook.waitForAttempt(() => true);
  const [delivery] = target.deliveries;
  expect(delivery?.headers).toMatchObject({
    "content-type": "application/json",
    "webhook-id": delivery?.event.id,
    "webhook-timestamp": String(Math.floor(on.clock.now() / 1000)),
    "webhook-signature": expect.stringMatching(/^v1,[A-Za-z0-9+/]{43}=$/),
  });
  if (delivery === undefined) throw new Error("nothing came");
  expect(unwrap(delivery, hook.signingKey)).toEqual({
    type: "event",
    id: expect.stringMatching(/^whe_/),
    created_at: expect.stringMatching(/Z$/),
    data: {
      type: "session.status_run_started",
      id: session.id,
      organization_id: expect.any(String),
      workspace_id: expect.stringMatching(/^wrkspc_/),
    },
  });
  expect(hook.signingKey).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
});

test("91: every transition to running is told, and what else is subscribed to", async () => {
  await using target = await receiver();
  await using on = await told();
  const hook = on.simulator.createWebhook({ url: target.url });
  const other = on.simulator.createWebhook({ url: target.url, types: ["session.deleted"] });
  const session = on.simulator.createSession({
    script: { turns: [{ calls: [{ name: "a" }] }, { calls: [{ name: "b", thread: "helper" }], terminateThreads: ["helper"] }] },
  });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  session.answer(session.report().calls[0]?.id ?? "", "ok");
  await session.finished;
  session.sendMessage("again");
  await session.waitForEvent(
    (event) => event.type === "session.status_running" && session.events.filter((each) => each.type === event.type).length === 3,
  );
  session.delete();
  await other.waitForAttempt(() => true);
  await hook.waitForAttempt(({ event }) => event.data.type === "session.deleted");
  while (hook.attempts.length < 12) await new Promise((resolve) => setImmediate(resolve));
  const counts: Record<string, number> = {};
  for (const { event } of hook.attempts) counts[event.data.type] = (counts[event.data.type] ?? 0) + 1;
  expect(counts).toEqual({
    "session.status_run_started": 3,
    "session.status_idled": 3,
    "session.thread_created": 1,
    "session.thread_idled": 3,
    "session.thread_terminated": 1,
    "session.deleted": 1,
  });
});

test("91: a failed delivery is tried three times in all, with the same id and body and a fresh time and signature", async () => {
  await using target = await receiver((_delivery, position) => (position === 0 ? 500 : 404));
  await using on = await told();
  const hook = on.simulator.createWebhook({ url: target.url, types: ["memory_store.created"] });
  on.simulator.createMemoryStore({ name: "Notes" });
  for (let secondsLeft = 400; secondsLeft > 0; secondsLeft--) {
    await on.clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 2)); // time for a request that was just sent
  }
  expect(hook.attempts.map(({ number, status }) => [number, status])).toEqual([
    [1, 500],
    [2, 404],
    [3, 404],
  ]);
  const [first = 0, second = 0, third = 0] = hook.attempts.map(({ atMs }) => atMs);
  for (const [waitMs, shortest, longest] of [
    [second - first, 5_000, 24_495],
    [third - second, 24_494, 120_000],
  ] as const) {
    expect(waitMs).toBeGreaterThanOrEqual(shortest);
    expect(waitMs).toBeLessThanOrEqual(longest);
  }
  const sent = (name: string): number => new Set(target.deliveries.map(({ headers }) => headers[name])).size;
  expect([sent("webhook-id"), sent("webhook-timestamp"), sent("webhook-signature")]).toEqual([1, 3, 3]);
  expect(new Set(target.deliveries.map(({ body }) => body)).size).toBe(1);
  expect(hook.disabledBecause).toBeNull();
});

test("91: deliveries do not wait for each other", async () => {
  await using target = await receiver((_delivery, position) => (position === 0 ? 503 : 200));
  await using on = await told();
  const hook = on.simulator.createWebhook({ url: target.url, types: ["memory_store.created"] });
  const ids = [on.simulator.createMemoryStore({ name: "first" }).id];
  await hook.waitForAttempt(({ status }) => status === 503);
  ids.push(on.simulator.createMemoryStore({ name: "second" }).id);
  await hook.waitForAttempt(({ event }) => event.data.id === ids[1]);
  await on.clock.advance(24_495);
  await hook.waitForAttempt(({ event, number }) => event.data.id === ids[0] && number === 2);
  expect(target.deliveries.map(({ event }) => event.data.id)).toEqual([ids[0], ids[1], ids[0]]);
});

test("91: a redirect disables the endpoint at once and is not followed; so do too many dropped events", async () => {
  await using redirecting = await receiver(() => 302);
  await using failing = await receiver(() => 500);
  await using on = await told({ behaviour: { webhookDisabledAfter: 2, webhookDelayBoundsMs: [1, 4] } });
  const [redirected, failed] = [redirecting, failing].map(({ url }) => on.simulator.createWebhook({ url, types: ["memory_store.created"] }));
  for (const name of ["first", "second"]) {
    const { id } = on.simulator.createMemoryStore({ name });
    for (const number of [1, 2]) {
      await failed?.waitForAttempt((attempt) => attempt.event.data.id === id && attempt.number === number);
      await on.clock.advance(4);
    }
    await failed?.waitForAttempt((attempt) => attempt.event.data.id === id && attempt.number === 3);
    await redirected?.waitForAttempt(() => true);
  }
  on.simulator.createMemoryStore({ name: "third" });
  await on.clock.advance(1_000);
  expect([redirected?.disabledBecause, failed?.disabledBecause]).toEqual(["redirect", "failures"]);
  expect([redirecting.deliveries.length, failing.deliveries.length]).toEqual([1, 6]);
});

test("91: an endpoint that does not answer in time has failed", async () => {
  await using target = await receiver((_delivery, position) => (position === 0 ? "hang" : 200));
  await using on = await told({ behaviour: { webhookTimeoutMs: 1_000, webhookDelayBoundsMs: [10, 40] } });
  const hook = on.simulator.createWebhook({ url: target.url, types: ["memory_store.created"] });
  on.simulator.createMemoryStore({ name: "Notes" });
  while (target.deliveries.length < 1) await new Promise((resolve) => setImmediate(resolve));
  await on.clock.advance(1_000);
  expect((await hook.waitForAttempt(() => true)).status).toBeNull();
  await on.clock.advance(20);
  expect((await hook.waitForAttempt(({ number }) => number === 2)).status).toBe(200);
});

test("91: nothing is sent beyond this machine", async () => {
  await using on = await told();
  for (const url of ["http://192.0.2.1/", "http://example.com/", "http://[::ffff:192.0.2.1]/", "http://0.0.0.0/"])
    expect(() => on.simulator.createWebhook({ url })).toThrow("to loopback addresses only");
  expect(() => on.simulator.createWebhook({ url: "https://127.0.0.1/" })).toThrow("over http: only");
  expect(() => on.simulator.createWebhook({ url: "nonsense" })).toThrow("Invalid URL");
  await using target = await receiver();
  const port = new URL(target.url).port;
  const hook = on.simulator.createWebhook({ url: `http://localhost:${port}/`, types: ["memory_store.archived"] });
  on.simulator.createMemoryStore({ name: "Notes" }).archive();
  expect((await hook.waitForAttempt(() => true)).status).toBe(200);
});

test("91: a webhook that was removed, or whose simulator closed, gets nothing more", async () => {
  await using target = await receiver(() => 500);
  await using on = await told();
  const hook = on.simulator.createWebhook({ url: target.url });
  on.simulator.createMemoryStore({ name: "first" });
  await hook.waitForAttempt(() => true);
  hook.remove();
  await on.clock.advance(120_000);
  on.simulator.createMemoryStore({ name: "second" });
  const late = on.simulator.createWebhook({ url: target.url });
  on.simulator.createMemoryStore({ name: "third" });
  await late.waitForAttempt(() => true);
  await on.simulator[Symbol.asyncDispose]();
  await on.clock.advance(120_000);
  expect(target.deliveries).toHaveLength(2);
});

test("92: what a receiver has to refuse is sent on demand, and the official client refuses it", async () => {
  const expected: Readonly<Record<Exclude<WebhookFaultKind, "lost" | "duplicate">, string | null>> = {
    old_timestamp: "timestamp too old",
    wrong_key: "No matching signature found",
    no_id: "Missing required headers",
    no_timestamp: "Missing required headers",
    no_signature: "Missing required headers",
    several_signatures: null,
  };
  for (const [kind, message] of Object.entries(expected)) {
    await using target = await receiver();
    await using on = await told();
    const hook = on.simulator.createWebhook({ url: target.url, types: ["memory_store.created", "memory_store.archived"] });
    const fault = on.simulator.addWebhookFault({ kind: kind as WebhookFaultKind, where: ({ data }) => data.type === "memory_store.created" });
    const store = on.simulator.createMemoryStore({ name: "Notes" });
    await hook.waitForAttempt(() => true);
    store.archive();
    await hook.waitForAttempt(({ event }) => event.data.type === "memory_store.archived");
    const results = target.deliveries.map((delivery) => {
      try {
        return unwrap(delivery, hook.signingKey).data.type;
      } catch (error) {
        return (error as Error).message;
      }
    });
    expect([kind, ...results]).toEqual([
      kind,
      message === null ? "memory_store.created" : expect.stringMatching(new RegExp(message, "i")),
      "memory_store.archived",
    ]);
    expect(fault.struck).toBe(1);
  }
});

test("92: a delivery comes twice, or never", async () => {
  await using target = await receiver();
  await using on = await told();
  const hook = on.simulator.createWebhook({ url: target.url, types: ["memory_store.created"] });
  on.simulator.addWebhookFault({ kind: "lost" });
  on.simulator.addWebhookFault({ kind: "duplicate", nth: 2 });
  const [, doubled] = ["lost", "doubled"].map((name) => on.simulator.createMemoryStore({ name }));
  await hook.waitForAttempt(() => true);
  while (target.deliveries.length < 2) await new Promise((resolve) => setImmediate(resolve));
  await on.clock.advance(120_000);
  const [first, second] = target.deliveries;
  expect(target.deliveries.map(({ event }) => event.data.id)).toEqual([doubled?.id, doubled?.id]);
  expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
});
