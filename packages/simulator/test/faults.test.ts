import { expect, test } from "vitest";
import { VirtualClock, type EndpointName } from "@glovebox/simulator";
import { bench, openStream, tokenOf } from "./client.ts";
import { samples, world, type Sample, type World } from "./every-endpoint.ts";

/** The status of a request; what it carries is not read to its end, since a stream has none. */
async function ask({ setup, token }: World, { as, method, path, body }: Sample): Promise<number> {
  const credential = { application: setup.simulator.apiKey, worker: setup.simulator.environmentKey, token: token.credential }[as];
  const isForm = body instanceof FormData;
  const response = await fetch(setup.simulator.url + path, {
    method,
    headers: {
      authorization: `Bearer ${credential}`,
      "anthropic-beta": "managed-agents-2026-04-01",
      ...(body === undefined || isForm ? {} : { "content-type": "application/json" }),
    },
    ...(body === undefined ? {} : { body: isForm ? body : JSON.stringify(body) }),
  });
  await response.body?.cancel();
  return response.status;
}

async function names(): Promise<readonly EndpointName[]> {
  await using on = await world();
  return Object.keys(samples(on)) as EndpointName[];
}

test("94: every endpoint can be refused, and then does nothing; the next request is handled", async () => {
  for (const endpoint of await names()) {
    await using on = await world();
    const sample = samples(on)[endpoint];
    const fault = on.setup.simulator.addRequestFault({ endpoint, status: 503 });
    expect([endpoint, await ask(on, sample)]).toEqual([endpoint, 503]);
    expect([endpoint, await ask(on, sample), fault.struck]).toEqual([endpoint, 200, 1]);
    expect([endpoint, await ask(on, sample)]).toEqual([endpoint, sample.again ?? 200]);
  }
});

test("94: every endpoint's connection can be cut before the effect, and after it", async () => {
  for (const endpoint of await names()) {
    for (const cut of ["before", "after"] as const) {
      await using on = await world();
      const sample = samples(on)[endpoint];
      on.setup.simulator.addRequestFault({ endpoint, cut });
      await expect(ask(on, sample)).rejects.toThrow("fetch failed");
      const logged = on.setup.simulator.requests.at(-1);
      expect([endpoint, cut, logged?.endpoint, logged?.status]).toEqual([endpoint, cut, endpoint, null]);
      expect([endpoint, cut, await ask(on, sample)]).toEqual([endpoint, cut, cut === "before" ? 200 : (sample.again ?? 200)]);
    }
  }
});

test("94: every endpoint can be slow, on the simulator's clock", async () => {
  for (const endpoint of await names()) {
    const clock = new VirtualClock();
    await using on = await world({ clock });
    on.setup.simulator.addRequestFault({ endpoint, latencyMs: 60_000 });
    const before = on.setup.simulator.requests.length;
    let settled = false;
    const answer = ask(on, samples(on)[endpoint]).finally(() => (settled = true));
    while (on.setup.simulator.requests.length === before) await new Promise((resolve) => setImmediate(resolve));
    await clock.advance(59_999);
    await new Promise((resolve) => setTimeout(resolve, 2));
    expect([endpoint, settled]).toEqual([endpoint, false]);
    await clock.advance(1);
    expect([endpoint, await answer]).toEqual([endpoint, 200]);
  }
});

test("94: a fault for all endpoints counts them together, and faults stop when cleared or removed", async () => {
  await using setup = await bench();
  const poll = async (): Promise<number> => (await setup.worker.get(`${setup.work}/poll`)).status;
  const stats = async (): Promise<number> => (await setup.worker.get(`${setup.work}/stats`)).status;
  setup.simulator.addRequestFault({ endpoint: "*", nth: 2, times: 2, status: 500 });
  expect([await poll(), await stats(), await poll(), await stats()]).toEqual([200, 500, 500, 200]);
  const fault = setup.simulator.addRequestFault({ endpoint: "work.poll", times: Infinity, status: 418, errorType: "odd_error", message: "no" });
  const { status, body } = await setup.worker.get(`${setup.work}/poll`);
  expect([status, body.error]).toEqual([418, { type: "odd_error", message: "no" }]);
  fault.remove();
  expect(await poll()).toBe(200);
  setup.simulator.addRequestFault({ endpoint: "work.poll", times: Infinity, status: 500 });
  setup.simulator.clearFaults();
  expect(await poll()).toBe(200);
});

test("94: the clock can be wrong: what it stamps is off, and no lease, reclaim or wait is", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock, behaviour: { leaseTtlMs: 60_000 } });
  const early = setup.simulator.createSession({ prompt: null });
  setup.simulator.skewClock(3_600_000);
  const session = setup.simulator.createSession({ prompt: null });
  const retrieve = async (id: string): Promise<string> => (await setup.application.get(`/v1/sessions/${id}`)).body.created_at;
  expect([await retrieve(early.id), await retrieve(session.id)]).toEqual(["2026-01-01T00:00:00.000000Z", "2026-01-01T01:00:00.000000Z"]);
  expect(session.emit({ type: "custom.note" }).processed_at).toBe("2026-01-01T01:00:00.000000Z");
  expect(setup.simulator.createMemoryStore({ name: "Notes" }).id).toMatch(/^memstore_/);

  const first = (await setup.worker.get(`${setup.work}/poll`)).body;
  setup.simulator.skewClock(-3_600_000);
  expect((await setup.worker.get(`${setup.work}/poll`)).body.data.id).toBe(session.id);
  expect((await setup.worker.get(`${setup.work}/poll`)).body).toBeNull();
  await setup.worker.post(`${setup.work}/${first.id}/ack`);
  const beat = await setup.client(tokenOf(first.secret)).post(`${setup.work}/${first.id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`);
  expect(beat.body.last_heartbeat).toBe("2025-12-31T23:00:00.000000Z");
  await clock.advance(59_999);
  expect(early.work[0]?.state).toBe("active");
  await clock.advance(1);
  expect(early.work[0]?.state).toBe("queued");
  expect(session.emit({ type: "custom.note" }).processed_at).toBe("2026-01-01T01:00:00.000001Z");
  setup.simulator.skewClock(0);
  expect(early.emit({ type: "custom.note" }).processed_at).toBe("2026-01-01T00:01:00.000000Z");
});

test("94: an item is delivered again while somebody has it, and only one of the two holds the lease", async () => {
  await using setup = await bench({ clock: new VirtualClock() });
  const session = setup.simulator.createSession({ prompt: null });
  const poll = async (): ReturnType<typeof setup.worker.get> => setup.worker.get(`${setup.work}/poll`);
  const first = (await poll()).body;
  await setup.worker.post(`${setup.work}/${first.id}/ack`);
  const beat = (secret: string): ReturnType<typeof setup.worker.post> =>
    setup.client(tokenOf(secret)).post(`${setup.work}/${first.id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`);
  expect((await beat(first.secret)).status).toBe(200);
  const waiting = setup.worker.get(`${setup.work}/poll?block_ms=999`);
  while (setup.simulator.requests.length < 4) await new Promise((resolve) => setImmediate(resolve));
  await setup.worker.get(`${setup.work}/stats`); // the poll has been read by now
  session.redeliver();
  const second = (await waiting).body;
  expect([second.id, second.state, second.secret === first.secret]).toEqual([first.id, "active", false]);
  expect((await setup.worker.post(`${setup.work}/${first.id}/ack`)).body.state).toBe("active");
  expect((await beat(second.secret)).status).toBe(412);
  expect((await poll()).body).toBeNull();
  await setup.worker.post(`${setup.work}/${first.id}/stop`, { force: true });
  session.redeliver();
  expect((await poll()).body).toMatchObject({ id: first.id, state: "stopped" });
});

test("93: everything goes by the given clock: nothing of a day's waits happens while it stands", async () => {
  const clock = new VirtualClock(Date.now());
  const timers: number[] = [];
  const spied = {
    now: () => clock.now(),
    setTimer: (delayMs: number, action: () => void) => {
      timers.push(delayMs);
      return clock.setTimer(delayMs, action);
    },
  };
  await using setup = await bench({
    clock: spied,
    behaviour: {
      leaseTtlMs: 3_600_000,
      interruptLagMs: 50_000,
      statusLagMs: 40_000,
      sessionsTokenLifetimeMs: 7_200_000,
      keepAlive: { kind: "ping", intervalMs: 30_000 },
    },
  });
  const hook = setup.simulator.createWebhook({ url: "http://127.0.0.1:1/", types: ["memory_store.created"] });
  setup.simulator.createMemoryStore({ name: "Notes" });
  await hook.waitForAttempt(() => true);
  const session = setup.simulator.createSession({ script: { turns: [{ pauseMs: 20_000, calls: [{ name: "bash" }] }] } });
  const { id, secret } = (await setup.worker.get(`${setup.work}/poll`)).body;
  const stream = await openStream(setup.simulator.url, tokenOf(secret), session.id);
  await setup.worker.post(`${setup.work}/${id}/ack`);
  await setup.client(tokenOf(secret)).post(`${setup.work}/${id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`);
  await new Promise((resolve) => setTimeout(resolve, 100)); // real time that must count for nothing
  expect([session.status, session.work[0]?.state, hook.attempts.length]).toEqual(["running", "active", 1]);
  await clock.advance(20_000);
  await session.waitForEvent((event) => event.type === "session.status_idle");
  session.interrupt();
  expect(session.report().calls[0]?.outcome).toBe("open");
  await clock.advance(50_000);
  expect(session.report().calls[0]?.outcome).toBe("interrupted");
  expect((await stream.until("ping")).length).toBeGreaterThan(0);
  await clock.advance(3_600_000);
  expect(session.work[0]?.state).toBe("queued");
  while (hook.attempts.length < 3) {
    await clock.advance(1_000);
    await new Promise((resolve) => setTimeout(resolve, 1)); // time for a request that was just sent
  }
  await clock.advance(3_600_000);
  expect((await setup.client(tokenOf(secret)).get(`/v1/sessions/${session.id}`)).status).toBe(401);
  expect(timers).toEqual(expect.arrayContaining([10_000, 20_000, 30_000, 50_000, 3_600_000]));
});
