import Anthropic from "@anthropic-ai/sdk";
import { startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";

test("the official client reads every answer", async () => {
  await using simulator = await startSimulator();
  const application = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const operator = new Anthropic({ authToken: simulator.environmentKey, apiKey: null, baseURL: simulator.url });
  const environment = { environment_id: simulator.environmentId };

  expect((await application.beta.environments.retrieve(simulator.environmentId)).config).toEqual({ type: "self_hosted" });
  const session = await application.beta.sessions.create({ agent: simulator.agentId, ...environment, title: "typed", metadata: { team: "a" } });
  expect(session).toMatchObject({ status: "idle", title: "typed", metadata: { team: "a" }, agent: { type: "agent", id: simulator.agentId } });
  expect((await application.beta.sessions.update(session.id, { title: "renamed" })).title).toBe("renamed");
  expect((await Array.fromAsync(application.beta.sessions.list())).map((each) => each.id)).toEqual([session.id]);

  const sent = await application.beta.sessions.events.send(session.id, {
    events: [{ type: "user.message", content: [{ type: "text", text: "hello" }] }],
  });
  expect(sent.data).toMatchObject([{ type: "user.message", processed_at: null }]);
  await simulator.session(session.id)?.waitForEvent((event) => event.type === "session.status_idle");
  const types = (await Array.fromAsync(application.beta.sessions.events.list(session.id, { limit: 2 }))).map((event) => event.type);
  expect(types).toEqual([
    "session.updated",
    "user.message",
    "session.status_running",
    "session.thread_status_running",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
  ]);
  const listed = await application.beta.sessions.events.list(session.id, { types: ["session.usage"], order: "desc" });
  expect(listed.data.map((event) => event.type)).toEqual(["session.usage"]);

  const work = application.beta.environments.work;
  const item = await operator.beta.environments.work.poll(simulator.environmentId, { block_ms: 999 });
  expect(item?.data).toEqual({ type: "session", id: session.id });
  const id = item?.id ?? "";
  expect((await operator.beta.environments.work.ack(id, environment)).state).toBe("starting");
  const beat = await operator.beta.environments.work.heartbeat(id, {
    ...environment,
    expected_last_heartbeat: "NO_HEARTBEAT",
    desired_ttl_seconds: 60,
  });
  expect(beat).toMatchObject({ type: "work_heartbeat", state: "active", lease_extended: true, ttl_seconds: 60 });
  const refused = await operator.beta.environments.work
    .heartbeat(id, { ...environment, expected_last_heartbeat: "NO_HEARTBEAT" })
    .catch((error: unknown) => error);
  expect(refused).toMatchObject({ status: 412, error: { error: { details: { current_state: { last_heartbeat: beat.last_heartbeat } } } } });
  expect((await work.retrieve(id, environment)).latest_heartbeat_at).not.toBeNull();
  expect((await work.update(id, { ...environment, metadata: { host: "one" } })).metadata).toEqual({ host: "one" });
  expect(await work.stats(simulator.environmentId)).toMatchObject({ depth: 0, pending: 0, oldest_queued_at: null });
  expect((await Array.fromAsync(operator.beta.environments.work.list(simulator.environmentId))).map((each) => each.id)).toEqual([id]);
  expect((await work.stop(id, { ...environment, force: true })).state).toBe("stopped");

  expect((await application.beta.sessions.archive(session.id)).status).toBe("terminated");
  expect(await application.beta.sessions.delete(session.id)).toEqual({ id: session.id, type: "session_deleted" });
  await expect(application.beta.sessions.retrieve(session.id)).rejects.toMatchObject({ status: 404 });
});
