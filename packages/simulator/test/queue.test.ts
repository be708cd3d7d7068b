import { expect, test } from "vitest";
import { VirtualClock } from "@glovebox/simulator";
import { bench, tokenOf, type Json } from "./client.ts";

test("16: creating a session queues exactly one item, and without a worker it stays queued", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const created = (await setup.application.post("/v1/sessions", { agent: setup.simulator.agentId, environment_id: setup.simulator.environmentId }))
    .body;
  await clock.advance(86_400_000);
  const { data } = (await setup.worker.get(setup.work)).body;
  expect(data).toMatchObject([{ state: "queued", data: { type: "session", id: created.id } }]);
  expect((await setup.application.get(`/v1/sessions/${created.id}`)).body.status).toBe("idle");
});

test("17: an empty poll answers null, nothing or an empty body, as configured", async () => {
  const expected = { null: [200, null], no_content: [204, undefined], empty: [200, undefined] } as const;
  for (const emptyPoll of ["null", "no_content", "empty"] as const) {
    await using setup = await bench({ behaviour: { emptyPoll } });
    const answer = await setup.worker.get(`${setup.work}/poll`);
    expect([answer.status, answer.body]).toEqual(expected[emptyPoll]);
    expect(answer.headers.get("content-type")).toBe(emptyPoll === "no_content" ? null : "application/json");
  }
});

test("18: block_ms holds a poll until its time or an item; 0 and 1000 are refused", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const arrived = (count: number): Promise<unknown> => setup.simulator.waitForRequest(() => setup.simulator.requests.length >= count);
  for (const block of ["0", "1000", "x", "1.5", ""]) expect((await setup.worker.get(`${setup.work}/poll?block_ms=${block}`)).status).toBe(400);

  let settled = false;
  const empty = setup.worker.get(`${setup.work}/poll?block_ms=500`).finally(() => (settled = true));
  while (setup.simulator.requests.length < 6) await new Promise((resolve) => setImmediate(resolve));
  await setup.worker.get(`${setup.work}/stats`); // the poll, sent before on another connection, has been read by now
  await clock.advance(499);
  await setup.worker.get(`${setup.work}/stats`);
  expect(settled).toBe(false);
  await clock.advance(1);
  expect((await empty).body).toBeNull();

  const early = setup.worker.get(`${setup.work}/poll?block_ms=999`);
  while (setup.simulator.requests.length < 9) await new Promise((resolve) => setImmediate(resolve));
  const session = setup.simulator.createSession({ prompt: null });
  expect((await early).body.data.id).toBe(session.id);
  await arrived(9);
});

test("18: a poll whose client left takes nothing", async () => {
  await using setup = await bench();
  const leaving = new AbortController();
  const left = setup.worker.get(`${setup.work}/poll?block_ms=999`, { signal: leaving.signal }).catch(() => "left");
  while (setup.simulator.requests.length < 1) await new Promise((resolve) => setImmediate(resolve));
  await setup.worker.get(`${setup.work}/stats`);
  leaving.abort();
  expect(await left).toBe("left");
  await setup.simulator.waitForRequest((request) => request.endpoint === "work.poll");
  const session = setup.simulator.createSession({ prompt: null });
  expect((await setup.worker.get(`${setup.work}/poll`)).body.data.id).toBe(session.id);
});

test("19: only the poll response carries a secret", async () => {
  await using setup = await bench();
  setup.simulator.createSession({ prompt: null });
  const item = (await setup.worker.get(`${setup.work}/poll`)).body;
  expect(item.secret).toMatch(/^[A-Za-z0-9_-]+$/);
  const path = `${setup.work}/${item.id}`;
  const others = [
    (await setup.worker.post(`${path}/ack`)).body,
    (await setup.worker.get(setup.work)).body.data[0],
    (await setup.application.get(path)).body,
    (await setup.application.post(path, { metadata: {} })).body,
    (await setup.worker.post(`${path}/stop`, {})).body,
  ];
  expect(others.map((each) => each.secret)).toEqual([null, null, null, null, null]);
});

test("20: the secret has the configured form, and a token is minted for each delivery", async () => {
  const forms = {
    unpadded: (secret: string) =>
      expect(JSON.parse(atob(secret.replaceAll("-", "+").replaceAll("_", "/")))).toEqual({ sessions_token: expect.stringMatching(/^sk-ant-req-/) }),
    padded: (secret: string) => expect(secret.length % 4).toBe(0),
    extra_fields: (secret: string) =>
      expect(Object.keys(JSON.parse(Buffer.from(secret, "base64url").toString()))).toEqual(["sessions_token", "version", "trace"]),
    api_base_url: (secret: string) => expect(JSON.parse(Buffer.from(secret, "base64url").toString()).api_base_url).toMatch(/^http:\/\/127/),
    no_token: (secret: string) => expect(JSON.parse(Buffer.from(secret, "base64url").toString())).not.toHaveProperty("sessions_token"),
    garbage: (secret: string) => expect(() => JSON.parse(Buffer.from(secret, "base64url").toString())).toThrow("JSON"),
    absent: (secret: string | null) => expect(secret).toBeNull(),
  };
  for (const [workSecret, check] of Object.entries(forms) as [keyof typeof forms, (secret: string) => void][]) {
    await using setup = await bench({ behaviour: { workSecret } });
    setup.simulator.createSession({ prompt: null });
    check((await setup.worker.get(`${setup.work}/poll`)).body.secret);
  }
  await using setup = await bench();
  setup.simulator.createSession({ prompt: null });
  const tokens = [];
  for (let delivery = 0; delivery < 2; delivery++)
    tokens.push(tokenOf((await setup.worker.get(`${setup.work}/poll?reclaim_older_than_ms=0`)).body.secret));
  expect(new Set(tokens).size).toBe(2);
});

test("20: tokens of an item that is delivered again are new, new and the only ones, or the same", async () => {
  const expected = { per_delivery: [2, 200], per_delivery_revoking: [2, 401], per_item: [1, 200] } as const;
  for (const [sessionsTokens, [distinct, status]] of Object.entries(expected) as [keyof typeof expected, readonly [number, number]][]) {
    await using setup = await bench({ behaviour: { sessionsTokens } });
    const session = setup.simulator.createSession({ prompt: null });
    const deliver = async (): Promise<string> => tokenOf((await setup.worker.get(`${setup.work}/poll?reclaim_older_than_ms=0`)).body.secret);
    const tokens = [await deliver(), await deliver()];
    expect([sessionsTokens, new Set(tokens).size]).toEqual([sessionsTokens, distinct]);
    const read = async (token = ""): Promise<number> => (await setup.client(token).get(`/v1/sessions/${session.id}`)).status;
    expect([sessionsTokens, await read(tokens[0]), await read(tokens[1])]).toEqual([sessionsTokens, status, 200]);
  }
});

test("20: a token can have an end", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock, behaviour: { sessionsTokenLifetimeMs: 1_000 } });
  const session = setup.simulator.createSession({ prompt: null });
  const holder = setup.client(tokenOf((await setup.worker.get(`${setup.work}/poll`)).body.secret));
  await clock.advance(999);
  expect((await holder.get(`/v1/sessions/${session.id}`)).status).toBe(200);
  await clock.advance(1);
  expect((await holder.get(`/v1/sessions/${session.id}`)).status).toBe(401);
  expect((await setup.worker.get(`/v1/sessions/${session.id}`)).status).toBe(200);
});

test("21: two pollers never get the same item inside the reclaim window", async () => {
  await using setup = await bench();
  for (let count = 0; count < 10; count++) setup.simulator.createSession({ prompt: null });
  const polled = await Promise.all(Array.from({ length: 20 }, () => setup.worker.get(`${setup.work}/poll`)));
  const ids = polled.flatMap((answer) => (answer.body === null ? [] : [answer.body.id]));
  expect(ids).toHaveLength(10);
  expect(new Set(ids).size).toBe(10);
});

test("22: an unacked item is delivered again once it is older than the caller's reclaim_older_than_ms, 5000 by default", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  setup.simulator.createSession({ prompt: null });
  const poll = async (query = ""): Promise<string | null> => (await setup.worker.get(`${setup.work}/poll${query}`)).body?.id ?? null;
  const first = await poll();
  await clock.advance(4_999);
  expect(await poll()).toBeNull();
  expect(await poll("?reclaim_older_than_ms=5000")).toBeNull();
  await clock.advance(1);
  expect(await poll()).toBe(first);
  await clock.advance(2_000);
  expect(await poll("?reclaim_older_than_ms=2000")).toBe(first);
});

test("22: a poll that waits takes an item at the moment it becomes reclaimable", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  setup.simulator.createSession({ prompt: null });
  await setup.worker.get(`${setup.work}/poll`);
  const waiting = setup.worker.get(`${setup.work}/poll?block_ms=999&reclaim_older_than_ms=300`);
  while (setup.simulator.requests.length < 2) await new Promise((resolve) => setImmediate(resolve));
  await setup.worker.get(`${setup.work}/stats`);
  await clock.advance(300);
  expect((await waiting).body).not.toBeNull();
  expect(clock.now() - Date.UTC(2026, 0, 1)).toBe(300);
});

test("23: an acked item is never reclaimed and stays starting", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const session = setup.simulator.createSession({ prompt: null });
  const { id } = (await setup.worker.get(`${setup.work}/poll`)).body;
  await setup.worker.post(`${setup.work}/${id}/ack`);
  await clock.advance(86_400_000);
  expect((await setup.worker.get(`${setup.work}/poll?reclaim_older_than_ms=0`)).body).toBeNull();
  expect(session.work).toMatchObject([{ state: "starting" }]);
});

test("24: ack needs no body, sets acknowledged_at and the state starting", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  setup.simulator.createSession({ prompt: null });
  const { id, secret } = (await setup.worker.get(`${setup.work}/poll`)).body;
  await clock.advance(1_000);
  expect((await setup.client(tokenOf(secret)).post(`${setup.work}/${id}/ack`)).body).toMatchObject({
    state: "starting",
    acknowledged_at: "2026-01-01T00:00:01.000000Z",
    started_at: null,
  });
});

test("25: a second ack is answered as configured", async () => {
  const expected = { idempotent: 200, conflict: 409, not_found: 404 } as const;
  for (const secondAck of ["idempotent", "conflict", "not_found"] as const) {
    await using setup = await bench({ behaviour: { secondAck } });
    setup.simulator.createSession({ prompt: null });
    const { id } = (await setup.worker.get(`${setup.work}/poll`)).body;
    expect((await setup.worker.post(`${setup.work}/${id}/ack`)).status).toBe(200);
    expect((await setup.worker.post(`${setup.work}/${id}/ack`)).status).toBe(expected[secondAck]);
  }
});

test("26: stats count what waits, what is claimed and who polled in the last 30 seconds", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const stats = async (): Promise<unknown> => (await setup.worker.get(`${setup.work}/stats`)).body;
  expect(await stats()).toEqual({ type: "work_queue_stats", depth: 0, pending: 0, oldest_queued_at: null, workers_polling: 0 });
  setup.simulator.createSession({ prompt: null });
  await clock.advance(1_000);
  setup.simulator.createSession({ prompt: null });
  for (const name of ["a", "a", "b"])
    await setup.worker.get(`${setup.work}/poll?reclaim_older_than_ms=100000`, { headers: { "anthropic-worker-id": name } });
  expect(await stats()).toMatchObject({ depth: 0, pending: 2, oldest_queued_at: "2026-01-01T00:00:00.000000Z", workers_polling: 2 });
  setup.simulator.createSession({ prompt: null });
  await clock.advance(30_001);
  expect(await stats()).toMatchObject({ depth: 1, pending: 2, workers_polling: 0 });
});

test("26: without workers' ids nobody is known to poll, which is told as zero or null", async () => {
  for (const workersPollingWithoutIds of [0, null] as const) {
    await using setup = await bench({ behaviour: { workersPollingWithoutIds } });
    const polling = async (): Promise<unknown> => (await setup.worker.get(`${setup.work}/stats`)).body.workers_polling;
    await setup.worker.get(`${setup.work}/poll`);
    expect(await polling()).toBe(workersPollingWithoutIds);
    await setup.worker.get(`${setup.work}/poll`, { headers: { "anthropic-worker-id": "a" } });
    expect(await polling()).toBe(1);
  }
});

test("27: health checks are queued, with and without a type", async () => {
  await using setup = await bench();
  setup.simulator.enqueueHealthcheck();
  setup.simulator.enqueueHealthcheck({ typed: false });
  expect((await setup.worker.get(`${setup.work}/poll`)).body.data.type).toBe("healthcheck");
  expect((await setup.worker.get(`${setup.work}/poll`)).body.data).toEqual({ id: expect.stringMatching(/^hc_/) });
});

test("28: a metadata update merges, deletes on null and touches nothing else", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null });
  const [before] = session.work;
  const path = `${setup.work}/${before?.id}`;
  await setup.application.post(path, { metadata: { a: "1", b: "2" } });
  const after = (await setup.application.post(path, { metadata: { a: null, c: "3" } })).body;
  expect(after).toEqual({ ...before, metadata: { b: "2", c: "3" } });
  expect((await setup.application.post(path, { metadata: { c: "x".repeat(513) } })).body.error.details).toEqual({ error_code: "invalid_metadata" });
  const many = Object.fromEntries(Array.from({ length: 15 }, (_, index) => [`key${index}`, "x"]));
  expect((await setup.application.post(path, { metadata: many })).status).toBe(400);
  expect((await setup.application.post(path, { state: "stopped" })).status).toBe(400);
});

test("29: the list pages until next_page is null", async () => {
  await using setup = await bench();
  const ids = Array.from({ length: 5 }, () => setup.simulator.createSession({ prompt: null }).work[0]?.id);
  const seen: string[] = [];
  let page: string | null = "";
  let pages = 0;
  while (page !== null) {
    const { body }: { body: Json } = await setup.worker.get(`${setup.work}?limit=2${page === "" ? "" : `&page=${page}`}`);
    seen.push(...body.data.map((item: { id: string }) => item.id));
    page = body.next_page;
    pages += 1;
  }
  expect([pages, seen]).toEqual([3, ids]);
  expect((await setup.worker.get(`${setup.work}?page=nonsense`)).status).toBe(400);
  expect((await setup.worker.get(`${setup.work}?limit=0`)).status).toBe(400);
});
