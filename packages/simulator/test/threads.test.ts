import { expect, test } from "vitest";
import { VirtualClock, type SessionHandle } from "@glovebox/simulator";
import { bench, FrameReader, type Answer, type Bench, type Json } from "./client.ts";

interface Threaded extends AsyncDisposable {
  readonly setup: Bench;
  readonly clock: VirtualClock;
  readonly session: SessionHandle;
  readonly path: string;
  readonly primary: string;
  readonly helper: string;
}

/** A session that idles on a call of its primary thread and one of a helper. */
async function threaded(): Promise<Threaded> {
  const clock = new VirtualClock();
  const setup = await bench({ clock });
  const session = setup.simulator.createSession({ script: { turns: [{ calls: [{ name: "a" }, { name: "b", thread: "helper" }] }] } });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  const path = `/v1/sessions/${session.id}/threads`;
  const [primary, helper] = (await setup.application.get(path)).body.data.map((thread: Json) => thread.id);
  return { setup, clock, session, path, primary, helper, [Symbol.asyncDispose]: () => setup[Symbol.asyncDispose]() };
}

test("7.2: threads are listed with their agent, parent, state, time and usage", async () => {
  await using on = await threaded();
  await on.clock.advance(2_000);
  const { data, next_page: next } = (await on.setup.application.get(on.path)).body;
  const at = "2026-01-01T00:00:00.000000Z";
  expect([data, next]).toEqual([
    [
      {
        id: on.primary,
        type: "session_thread",
        session_id: on.session.id,
        agent: expect.objectContaining({ type: "agent", name: on.setup.simulator.agentId }),
        parent_thread_id: null,
        status: "idle",
        stats: { active_seconds: 0, duration_seconds: 2, startup_seconds: 0 },
        usage: { active_seconds: 0, input_tokens: expect.any(Number), output_tokens: expect.any(Number) },
        workflow_run_id: null,
        created_at: at,
        updated_at: at,
        archived_at: null,
      },
      expect.objectContaining({ id: on.helper, agent: expect.objectContaining({ name: "helper" }), parent_thread_id: on.primary, status: "idle" }),
    ],
    null,
  ]);
  expect((await on.setup.application.get(`${on.path}/${on.helper}`)).body).toEqual(data[1]);
  expect((await on.setup.application.get(`${on.path}/sthr_none`)).status).toBe(404);
  const ids = async (query: string): Promise<readonly string[]> =>
    (await on.setup.application.get(`${on.path}?${query}`)).body.data.map((thread: Json) => thread.id);
  expect([await ids("statuses[]=running"), await ids("statuses%5B%5D=idle&statuses[]=running"), await ids("limit=1")]).toEqual([
    [],
    [on.primary, on.helper],
    [on.primary],
  ]);
});

test("7.2: before it first changes a thread has no stats, and before it first idles no usage", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null });
  const { data } = (await setup.application.get(`/v1/sessions/${session.id}/threads`)).body;
  expect(data).toMatchObject([{ status: "idle", stats: null, usage: null }]);
});

test("7.2: a thread is archived once it does not run, drops its calls and is told; the primary one never", async () => {
  await using on = await threaded();
  const archive = (id: string): Promise<Answer> => on.setup.application.post(`${on.path}/${id}/archive`);
  expect((await archive(on.primary)).status).toBe(400);
  await on.clock.advance(1_000);
  const archived = (await archive(on.helper)).body;
  expect(archived).toMatchObject({ status: "terminated", archived_at: "2026-01-01T00:00:01.000000Z" });
  expect(on.session.report().calls.map((call) => call.outcome)).toEqual(["open", "dropped"]);
  expect(on.session.events.filter((event) => event.type === "session.thread_status_terminated")).toHaveLength(1);
  await on.clock.advance(1_000);
  expect((await archive(on.helper)).body).toMatchObject({ archived_at: archived.archived_at, stats: { duration_seconds: 1 } });
});

test("7.2: a running thread is not archived", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const session = setup.simulator.createSession({ script: { turns: [{ idleDelayMs: 1_000, calls: [{ name: "a", thread: "helper" }] }] } });
  const { session_thread_id: id } = await session.waitForEvent((event) => event.type === "session.thread_created");
  const path = `/v1/sessions/${session.id}/threads/${String(id)}`;
  await clock.advance(500);
  expect((await setup.application.get(path)).body).toMatchObject({ status: "running", stats: null });
  expect((await setup.application.post(`${path}/archive`)).status).toBe(400);
  await clock.advance(500);
  expect((await setup.application.get(path)).body).toMatchObject({ status: "idle", stats: { active_seconds: 1 } });
  expect((await setup.application.post(`${path}/archive`)).status).toBe(200);
});

test("7.2: a thread's events are its own, the primary one's those of the session", async () => {
  await using on = await threaded();
  const types = async (id: string, query = ""): Promise<readonly string[]> =>
    (await on.setup.application.get(`${on.path}/${id}/events?${query}`)).body.data.map((event: Json) => event.type);
  expect(await types(on.helper)).toEqual(["session.thread_created", "session.thread_status_running", "agent.tool_use", "session.thread_status_idle"]);
  expect(await types(on.helper, "types[]=agent.tool_use")).toEqual(["agent.tool_use"]);
  expect(await types(on.primary)).toEqual(on.session.events.map((event) => event.type));
  expect((await on.setup.application.get(`${on.path}/sthr_none/events`)).status).toBe(404);
});

test("7.2: a thread's stream carries its events and ends with the session", async () => {
  await using on = await threaded();
  const open = async (path: string): Promise<FrameReader> => {
    const headers = { authorization: `Bearer ${on.setup.simulator.apiKey}`, "anthropic-beta": "managed-agents-2026-04-01" };
    return new FrameReader(await fetch(`${on.setup.simulator.url}${path}`, { headers }));
  };
  const stream = await open(`${on.path}/${on.helper}/stream`);
  for (const { id } of on.session.report().calls) on.session.answer(id, "ok");
  await on.session.finished;
  on.session.delete();
  const frames: Json[] = [];
  for (let frame = await stream.next(); frame !== null; frame = await stream.next()) frames.push(frame.data);
  expect(frames.map((event) => event.type)).toEqual([
    "user.tool_result",
    "session.thread_status_running",
    "session.thread_status_idle",
    "session.deleted",
  ]);
  expect((await open(`${on.path}/${on.helper}/events/stream`)).status).toBe(404);
});
