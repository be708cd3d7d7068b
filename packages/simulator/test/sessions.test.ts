import { expect, test } from "vitest";
import { VirtualClock, type Brain } from "@glovebox/simulator";
import { bench, type Answer, type Bench, type Json } from "./client.ts";

test("41, 46: a session starts idle, is terminated once archived and 404 once deleted; a running one is neither", async () => {
  const gate = Promise.withResolvers<void>();
  await using setup = await bench();
  const thinking: Brain = async function* () {
    await gate.promise;
    yield { message: "done" };
  };
  const session = setup.simulator.createSession({ prompt: null, brain: thinking });
  const path = `/v1/sessions/${session.id}`;
  expect((await setup.application.get(path)).body.status).toBe("idle");
  session.sendMessage("go");
  await session.waitForEvent((event) => event.type === "session.status_running");
  expect((await setup.application.post(`${path}/archive`)).status).toBe(400);
  expect((await setup.application.call("DELETE", path)).status).toBe(400);
  gate.resolve();
  await session.finished;
  expect((await setup.application.post(`${path}/archive`)).body).toMatchObject({ status: "terminated", archived_at: expect.any(String) });
  expect((await setup.application.post(`${path}/events`, { events: [{ type: "user.interrupt" }] })).status).toBe(400);
  expect((await setup.application.call("DELETE", path)).body).toEqual({ id: session.id, type: "session_deleted" });
  expect((await setup.application.get(path)).status).toBe(404);
});

test("46: a retrieval shows running for a while after the idle event, where the lag is set", async () => {
  for (const statusLagMs of [0, 500]) {
    const clock = new VirtualClock();
    await using setup = await bench({ clock, behaviour: { statusLagMs } });
    const session = setup.simulator.createSession({ prompt: null });
    const shown = async (): Promise<readonly unknown[]> => [
      (await setup.application.get(`/v1/sessions/${session.id}`)).body.status,
      (await setup.application.get("/v1/sessions?statuses[]=running")).body.data.length,
    ];
    expect(await shown()).toEqual(["idle", 0]);
    session.sendMessage("go");
    await session.finished;
    expect(session.status).toBe("idle");
    expect(await shown()).toEqual(statusLagMs === 0 ? ["idle", 0] : ["running", 1]);
    await clock.advance(499);
    expect(await shown()).toEqual(statusLagMs === 0 ? ["idle", 0] : ["running", 1]);
    await clock.advance(1);
    expect(await shown()).toEqual(["idle", 0]);
    session.archive();
    expect((await shown())[0]).toBe("terminated");
  }
});

test("42: files and repositories are refused on a self-hosted environment, in the documented words", async () => {
  await using setup = await bench();
  const { agentId: agent, environmentId: environment_id } = setup.simulator;
  const resources = [
    { type: "file", file_id: "file_1" },
    { type: "github_repository", url: "https://github.com/a/b" },
  ];
  for (const resource of resources) {
    const { status, body } = await setup.application.post("/v1/sessions", { agent, environment_id, resources: [resource] });
    expect([status, body.error.message]).toEqual([
      400,
      `Environment ${environment_id} is a self-hosted environment. \`resources\` are not supported with self-hosted environments.`,
    ]);
  }
  const session = setup.simulator.createSession({ prompt: null });
  const { status, body } = await setup.application.post(`/v1/sessions/${session.id}/resources`, resources[0]);
  expect([status, body.error.message]).toEqual([400, expect.stringContaining("is a self-hosted environment.")]);
});

test("43: the item's token reads its session with agent, resources and metadata", async () => {
  await using setup = await bench({
    agents: { agent_writer: { name: "writer", system: "Write.", skills: [{ type: "custom", skill_id: "skill_1", version: "latest" }] } },
  });
  const store = setup.simulator.createMemoryStore({ name: "Notes" });
  const create = (agent: unknown, more = {}): Promise<Answer> =>
    setup.application.post("/v1/sessions", { agent, environment_id: setup.simulator.environmentId, ...more });
  const created = await create(
    { type: "agent_with_overrides", id: "agent_writer", system: "Write well." },
    {
      metadata: { repository: "a/b" },
      resources: [{ type: "memory_store", memory_store_id: store.id }],
      initial_events: [{ type: "user.message", content: [{ type: "text", text: "hello" }] }],
    },
  );
  expect(created.status).toBe(200);
  const item = (await setup.worker.get(`${setup.work}/poll`)).body;
  const token = JSON.parse(Buffer.from(item.secret, "base64url").toString()).sessions_token;
  const { body } = await setup.client(token).get(`/v1/sessions/${created.body.id}`);
  expect(body).toMatchObject({
    resources: [{ type: "memory_store", memory_store_id: store.id, mount_path: "/mnt/memory/notes" }],
    metadata: { repository: "a/b" },
    agent: { id: "agent_writer", name: "writer", system: "Write well.", skills: [{ type: "custom", skill_id: "skill_1", version: "latest" }] },
  });
  expect((await create("agent_none")).status).toBe(404);
  expect((await create({ type: "agent", id: "agent_writer", version: 1 })).status).toBe(200);
  expect((await create({ type: "agent", id: "agent_writer", version: 2 })).status).toBe(404);
  expect((await create("agent_writer", { environment_id: "env_none" })).status).toBe(404);
  for (const wrong of [{ vault_ids: ["vlt_1"] }, { budget: { type: "limit" } }, { initial_events: [{ type: "user.interrupt" }] }, { surprise: 1 }])
    expect([wrong, (await create("agent_writer", wrong)).status]).toEqual([wrong, 400]);
});

const idsOf = (answer: Answer): readonly string[] => answer.body.data.map((each: Json) => each.id);

test("sessions are listed newest first, by agent, age and state, archived ones on request", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock, agents: { agent_b: {} } });
  const first = setup.simulator.createSession();
  await clock.advance(1_000);
  const second = setup.simulator.createSession({ prompt: null, agent: "agent_b" });
  await first.finished;
  const list = async (query: string): Promise<readonly string[]> => idsOf(await setup.application.get(`/v1/sessions?${query}`));
  expect(await list("")).toEqual([second.id, first.id]);
  expect(await list("order=asc")).toEqual([first.id, second.id]);
  expect(await list("agent_id=agent_b")).toEqual([second.id]);
  expect(await list("agent_id=agent_b&agent_version=2")).toEqual([]);
  expect(await list("created_at[lt]=2026-01-01T00:00:01Z")).toEqual([first.id]);
  expect(await list("deployment_id=depl_1")).toEqual([]);
  first.archive();
  expect([await list(""), await list("include_archived=true")]).toEqual([[second.id], [second.id, first.id]]);
  expect(await list("include_archived=true&statuses[]=terminated")).toEqual([first.id]);
  expect((await setup.application.get("/v1/sessions?order=up")).status).toBe(400);
});

test("a list of sessions pages in both directions, whatever comes and goes meanwhile", async () => {
  await using setup = await bench();
  const ids = Array.from({ length: 6 }, () => setup.simulator.createSession({ prompt: null }).id).toReversed();
  const page = (cursor: string): Promise<Answer> => setup.application.get(`/v1/sessions?limit=2&page=${cursor}`);
  const first = await setup.application.get("/v1/sessions?limit=2");
  expect([idsOf(first), first.body.prev_page]).toEqual([ids.slice(0, 2), null]);
  setup.simulator.createSession({ prompt: null });
  setup.simulator.session(ids[5] ?? "")?.delete();
  const second = await page(first.body.next_page);
  expect(idsOf(second)).toEqual(ids.slice(2, 4));
  const third = await page(second.body.next_page);
  expect([idsOf(third), third.body.next_page]).toEqual([ids.slice(4, 5), null]);
  expect(idsOf(await page(third.body.prev_page))).toEqual(ids.slice(2, 4));
  const back = await page(second.body.prev_page);
  expect([idsOf(back), back.body.prev_page]).toEqual([ids.slice(0, 2), expect.any(String)]);
  expect((await page("nonsense")).status).toBe(400);
});

test("an update merges metadata and deletes on null, and tells what changed and nothing else", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null, title: "old", metadata: { a: "1", b: "2" } });
  const update = (body: unknown): Promise<Answer> => setup.application.post(`/v1/sessions/${session.id}`, body);
  const told = (): Json => {
    const { id: _id, processed_at: _at, ...fields } = session.events.findLast((event) => event.type === "session.updated") as Json;
    return fields;
  };
  const updated = await update({ title: "new", metadata: { a: null, c: "", d: "4" } });
  expect(updated.body).toMatchObject({ title: "new", metadata: { b: "2", c: "", d: "4" } });
  expect(updated.body.metadata).not.toHaveProperty("a");
  expect(told()).toEqual({ type: "session.updated", title: "new", metadata: { b: "2", c: "", d: "4" } });
  await update({ title: null, metadata: { b: "2" } });
  expect(told()).toEqual({ type: "session.updated", title: null });
  await update({ title: null, metadata: { b: null, c: null, d: null } });
  expect(told()).toEqual({ type: "session.updated" });
  const tools = [{ type: "custom", name: "add", description: "Adds.", input_schema: { type: "object" } }];
  expect((await update({ agent: { tools } })).body.agent).toMatchObject({ tools, mcp_servers: [] });
  expect(told()).toMatchObject({ type: "session.updated", agent: { tools, name: setup.simulator.agentId } });
  expect((await update({ budget: null })).status).toBe(200);
  for (const wrong of [
    { vault_ids: [] },
    { budget: { max_list_cost: 1 } },
    { agent: { system: "other" } },
    { resources: [] },
    { metadata: { a: 1 } },
  ])
    expect([wrong, (await update(wrong)).status]).toEqual([wrong, 400]);
});

test("an agent's tools are not updated while the session runs", async () => {
  await using setup = await bench();
  const brain: Brain = async function* () {
    yield { message: "thinking" };
    await new Promise(() => undefined);
  };
  const session = setup.simulator.createSession({ brain });
  await session.waitForEvent((event) => event.type === "span.model_request_end");
  expect((await setup.application.post(`/v1/sessions/${session.id}`, { agent: { tools: [] } })).status).toBe(400);
  expect((await setup.application.post(`/v1/sessions/${session.id}`, { title: "still" })).status).toBe(200);
});

/** A session of the service's own containers, with a file and a repository. */
async function inCloud(setup: Bench): Promise<Json> {
  const { id } = setup.simulator.createEnvironment("cloud", "cloud");
  const resources = [
    { type: "file", file_id: "file_1" },
    {
      type: "github_repository",
      url: "https://github.com/team/tools.git",
      authorization_token: "ghp_secret",
      checkout: { type: "branch", name: "main" },
    },
  ];
  const { agentId: agent } = setup.simulator;
  return (await setup.application.post("/v1/sessions", { agent, environment_id: id, resources })).body;
}

test("a cloud session has files and repositories, which come and go; a repository's token is taken and never shown", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const session = await inCloud(setup);
  const path = `/v1/sessions/${session.id}/resources`;
  const at = "2026-01-01T00:00:00.000000Z";
  const [file, repository] = session.resources;
  expect([file, repository]).toEqual([
    {
      id: expect.stringMatching(/^sesrsc_/),
      type: "file",
      file_id: "file_1",
      mount_path: "/mnt/session/uploads/file_1",
      created_at: at,
      updated_at: at,
    },
    {
      id: expect.stringMatching(/^sesrsc_/),
      type: "github_repository",
      url: "https://github.com/team/tools.git",
      mount_path: "/workspace/tools",
      checkout: { type: "branch", name: "main" },
      created_at: at,
      updated_at: at,
    },
  ]);
  await clock.advance(1_000);
  const rotated = (await setup.application.post(`${path}/${repository.id}`, { authorization_token: "ghp_other" })).body;
  expect(rotated).toEqual({ ...repository, updated_at: "2026-01-01T00:00:01.000000Z" });
  expect((await setup.application.post(`${path}/${file.id}`, { authorization_token: "ghp_other" })).status).toBe(400);
  const added = (await setup.application.post(path, { type: "file", file_id: "file_2", mount_path: "/data/two" })).body;
  expect(added).toMatchObject({ file_id: "file_2", mount_path: "/data/two" });
  expect((await setup.application.post(path, { type: "github_repository", url: "https://github.com/a/b" })).status).toBe(400);
  expect((await setup.application.get(path)).body).toEqual({ data: [file, rotated, added], next_page: null });
  expect((await setup.application.get(`${path}/${added.id}`)).body).toEqual(added);
  expect((await setup.application.call("DELETE", `${path}/${file.id}`)).body).toEqual({ id: file.id, type: "session_resource_deleted" });
  expect((await setup.application.get(`${path}/${file.id}`)).status).toBe(404);
  expect(idsOf(await setup.application.get(`${path}?limit=1`))).toEqual([repository.id]);
});

test("a self-hosted session lists its memory stores, which have no id of their own", async () => {
  await using setup = await bench();
  const store = setup.simulator.createMemoryStore({ name: "Notes" });
  const session = setup.simulator.createSession({ prompt: null, memoryStores: [{ id: store.id }] });
  const path = `/v1/sessions/${session.id}/resources`;
  const { data } = (await setup.application.get(path)).body;
  expect(data).toMatchObject([{ type: "memory_store", memory_store_id: store.id }]);
  expect(data[0]).not.toHaveProperty("id");
  expect((await setup.application.call("DELETE", `${path}/${store.id}`)).status).toBe(404);
});

test("a cloud environment has no queue", async () => {
  await using setup = await bench();
  const { id, key } = setup.simulator.createEnvironment("cloud", "cloud");
  const session = setup.simulator.createSession({ environmentId: id });
  await session.finished;
  expect(session.work).toEqual([]);
  expect((await setup.application.get(`/v1/environments/${id}`)).body.config).toEqual({ type: "cloud" });
  for (const path of ["/work/poll", "/work", "/work/stats"]) expect((await setup.client(key).get(`/v1/environments/${id}${path}`)).status).toBe(400);
});

test("what is no endpoint here is refused clearly", async () => {
  await using setup = await bench();
  for (const path of ["/v1/agents", "/v1/files", "/v1/vaults", "/v1/tunnels", "/v1/environments", "/v1/messages"]) {
    const { status, body } = await setup.application.post(path, {});
    expect([status, body.error.message]).toEqual([404, `Not found: POST ${path}. The simulator has no such endpoint.`]);
  }
});
