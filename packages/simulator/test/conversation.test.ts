import { expect, test } from "vitest";
import { checkConversation, type ConversationRule, type SessionHandle } from "@glovebox/simulator";
import { bench, openStream, tokenOf, type Answer, type Bench, type Client, type Json } from "./client.ts";

/** A worker that does one thing after another, as it is told. */
interface Scene extends AsyncDisposable {
  readonly setup: Bench;
  readonly session: SessionHandle;
  readonly token: Client;
  readonly path: string;
  readonly tokenValue: string;
  ack(): Promise<Answer>;
  beat(expected?: string): Promise<Answer>;
  stream(): Promise<unknown>;
  history(): Promise<Answer>;
  result(): Promise<Answer>;
  stop(): Promise<Answer>;
  skill(): Promise<Answer>;
  memories(): Promise<Answer>;
  broken(over?: boolean): readonly ConversationRule[];
}

async function scene(): Promise<Scene> {
  const setup = await bench();
  const store = setup.simulator.createMemoryStore({ name: "Notes" });
  const skill = setup.simulator.createSkill({ name: "pdf" });
  const session = setup.simulator.createSession({ memoryStores: [{ id: store.id }], script: { turns: [{ calls: [{ name: "bash" }] }] } });
  const { id: call } = await session.waitForEvent((event) => event.type === "agent.tool_use");
  const item = (await setup.worker.get(`${setup.work}/poll`)).body;
  const tokenValue = tokenOf(item.secret);
  const token = setup.client(tokenValue);
  const path = `${setup.work}/${item.id}`;
  const events = `/v1/sessions/${session.id}/events`;
  return {
    setup,
    session,
    token,
    path,
    tokenValue,
    ack: () => setup.worker.post(`${path}/ack`),
    beat: (expected = "NO_HEARTBEAT") => token.post(`${path}/heartbeat?expected_last_heartbeat=${expected}`),
    stream: () => openStream(setup.simulator.url, tokenValue, session.id),
    history: () => token.get(`${events}?limit=1000`),
    result: () => token.post(events, { events: [{ type: "user.tool_result", tool_use_id: call, content: [{ type: "text", text: "ok" }] }] }),
    stop: () => token.post(`${path}/stop`, { force: true }),
    skill: () => token.get(`/v1/skills/${skill.id}/versions/latest`),
    memories: () => token.get(`/v1/memory_stores/${store.id}/memories`),
    broken: (over = false) => checkConversation(setup.simulator.requests, { over }).map(({ rule }) => rule),
    [Symbol.asyncDispose]: () => setup[Symbol.asyncDispose](),
  };
}

test("95: a worker that keeps the order of section 1 breaks no rule", async () => {
  await using on = await scene();
  for (const step of [on.ack, on.beat, on.skill, on.memories, on.stream, on.history, on.result, on.memories, on.stop]) await step();
  expect(checkConversation(on.setup.simulator.requests, { over: true })).toEqual([]);
});

test("95: what comes too early or too late is named by its rule and its request", async () => {
  const cases: readonly (readonly [string, ConversationRule, readonly (keyof Scene)[]])[] = [
    ["before the ack", "ack_first", ["beat", "ack", "stream", "history", "stop"]],
    ["a skill after the stream", "staging_first", ["ack", "beat", "stream", "skill", "history", "stop"]],
    ["memories after the stream", "staging_first", ["ack", "beat", "stream", "history", "memories", "stop"]],
    ["history before the stream", "stream_first", ["ack", "beat", "history", "stream", "stop"]],
    ["a result before the history", "history_first", ["ack", "beat", "stream", "result", "history", "stop"]],
    ["a second result", "one_result", ["ack", "beat", "stream", "history", "result", "result", "stop"]],
    ["a second stop", "one_stop", ["ack", "beat", "stream", "history", "stop", "stop"]],
    ["a heartbeat after the stop", "stop_last", ["ack", "beat", "stream", "history", "stop", "beat"]],
  ];
  for (const [name, rule, steps] of cases) {
    await using on = await scene();
    for (const step of steps) await (on[step] as () => Promise<unknown>)();
    const [violation, ...more] = checkConversation(on.setup.simulator.requests, { over: true });
    expect([name, violation?.rule, more]).toEqual([name, rule, []]);
    expect(on.setup.simulator.requests.some((request) => request.id === violation?.requestId)).toBe(true);
  }
});

test("95: a claim that is left is broken only when its worker is gone", async () => {
  await using on = await scene();
  for (const step of [on.ack, on.beat]) await step();
  expect([on.broken(), on.broken(true)]).toEqual([[], ["one_stop"]]);
});

test("95: a worker that lost its item stops nothing", async () => {
  await using on = await scene();
  for (const step of [on.ack, on.beat, on.beat]) await step();
  expect(on.broken(true)).toEqual([]);
  await on.stop();
  expect(on.broken(true)).toEqual(["one_stop"]);
});

test("95: an item that another delivery took over needs no stop of the first", async () => {
  await using on = await scene();
  for (const step of [on.ack, on.beat]) await step();
  on.session.expireLease();
  const again = (await on.setup.worker.get(`${on.setup.work}/poll`)).body;
  const second = on.setup.client(tokenOf(again.secret));
  expect(on.setup.simulator.requests.map((request) => request.delivered?.delivery).filter(Boolean)).toEqual([1, 2]);
  await second.get(`/v1/sessions/${on.session.id}`);
  expect(on.broken()).toEqual(["ack_first"]);
  await on.setup.worker.post(`${on.path}/ack`);
  await second.post(`${on.path}/stop`, { force: true });
  expect(on.broken(true)).toEqual(["ack_first"]);
});

test("95: a lost or a refused send may be repeated, and the application may answer too", async () => {
  await using on = await scene();
  for (const step of [on.ack, on.beat, on.stream, on.history]) await step();
  on.setup.simulator.addRequestFault({ endpoint: "events.send", status: 529 });
  on.setup.simulator.addRequestFault({ endpoint: "events.send", nth: 2, cut: "after" });
  await on.result();
  await expect(on.result()).rejects.toThrow("fetch failed");
  expect((await on.result()).status).toBe(400);
  const { id: call } = await on.session.waitForEvent((event) => event.type === "agent.tool_use");
  const event = { type: "user.tool_result", tool_use_id: call, content: [{ type: "text", text: "ok" }] };
  await on.setup.application.post(`/v1/sessions/${on.session.id}/events`, { events: [event] });
  expect(on.broken()).toEqual([]);
});

test("95: a helper's request carries no key of its client", async () => {
  await using on = await scene();
  const helper = { headers: { "x-stainless-helper": "environments-worker" } };
  const session = `/v1/sessions/${on.session.id}`;
  await on.ack();
  await on.token.get(session, helper);
  await on.setup.worker.get(session, helper);
  on.setup.simulator.revokeEnvironmentKey();
  await on.setup.worker.get(session, helper);
  expect(on.broken()).toEqual([]);
  await on.setup.application.get(session, helper);
  await on.setup.client("sk-ant-api03-of-another-account").get(session, helper);
  await on.token.get(session, { headers: { ...helper.headers, authorization: "" } });
  expect(on.broken()).toEqual(["worker_credential", "worker_credential", "worker_credential"]);
  expect(on.setup.simulator.requests.map(({ credential }) => credential).slice(-4)).toEqual(["revoked", "api_key", "refused", "missing"]);
});

test("95: a secret is found in any text, whatever became of it, and none is in the request log", async () => {
  await using on = await scene();
  const { simulator } = on.setup;
  const hook = simulator.createWebhook({ url: "http://127.0.0.1:1/" });
  const secret: Json = (await on.setup.worker.get(`${on.setup.work}/poll?reclaim_older_than_ms=0`)).body.secret;
  simulator.revokeEnvironmentKey();
  expect(simulator.secretsIn(`log: polled with ${simulator.environmentKey}`)).toEqual(["environment_key"]);
  expect(simulator.secretsIn(JSON.stringify({ secret }))).toEqual(["work_secret"]);
  expect(simulator.secretsIn([simulator.apiKey, on.tokenValue, hook.signingKey].join())).toEqual([
    "api_key",
    "sessions_token",
    "webhook_signing_key",
  ]);
  expect(simulator.secretsIn(JSON.stringify(simulator.requests))).toEqual([]);
  expect(simulator.secretsIn("sk-ant-api03-unknown")).toEqual([]);
});
