import Anthropic, { toFile } from "@anthropic-ai/sdk";
import { startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";

test("sessions, events and work: the official client reads every answer", async () => {
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

test("memory stores: the official client reads every answer and knows every conflict", async () => {
  await using simulator = await startSimulator();
  const { memoryStores } = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url, maxRetries: 0 }).beta;
  const store = await memoryStores.create({ name: "Notes", description: "What we know.", metadata: { team: "a" } });
  const memory_store_id = store.id;
  expect(await memoryStores.retrieve(store.id)).toEqual(store);
  expect((await memoryStores.update(store.id, { metadata: { team: null } })).metadata).toEqual({});
  const memory = await memoryStores.memories.create(store.id, { path: "/deep/a.md", content: "one", view: "full" });
  expect(memory).toMatchObject({ type: "memory", content: "one", memory_store_id });
  const clash = await memoryStores.memories.create(store.id, { path: "/deep", content: "" }).catch((error: unknown) => error);
  expect(clash).toMatchObject({ status: 409, error: { error: { type: "memory_path_conflict_error", conflicting_memory_id: memory.id } } });
  const precondition = { type: "content_sha256", content_sha256: "0".repeat(64) } as const;
  const stale = await memoryStores.memories.update(memory.id, { memory_store_id, content: "two", precondition }).catch((error: unknown) => error);
  expect(stale).toMatchObject({ status: 409, error: { error: { type: "memory_precondition_failed_error" } } });
  await memoryStores.memories.update(memory.id, { memory_store_id, path: "/moved.md" });
  expect((await memoryStores.memories.retrieve(memory.id, { memory_store_id })).path).toBe("/moved.md");
  for (let index = 0; index < 5; index++) await memoryStores.memories.create(store.id, { path: `/more/${index}`, content: "" });
  const listed = await Array.fromAsync(memoryStores.memories.list(store.id, { depth: 1, limit: 1 }));
  expect(listed.map(({ type, path }) => [type, path])).toEqual([
    ["memory_prefix", "/more/"],
    ["memory", "/moved.md"],
  ]);
  expect(await memoryStores.memories.delete(memory.id, { memory_store_id })).toEqual({ id: memory.id, type: "memory_deleted" });
  const versions = await Array.fromAsync(memoryStores.memoryVersions.list(store.id, { memory_id: memory.id, view: "full", limit: 2 }));
  expect(versions.map(({ operation, path }) => [operation, path])).toEqual([
    ["deleted", "/moved.md"],
    ["modified", "/moved.md"],
    ["created", "/deep/a.md"],
  ]);
  const redacted = await memoryStores.memoryVersions.redact(versions[2]?.id ?? "", { memory_store_id });
  expect(redacted).toMatchObject({ content: null, path: null, redacted_by: { type: "api_actor" } });
  expect((await memoryStores.memoryVersions.retrieve(redacted.id, { memory_store_id })).redacted_at).toBe(redacted.redacted_at);
  expect((await memoryStores.archive(store.id)).archived_at).not.toBeNull();
  expect(await Array.fromAsync(memoryStores.list())).toEqual([]);
  expect(await memoryStores.delete(store.id)).toEqual({ id: store.id, type: "memory_store_deleted" });
});

test("skills: the official client uploads, reads and deletes", async () => {
  await using simulator = await startSimulator();
  const client = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const manifest = "---\nname: pdf\ndescription: Reads PDF.\n---\n";
  const upload = async (): Promise<File[]> => [await toFile(Buffer.from(manifest), "pdf/SKILL.md"), await toFile(Buffer.from("x"), "pdf/data/x.txt")];
  const skill = await client.beta.skills.create({ files: await upload(), display_name: "PDF" });
  expect(skill).toMatchObject({ type: "skill", display_name: "PDF", source: { type: "custom" } });
  expect(await client.skills.retrieve(skill.id)).toEqual(skill);
  const version = await client.skills.versions.retrieve("latest", { skill_id: skill.id });
  expect(version).toMatchObject({ id: skill.latest_version_id, name: "pdf", description: "Reads PDF." });
  const content = await client.beta.skills.versions.download(version.id, { skill_id: skill.id });
  expect(
    Buffer.from(await content.arrayBuffer())
      .subarray(0, 4)
      .toString("latin1"),
  ).toBe("PK\x03\x04");
  const second = await client.skills.versions.create(skill.id, { files: await upload() });
  expect((await Array.fromAsync(client.skills.versions.list(skill.id))).map(({ id }) => id)).toEqual([second.id, version.id]);
  expect(await client.skills.versions.delete(version.id, { skill_id: skill.id })).toEqual({ id: version.id, type: "skill_version_deleted" });
  expect((await Array.fromAsync(client.skills.list())).map(({ id }) => id)).toEqual([skill.id]);
  expect(await client.skills.delete(skill.id)).toEqual({ id: skill.id, type: "skill_deleted" });
});

test("threads, resources and lists: the official client reads every answer", async () => {
  await using simulator = await startSimulator();
  const { sessions } = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url }).beta;
  const store = simulator.createMemoryStore({ name: "Notes" });
  const session = simulator.createSession({
    memoryStores: [{ id: store.id }],
    script: { turns: [{ calls: [{ name: "a" }, { name: "b", thread: "helper" }] }] },
  });
  const session_id = session.id;
  await session.waitForEvent((event) => event.type === "session.status_idle");
  const [primary, helper] = await Array.fromAsync(sessions.threads.list(session.id, { statuses: ["idle"] }));
  expect([primary?.parent_thread_id, helper?.parent_thread_id]).toEqual([null, primary?.id]);
  const events = await Array.fromAsync(sessions.threads.events.list(helper?.id ?? "", { session_id, limit: 1 }));
  expect(events.map(({ type }) => type)).toContain("agent.tool_use");
  const stream = await sessions.threads.events.stream(helper?.id ?? "", { session_id });
  expect(await sessions.threads.archive(helper?.id ?? "", { session_id })).toMatchObject({ status: "terminated" });
  const seen: string[] = [];
  session.terminate();
  session.delete();
  for await (const event of stream) seen.push(event.type);
  expect(seen).toEqual(["session.thread_status_terminated", "session.deleted"]);

  for (let index = 0; index < 3; index++) simulator.createSession({ prompt: null });
  expect(await Array.fromAsync(sessions.list({ limit: 2, order: "asc" }))).toHaveLength(3);
  const cloud = simulator.createEnvironment("cloud", "cloud");
  const resources = [{ type: "github_repository", url: "https://github.com/a/b" }] as const;
  const created = await sessions.create({ agent: simulator.agentId, environment_id: cloud.id, resources: [...resources] });
  const file = await sessions.resources.add(created.id, { type: "file", file_id: "file_1" });
  const [repository] = await Array.fromAsync(sessions.resources.list(created.id));
  const id = repository !== undefined && "id" in repository ? repository.id : "";
  expect(await sessions.resources.retrieve(id, { session_id: created.id })).toEqual(repository);
  expect(await sessions.resources.update(id, { session_id: created.id, authorization_token: "ghp_1" })).toMatchObject({
    url: "https://github.com/a/b",
  });
  expect(await sessions.resources.delete(file.id, { session_id: created.id })).toEqual({ id: file.id, type: "session_resource_deleted" });
});
