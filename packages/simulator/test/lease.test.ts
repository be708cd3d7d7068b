import { expect, test } from "vitest";
import { VirtualClock, type SessionHandle, type SimulatorOptions } from "@glovebox/simulator";
import { bench, tokenOf, type Answer, type Bench } from "./client.ts";

interface Held extends AsyncDisposable {
  readonly setup: Bench;
  readonly clock: VirtualClock;
  readonly session: SessionHandle;
  readonly path: string;
  beat(expected: string | null, query?: string): Promise<Answer>;
}

/** A session whose item was polled and acked, on a clock of its own. */
async function held(options: SimulatorOptions = {}): Promise<Held> {
  const clock = new VirtualClock();
  const setup = await bench({ clock, ...options });
  const session = setup.simulator.createSession({ prompt: null });
  const item = (await setup.worker.get(`${setup.work}/poll`)).body;
  await setup.worker.post(`${setup.work}/${item.id}/ack`);
  const holder = setup.client(tokenOf(item.secret));
  const path = `${setup.work}/${item.id}`;
  const beat = (expected: string | null, query = ""): Promise<Answer> =>
    holder.post(`${path}/heartbeat?${expected === null ? "" : `expected_last_heartbeat=${encodeURIComponent(expected)}`}${query}`);
  return { setup, clock, session, path, beat, [Symbol.asyncDispose]: () => setup[Symbol.asyncDispose]() };
}

test("30: the first heartbeat makes the item active and the lease", async () => {
  await using lease = await held();
  expect((await lease.beat("NO_HEARTBEAT")).body).toEqual({
    type: "work_heartbeat",
    last_heartbeat: "2026-01-01T00:00:00.000000Z",
    lease_extended: true,
    state: "active",
    ttl_seconds: 120,
  });
  expect(lease.session.work).toMatchObject([
    { state: "active", started_at: "2026-01-01T00:00:00.000000Z", latest_heartbeat_at: "2026-01-01T00:00:00.000000Z" },
  ]);
});

test("30: with the other position the ack makes the item active, and the first heartbeat the lease", async () => {
  await using lease = await held({ behaviour: { activeFrom: "ack" } });
  expect(lease.session.work).toMatchObject([{ state: "active", started_at: null, latest_heartbeat_at: null }]);
  expect((await lease.beat("NO_HEARTBEAT")).body).toMatchObject({ state: "active", lease_extended: true });
});

test("31: the exact echo gets a new value; the same time in other bytes is 412", async () => {
  await using lease = await held();
  const first = (await lease.beat("NO_HEARTBEAT")).body.last_heartbeat;
  const second = (await lease.beat(first)).body.last_heartbeat;
  expect(second).not.toBe(first);
  expect((await lease.beat(second.replace("Z", "+00:00"))).status).toBe(412);
  expect((await lease.beat(first)).status).toBe(412);
  expect((await lease.beat(second)).status).toBe(200);
});

test("32: NO_HEARTBEAT on a lease is 412 with the current state; no parameter is no condition", async () => {
  await using lease = await held();
  const first = (await lease.beat("NO_HEARTBEAT")).body.last_heartbeat;
  const refused = await lease.beat("NO_HEARTBEAT");
  expect([refused.status, refused.body.error]).toEqual([
    412,
    {
      type: "invalid_request_error",
      message: `Heartbeat precondition failed: expected last heartbeat NO_HEARTBEAT, actual ${first}.`,
      details: {
        error_code: "heartbeat_precondition_failed",
        error_visibility: "user_facing",
        current_state: { state: "active", last_heartbeat: first, lease_extended: false, ttl_seconds: 120 },
      },
    },
  ]);
  expect((await lease.beat(null)).status).toBe(200);
});

test("32: with the other position a heartbeat without a condition is refused", async () => {
  await using lease = await held({ behaviour: { omittedExpectation: "refuse" } });
  expect((await lease.beat(null)).status).toBe(400);
  expect((await lease.beat("NO_HEARTBEAT")).status).toBe(200);
});

test("33: while stopping or stopped the value is not compared and the state comes back", async () => {
  await using lease = await held();
  await lease.beat("NO_HEARTBEAT");
  for (const [force, state] of [
    [false, "stopping"],
    [true, "stopped"],
  ] as const) {
    await lease.setup.application.post(`${lease.path}/stop`, { force });
    const { status, body } = await lease.beat("anything");
    expect([status, body.state, body.lease_extended]).toEqual([200, state, false]);
  }
});

test("33: with the other position the heartbeats of an item that is being stopped say extended", async () => {
  await using lease = await held({ behaviour: { extendedWhileStopping: true } });
  await lease.beat("NO_HEARTBEAT");
  await lease.setup.application.post(`${lease.path}/stop`, {});
  expect((await lease.beat("anything")).body).toMatchObject({ state: "stopping", lease_extended: true });
});

test("34: the TTL is configured, and a wish is honoured within bounds", async () => {
  await using lease = await held({ behaviour: { leaseTtlMs: 1_500, leaseTtlBoundsMs: [10_000, 60_000] } });
  const first = (await lease.beat("NO_HEARTBEAT")).body;
  expect(first.ttl_seconds).toBe(1.5);
  expect((await lease.beat(first.last_heartbeat, "&desired_ttl_seconds=30")).body.ttl_seconds).toBe(30);
  expect((await lease.beat(null, "&desired_ttl_seconds=600")).body.ttl_seconds).toBe(60);
  expect((await lease.beat(null, "&desired_ttl_seconds=1")).body.ttl_seconds).toBe(10);
  expect((await lease.beat(null, "&desired_ttl_seconds=0")).status).toBe(400);
});

test("35: without a heartbeat for the TTL the item is queued again, and its old holder gets 412", async () => {
  await using lease = await held({ behaviour: { leaseTtlMs: 60_000 } });
  const { last_heartbeat: first } = (await lease.beat("NO_HEARTBEAT")).body;
  await lease.clock.advance(59_999);
  const { last_heartbeat: second } = (await lease.beat(first)).body;
  await lease.clock.advance(59_999);
  expect(lease.session.work).toMatchObject([{ state: "active" }]);
  await lease.clock.advance(1);
  expect(lease.session.work).toMatchObject([{ state: "queued", acknowledged_at: null, latest_heartbeat_at: null }]);
  expect((await lease.beat(second)).body.error.details.current_state).toMatchObject({ state: "queued", last_heartbeat: null });
  const again = (await lease.setup.worker.get(`${lease.setup.work}/poll`)).body;
  expect(lease.path.endsWith(again.id)).toBe(true);
  await lease.setup.worker.post(`${lease.path}/ack`);
  expect((await lease.beat("NO_HEARTBEAT")).status).toBe(200);
});

test("35: with the other position an item whose lease ran out is stranded: its state stays, and nobody gets it", async () => {
  await using lease = await held({ behaviour: { leaseTtlMs: 60_000, expiredLease: "strand" } });
  await lease.beat("NO_HEARTBEAT");
  await lease.clock.advance(86_400_000);
  expect(lease.session.work).toMatchObject([{ state: "active" }]);
  expect((await lease.setup.worker.get(`${lease.setup.work}/poll?reclaim_older_than_ms=0`)).body).toBeNull();
  await lease.setup.application.post(`${lease.path}/stop`, { force: true });
  lease.session.interrupt();
  expect(lease.session.work.map((item) => item.state)).toEqual(["stopped", "queued"]);
});

test("36: a heartbeat whose response was lost was recorded, so its repetition is 412", async () => {
  await using lease = await held();
  lease.setup.simulator.addRequestFault({ endpoint: "work.heartbeat", cut: "after" });
  await expect(lease.beat("NO_HEARTBEAT")).rejects.toThrow("fetch failed");
  const refused = await lease.beat("NO_HEARTBEAT");
  expect(refused.status).toBe(412);
  expect((await lease.beat(refused.body.error.details.current_state.last_heartbeat)).status).toBe(200);
});

test("37: an answer that refuses the extension with state active can be injected", async () => {
  await using lease = await held();
  lease.setup.simulator.addRequestFault({ endpoint: "work.heartbeat", transform: (body) => ({ ...(body as object), lease_extended: false }) });
  expect((await lease.beat("NO_HEARTBEAT")).body).toMatchObject({ lease_extended: false, state: "active" });
});

test("38: a graceful stop is stopping, a forced one stopped, another one 409", async () => {
  await using lease = await held();
  const stop = (force: boolean): Promise<Answer> => lease.setup.worker.post(`${lease.path}/stop`, force ? { force } : {});
  expect((await stop(false)).body).toMatchObject({ state: "stopping", stop_requested_at: "2026-01-01T00:00:00.000000Z", stopped_at: null });
  await lease.clock.advance(1_000);
  expect((await stop(true)).body).toMatchObject({
    state: "stopped",
    stop_requested_at: "2026-01-01T00:00:00.000000Z",
    stopped_at: "2026-01-01T00:00:01.000000Z",
  });
  const again = await stop(true);
  expect([again.status, again.body.error.type]).toEqual([409, "conflict_error"]);
});

test("39: 401, 403 and 404 can be injected on heartbeats alone", async () => {
  await using lease = await held();
  for (const status of [401, 403, 404])
    lease.setup.simulator.addRequestFault({ endpoint: "work.heartbeat", nth: status === 401 ? 1 : status === 403 ? 2 : 3, status });
  expect([(await lease.beat("NO_HEARTBEAT")).status, (await lease.beat("NO_HEARTBEAT")).status, (await lease.beat("NO_HEARTBEAT")).status]).toEqual([
    401, 403, 404,
  ]);
  expect((await lease.setup.worker.post(`${lease.path}/stop`, { force: true })).status).toBe(200);
});

test("40: a stop that comes after the lease ran out meets the queued item and ends it", async () => {
  await using lease = await held({ behaviour: { leaseTtlMs: 1_000 } });
  await lease.beat("NO_HEARTBEAT");
  await lease.clock.advance(1_000);
  expect((await lease.setup.worker.post(`${lease.path}/stop`, { force: true })).body.state).toBe("stopped");
  expect((await lease.setup.worker.get(`${lease.setup.work}/poll?reclaim_older_than_ms=0`)).body).toBeNull();
});

test("a heartbeat on an item that nobody acknowledged returns its state and gives no lease", async () => {
  await using setup = await bench();
  setup.simulator.createSession({ prompt: null });
  const item = (await setup.worker.get(`${setup.work}/poll`)).body;
  const { status, body } = await setup.worker.post(`${setup.work}/${item.id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`);
  expect([status, body.state, body.lease_extended, body.last_heartbeat]).toEqual([200, "queued", false, ""]);
});
