import type { EndpointName, SessionHandle } from "@glovebox/simulator";
import { bench, tokenOf, type Bench, type Client } from "./client.ts";

/** One of everything that an endpoint can be asked about. */
export interface World extends AsyncDisposable {
  readonly setup: Bench;
  readonly token: Client;
  readonly session: SessionHandle;
  /** Idle, so that it can be archived and deleted. */
  readonly idle: SessionHandle;
  readonly cloudSession: string;
  readonly resource: string;
  readonly thread: string;
  readonly call: string;
  readonly work: string;
  readonly store: string;
  readonly memory: string;
  readonly version: string;
  readonly skill: string;
  readonly skillVersion: string;
}

export async function world(options: Parameters<typeof bench>[0] = {}): Promise<World> {
  const setup = await bench(options);
  const { simulator, application, worker } = setup;
  const store = `/v1/memory_stores/${simulator.createMemoryStore({ name: "Notes" }).id}`;
  const memory = (await application.post(`${store}/memories`, { path: "/a.md", content: "a" })).body;
  const skill = simulator.createSkill({ name: "pdf" });
  skill.addVersion({});
  const session = simulator.createSession({ script: { turns: [{ calls: [{ name: "bash" }, { name: "bash", thread: "helper" }] }] } });
  const { id: call } = await session.waitForEvent((event) => event.type === "agent.tool_use");
  await session.waitForEvent((event) => event.type === "session.status_idle");
  const item = (await worker.get(`${setup.work}/poll`)).body;
  const token = setup.client(tokenOf(item.secret));
  await worker.post(`${setup.work}/${item.id}/ack`);
  const cloud = simulator.createEnvironment("cloud", "cloud").id;
  const resources = [{ type: "github_repository", url: "https://github.com/a/b" }];
  const cloudSession = (await application.post("/v1/sessions", { agent: simulator.agentId, environment_id: cloud, resources })).body;
  const threads = (await application.get(`/v1/sessions/${session.id}/threads`)).body.data;
  return {
    setup,
    token,
    session,
    idle: simulator.createSession({ prompt: null }),
    cloudSession: `/v1/sessions/${cloudSession.id}`,
    resource: `/v1/sessions/${cloudSession.id}/resources/${cloudSession.resources[0].id}`,
    thread: `/v1/sessions/${session.id}/threads/${threads[1].id}`,
    call,
    work: `${setup.work}/${item.id}`,
    store,
    memory: `${store}/memories/${memory.id}`,
    version: `${store}/memory_versions/${memory.memory_version_id}`,
    skill: `/v1/skills/${skill.id}`,
    skillVersion: `/v1/skills/${skill.id}/versions/${skill.versions[0]}`,
    [Symbol.asyncDispose]: () => setup[Symbol.asyncDispose](),
  };
}

export interface Sample {
  readonly as: "application" | "worker" | "token";
  readonly method: "GET" | "POST" | "DELETE";
  readonly path: string;
  readonly body?: unknown;
  /** What the same request is answered with afterwards; `null`: the same. */
  readonly again: number | null;
}

const get = (as: Sample["as"], path: string): Sample => ({ as, method: "GET", path, again: null });
const post = (as: Sample["as"], path: string, body?: unknown, again: number | null = null): Sample => ({ as, method: "POST", path, body, again });
const remove = (path: string): Sample => ({ as: "application", method: "DELETE", path, again: 404 });

const upload = (() => {
  const form = new FormData();
  form.append("files[]", new File(["---\nname: pdf\n---\n"], "pdf/SKILL.md"));
  return form;
})();

/** A request for each endpoint that is answered with 200 in a new world. */
export function samples(on: World): Readonly<Record<EndpointName, Sample>> {
  const { simulator, work } = on.setup;
  const session = `/v1/sessions/${on.session.id}`;
  const create = { agent: simulator.agentId, environment_id: simulator.environmentId };
  const result = { events: [{ type: "user.tool_result", tool_use_id: on.call, content: [{ type: "text", text: "ok" }] }] };
  return {
    "environments.retrieve": get("application", `/v1/environments/${simulator.environmentId}`),
    "work.poll": get("worker", `${work}/poll`),
    "work.stats": get("worker", `${work}/stats`),
    "work.list": get("worker", work),
    "work.retrieve": get("application", on.work),
    "work.update": post("application", on.work, { metadata: { a: "1" } }),
    "work.ack": post("worker", `${on.work}/ack`),
    "work.heartbeat": post("token", `${on.work}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`, undefined, 412),
    "work.stop": post("token", `${on.work}/stop`, { force: true }, 409),
    "sessions.create": post("application", "/v1/sessions", create),
    "sessions.list": get("application", "/v1/sessions"),
    "sessions.retrieve": get("token", session),
    "sessions.update": post("application", session, { title: "new" }),
    "sessions.delete": remove(`/v1/sessions/${on.idle.id}`),
    "sessions.archive": post("application", `/v1/sessions/${on.idle.id}/archive`),
    "resources.list": get("application", `${on.cloudSession}/resources`),
    "resources.add": post("application", `${on.cloudSession}/resources`, { type: "file", file_id: "file_1" }),
    "resources.retrieve": get("application", on.resource),
    "resources.update": post("application", on.resource, { authorization_token: "ghp_1" }),
    "resources.delete": remove(on.resource),
    "threads.list": get("application", `${session}/threads`),
    "threads.retrieve": get("application", on.thread),
    "threads.archive": post("application", `${on.thread}/archive`),
    "threads.events": get("application", `${on.thread}/events`),
    "threads.stream": get("application", `${on.thread}/stream`),
    "events.list": get("token", `${session}/events`),
    "events.stream": get("token", `${session}/events/stream`),
    "events.send": post("token", `${session}/events`, result, 400),
    "memory_stores.create": post("application", "/v1/memory_stores", { name: "Notes" }),
    "memory_stores.list": get("application", "/v1/memory_stores"),
    "memory_stores.retrieve": get("application", on.store),
    "memory_stores.update": post("application", on.store, { description: "new" }),
    "memory_stores.delete": remove(on.store),
    "memory_stores.archive": post("application", `${on.store}/archive`),
    "memories.list": get("application", `${on.store}/memories`),
    "memories.create": post("application", `${on.store}/memories`, { path: "/b.md", content: "b" }, 409),
    "memories.retrieve": get("application", on.memory),
    "memories.update": post("application", on.memory, { content: "new" }),
    "memories.delete": remove(on.memory),
    "memory_versions.list": get("application", `${on.store}/memory_versions`),
    "memory_versions.retrieve": get("application", on.version),
    "memory_versions.redact": post("application", `${on.version}/redact`),
    "skills.create": post("application", "/v1/skills", upload),
    "skills.list": get("application", "/v1/skills"),
    "skills.retrieve": get("application", on.skill),
    "skills.delete": remove(on.skill),
    "skill_versions.create": post("application", `${on.skill}/versions`, upload),
    "skill_versions.list": get("application", `${on.skill}/versions`),
    "skill_versions.retrieve": get("token", on.skillVersion),
    "skill_versions.delete": remove(on.skillVersion),
    "skill_versions.content": get("token", `${on.skillVersion}/content`),
  };
}
