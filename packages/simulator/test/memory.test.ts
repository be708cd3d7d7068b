import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { ApiFailure, VirtualClock, type MemoryStoreHandle, type SimulatorOptions } from "@glovebox/simulator";
import { bench, tokenOf, type Answer, type Bench, type Client, type Json } from "./client.ts";

const sha = (content: string): string => createHash("sha256").update(content).digest("hex");

interface Kept extends AsyncDisposable {
  readonly setup: Bench;
  readonly store: MemoryStoreHandle;
  /** `/v1/memory_stores/{id}` */
  readonly path: string;
  readonly memories: string;
}

async function kept(memories: Readonly<Record<string, string>> = {}, options: SimulatorOptions = {}): Promise<Kept> {
  const setup = await bench(options);
  const store = setup.simulator.createMemoryStore({ name: "Notes", memories });
  const path = `/v1/memory_stores/${store.id}`;
  return { setup, store, path, memories: `${path}/memories`, [Symbol.asyncDispose]: () => setup[Symbol.asyncDispose]() };
}

/** A client with the sessions token of a new session that has the store. */
async function attached({ setup, store }: Kept, access: "read_write" | "read_only"): Promise<{ readonly token: Client; readonly sessionId: string }> {
  const session = setup.simulator.createSession({ prompt: null, memoryStores: [{ id: store.id, access }] });
  const item = (await setup.worker.get(`${setup.work}/poll`)).body;
  return { token: setup.client(tokenOf(item.secret)), sessionId: session.id };
}

const refusal = ({ status, body }: Answer): readonly unknown[] => [status, body.error.type];
const paths = (answer: Answer): readonly string[] => answer.body.data.map((item: Json) => item.path);
const idOf = async (on: Kept, path: string): Promise<string> =>
  (await on.setup.application.get(`${on.memories}?limit=100`)).body.data.find((item: Json) => item.path === path).id;

test("10: memory stores take no environment key, and not both beta headers at once", async () => {
  await using on = await kept({ "/a.md": "a" });
  const { token } = await attached(on, "read_write");
  for (const path of [on.path, on.memories, `${on.path}/memory_versions`]) {
    expect([path, ...refusal(await on.setup.worker.get(path))]).toEqual([path, 403, "permission_error"]);
    expect([path, (await on.setup.application.get(path)).status, (await token.get(path)).status]).toEqual([path, 200, 200]);
  }
  const betas = (value: string): Promise<Answer> => on.setup.application.get(on.path, { headers: { "anthropic-beta": value } });
  expect((await betas("agent-memory-2026-07-22")).status).toBe(200);
  expect((await betas("managed-agents-2026-04-01")).status).toBe(200);
  expect(refusal(await betas("managed-agents-2026-04-01,agent-memory-2026-07-22"))).toEqual([400, "invalid_request_error"]);
  expect((await betas("skills-2025-10-02")).status).toBe(404);
});

test("10: a sessions token has the stores of its session only, and no store as a whole", async () => {
  for (const foreignStatus of [403, 404] as const) {
    await using on = await kept({}, { behaviour: { foreignStatus } });
    const { token } = await attached(on, "read_write");
    const other = on.setup.simulator.createMemoryStore({ name: "Other" });
    expect((await token.get(`/v1/memory_stores/${other.id}/memories`)).status).toBe(foreignStatus);
    expect((await token.get("/v1/memory_stores/memstore_none/memories")).status).toBe(foreignStatus);
    expect((await token.get("/v1/memory_stores")).status).toBe(403);
    expect((await token.post(`${on.path}/archive`)).status).toBe(403);
  }
});

test("10: where the documentation names a credential neither allowed nor refused, a position accepts it", async () => {
  await using on = await kept({}, { behaviour: { undocumentedCredentials: "accept" } });
  const { token } = await attached(on, "read_write");
  expect((await token.post(on.path, { description: "by a token" })).status).toBe(200);
  expect((await on.setup.application.get(`${on.setup.work}/poll`)).status).toBe(200);
  expect((await on.setup.worker.get(on.path)).status).toBe(403);
});

test("11: with a read-only attachment the sessions token reads and cannot write", async () => {
  for (const [readOnlyWriteStatus, type] of [
    [403, "permission_error"],
    [400, "invalid_request_error"],
    [409, "conflict_error"],
  ] as const) {
    await using on = await kept({ "/a.md": "a" }, { behaviour: { readOnlyWriteStatus } });
    const { token } = await attached(on, "read_only");
    const memory = `${on.memories}/${await idOf(on, "/a.md")}`;
    expect((await token.get(memory)).body.content).toBe("a");
    const refused = [
      await token.post(on.memories, { path: "/b.md", content: "b" }),
      await token.post(memory, { content: "b" }),
      await token.call("DELETE", memory),
    ];
    expect(refused.map(refusal)).toEqual([
      [readOnlyWriteStatus, type],
      [readOnlyWriteStatus, type],
      [readOnlyWriteStatus, type],
    ]);
    expect(on.store.memories).toEqual({ "/a.md": "a" });
    expect((await on.setup.application.post(memory, { content: "by the application" })).status).toBe(200);
  }
});

test("42: memory stores are attached at creation, eight at most, each once, none archived", async () => {
  await using setup = await bench();
  const stores = Array.from({ length: 9 }, (_, index) => setup.simulator.createMemoryStore({ name: `Store ${index}`, description: `d${index}` }));
  const create = (resources: readonly unknown[]): Promise<Answer> =>
    setup.application.post("/v1/sessions", { agent: setup.simulator.agentId, environment_id: setup.simulator.environmentId, resources });
  const resource = (index: number, more = {}): unknown => ({ type: "memory_store", memory_store_id: stores[index]?.id, ...more });
  const created = await create([resource(0, { access: "read_only", instructions: "Read first." }), ...[1, 2, 3, 4, 5, 6, 7].map((n) => resource(n))]);
  expect(created.status).toBe(200);
  expect(created.body.resources.slice(0, 2)).toEqual([
    {
      type: "memory_store",
      memory_store_id: stores[0]?.id,
      access: "read_only",
      instructions: "Read first.",
      name: "Store 0",
      description: "d0",
      mount_path: "/mnt/memory/store-0",
    },
    expect.objectContaining({ access: "read_write", instructions: null, mount_path: "/mnt/memory/store-1" }),
  ]);
  expect((await create(stores.map((_, index) => resource(index)))).status).toBe(400);
  expect((await create([resource(0), resource(0)])).status).toBe(400);
  expect((await create([resource(0, { mount_path: "/elsewhere" })])).status).toBe(400);
  expect((await create([resource(0, { instructions: "x".repeat(4097) })])).status).toBe(400);
  expect((await create([{ type: "memory_store", memory_store_id: "memstore_none" }])).status).toBe(404);
  stores[8]?.archive();
  expect((await create([resource(8)])).status).toBe(400);
  const listed = await setup.application.get(`/v1/sessions?memory_store_id=${stores[3]?.id}`);
  expect(listed.body.data.map((each: Json) => each.id)).toEqual([created.body.id]);
  expect((await setup.application.get(`/v1/sessions?memory_store_id=${stores[8]?.id}`)).body.data).toEqual([]);
});

test("42: a mount path is the store's name in lower case with hyphens; what clashes is numbered or not", async () => {
  const expected = { number: ["/mnt/memory/team-notes-q3-", "/mnt/memory/team-notes-q3--2"], same: Array(2).fill("/mnt/memory/team-notes-q3-") };
  for (const mountPathClash of ["number", "same"] as const) {
    await using setup = await bench({ behaviour: { mountPathClash } });
    const ids = ["Team  Notes: Q3!", "team notes q3?"].map((name) => setup.simulator.createMemoryStore({ name }).id);
    const session = setup.simulator.createSession({ prompt: null, memoryStores: ids.map((id) => ({ id })) });
    const { resources } = (await setup.application.get(`/v1/sessions/${session.id}`)).body;
    expect(resources.map((each: Json) => each.mount_path)).toEqual(expected[mountPathClash]);
  }
  for (const [memoryMountRoot, path] of [
    [null, null],
    ["/srv/memory", "/srv/memory/notes"],
  ] as const) {
    await using on = await kept({}, { behaviour: { memoryMountRoot } });
    const { sessionId } = await attached(on, "read_write");
    expect((await on.setup.application.get(`/v1/sessions/${sessionId}`)).body.resources[0].mount_path).toBe(path);
  }
});

test("42: what a session shows of a store is what the store was at the session's creation", async () => {
  await using on = await kept();
  const { sessionId } = await attached(on, "read_write");
  await on.setup.application.post(on.path, { name: "Renamed", description: "new" });
  expect((await on.setup.application.get(`/v1/sessions/${sessionId}`)).body.resources[0]).toMatchObject({ name: "Notes", description: "" });
});

test("87: a list pages by 100, with contents by 20", async () => {
  await using on = await kept(Object.fromEntries(Array.from({ length: 130 }, (_, index) => [`/n${String(index).padStart(3, "0")}`, `c${index}`])));
  const pages = async (query: string): Promise<readonly Json[]> => {
    const found: Json[] = [];
    for (let page: string | null = ""; page !== null;) {
      const { body }: { body: Json } = await on.setup.application.get(`${on.memories}?${query}${page === "" ? "" : `&page=${page}`}`);
      found.push(body.data);
      page = body.next_page;
    }
    return found;
  };
  const basic = await pages("");
  expect(basic.map((page) => page.length)).toEqual([100, 30]);
  expect(basic[0][0]).toMatchObject({ type: "memory", path: "/n000", content: null, content_sha256: sha("c0"), content_size_bytes: 2 });
  const full = await pages("view=full&limit=100");
  expect(full.map((page) => page.length)).toEqual([20, 20, 20, 20, 20, 20, 10]);
  expect(full.flat().map((memory: Json) => memory.content)).toEqual(Array.from({ length: 130 }, (_, index) => `c${index}`));
  expect((await pages("limit=999")).map((page) => page.length)).toEqual([100, 30]);
});

test("87: a page does not shift when memories come and go meanwhile", async () => {
  await using on = await kept({ "/b": "", "/d": "", "/f": "" });
  const first = await on.setup.application.get(`${on.memories}?limit=2`);
  on.store.remove("/d");
  for (const path of ["/a", "/c", "/e"]) on.store.write(path, "");
  expect(paths(await on.setup.application.get(`${on.memories}?limit=2&page=${first.body.next_page}`))).toEqual(["/e", "/f"]);
});

test("87: depth 1 rolls up what is deeper, and a prefix narrows to whole segments", async () => {
  await using on = await kept({ "/notes/a.md": "", "/notes/deep/b.md": "", "/notes/deep/c.md": "", "/notes-archive/d.md": "", "/top.md": "" });
  const list = (query: string): Promise<Answer> => on.setup.application.get(`${on.memories}?${query}`);
  expect((await list("depth=1")).body.data.map((item: Json) => [item.type, item.path])).toEqual([
    ["memory_prefix", "/notes-archive/"],
    ["memory_prefix", "/notes/"],
    ["memory", "/top.md"],
  ]);
  const inside = (await list("depth=1&path_prefix=/notes/")).body.data;
  expect(inside).toEqual([expect.objectContaining({ type: "memory", path: "/notes/a.md" }), { type: "memory_prefix", path: "/notes/deep/" }]);
  expect(paths(await list("path_prefix=/notes/"))).toEqual(["/notes/a.md", "/notes/deep/b.md", "/notes/deep/c.md"]);
  expect(paths(await list("depth=1&limit=1"))).toEqual(["/notes-archive/"]);
  for (const wrong of ["depth=2", "depth=-1", "depth=x", "path_prefix=/notes", "path_prefix=notes/", "view=all", "page=x", "limit=0"])
    expect([wrong, ...refusal(await list(wrong))]).toEqual([wrong, 400, "invalid_request_error"]);
});

test("88: creating on a path that is taken, or on its way, is a path conflict that names the other memory", async () => {
  await using on = await kept({ "/notes/a.md": "a" });
  const id = await idOf(on, "/notes/a.md");
  for (const path of ["/notes/a.md", "/notes", "/notes/a.md/b"]) {
    const { status, body } = await on.setup.application.post(on.memories, { path, content: "b" });
    expect([path, status, body.error]).toEqual([
      path,
      409,
      {
        type: "memory_path_conflict_error",
        message: `The path ${path} is taken, or overlaps that of another memory.`,
        conflicting_memory_id: id,
        conflicting_path: "/notes/a.md",
      },
    ]);
  }
  const other = (await on.setup.application.post(on.memories, { path: "/Notes/A.md", content: "case counts" })).body;
  expect(refusal(await on.setup.application.post(`${on.memories}/${other.id}`, { path: "/notes" }))).toEqual([409, "memory_path_conflict_error"]);
  expect(on.store.memories).toEqual({ "/Notes/A.md": "case counts", "/notes/a.md": "a" });
});

test("88: a stale hash is refused by update and delete; what is already as wished is not", async () => {
  await using on = await kept({ "/a.md": "one" });
  const memory = `${on.memories}/${await idOf(on, "/a.md")}`;
  const update = (content: string, expected: string, more = {}): Promise<Answer> =>
    on.setup.application.post(memory, { content, precondition: { type: "content_sha256", content_sha256: expected }, ...more });
  expect(refusal(await update("two", sha("stale")))).toEqual([409, "memory_precondition_failed_error"]);
  const before = (await on.setup.application.get(memory)).body;
  expect(before.content).toBe("one");
  const same = await update("one", sha("stale"));
  expect([same.status, same.body.memory_version_id]).toEqual([200, before.memory_version_id]);
  expect(refusal(await update("one", sha("stale"), { path: "/b.md" }))).toEqual([409, "memory_precondition_failed_error"]);
  expect((await update("two", sha("one"), { path: "/b.md" })).body).toMatchObject({ id: before.id, path: "/b.md", content_sha256: sha("two") });

  const remove = (expected: string): Promise<Answer> => on.setup.application.call("DELETE", `${memory}?expected_content_sha256=${expected}`);
  expect(refusal(await remove(sha("one")))).toEqual([409, "memory_precondition_failed_error"]);
  expect(refusal(await remove("abc"))).toEqual([400, "invalid_request_error"]);
  expect((await remove(sha("two"))).body).toEqual({ id: before.id, type: "memory_deleted" });
  expect((await on.setup.application.get(memory)).status).toBe(404);
  expect((await update("three", sha("two"))).status).toBe(404);
});

test("88: the hash is that of the UTF-8 bytes as sent, and every answer shows its view", async () => {
  await using on = await kept();
  const content = "a\r\ne\u0301 😀\u0000";
  const created = (await on.setup.application.post(on.memories, { path: "/x", content })).body;
  expect(created).toMatchObject({ content: null, content_sha256: sha(content), content_size_bytes: Buffer.byteLength(content) });
  const memory = `${on.memories}/${created.id}`;
  expect((await on.setup.application.get(memory)).body.content).toBe(content);
  expect((await on.setup.application.get(`${memory}?view=basic`)).body.content).toBeNull();
  expect((await on.setup.application.post(`${memory}?view=full`, { content: "" })).body).toMatchObject({ content: "", content_size_bytes: 0 });
});

test("89: contents, paths and numbers have their limits", async () => {
  await using on = await kept();
  const create = async (path: string, content = ""): Promise<number> => (await on.setup.application.post(on.memories, { path, content })).status;
  expect(await create("/large", "é".repeat(51_200))).toBe(200);
  expect(await create("/larger", `${"é".repeat(51_200)}x`)).toBe(400);
  expect(refusal(await on.setup.application.post(on.memories, { path: "/surrogate", content: "\ud800" }))).toEqual([400, "invalid_request_error"]);
  const bad = [
    "",
    "a.md",
    "/",
    "/a/",
    "/a//b",
    "/./a",
    "/a/..",
    "/a\nb",
    "/a\u200bb",
    "/a\u2028b",
    "/e\u0301",
    `/${"a/".repeat(20)}a`,
    `/${"é".repeat(512)}`,
  ];
  for (const path of bad) expect([path, await create(path)]).toEqual([path, 400]);
  expect(await create(`/${"b/".repeat(19)}b`)).toBe(200);
  expect(await create(`/${"é".repeat(511)}`)).toBe(200);
  for (let number = 3; number < 2000; number++) on.store.write(`/many/${number}`, "");
  expect(await create("/many/one-more")).toBe(400);
  on.store.remove("/many/3");
  expect(await create("/many/one-more")).toBe(200);
});

test("89: an archived store is read, its memories can be deleted, and nothing else is written", async () => {
  for (const archivedStoreStatus of [400, 403, 409] as const) {
    await using on = await kept({ "/a.md": "a", "/b.md": "b" }, { behaviour: { archivedStoreStatus } });
    const [a, b] = [await idOf(on, "/a.md"), await idOf(on, "/b.md")];
    const { archived_at: archivedAt } = (await on.setup.application.post(`${on.path}/archive`)).body;
    expect(archivedAt).not.toBeNull();
    expect((await on.setup.application.post(`${on.path}/archive`)).body.archived_at).toBe(archivedAt);
    const refused = [
      await on.setup.application.post(on.memories, { path: "/c.md", content: "c" }),
      await on.setup.application.post(`${on.memories}/${a}`, { content: "c" }),
      await on.setup.application.post(on.path, { name: "Other" }),
    ];
    expect(refused.map((answer) => answer.status)).toEqual(Array(3).fill(archivedStoreStatus));
    expect(() => on.store.write("/c.md", "c")).toThrow(ApiFailure);
    expect((await on.setup.application.get(`${on.memories}/${a}`)).body.content).toBe("a");
    expect((await on.setup.application.call("DELETE", `${on.memories}/${b}`)).status).toBe(200);
    expect(on.store.memories).toEqual({ "/a.md": "a" });
  }
});

test("90: a create whose response was lost is a path conflict when repeated, an update is not", async () => {
  await using on = await kept({ "/a.md": "one" });
  const memory = `${on.memories}/${await idOf(on, "/a.md")}`;
  on.setup.simulator.addRequestFault({ endpoint: "memories.create", cut: "after" });
  on.setup.simulator.addRequestFault({ endpoint: "memories.update", cut: "after" });
  const create = (): Promise<Answer> => on.setup.application.post(on.memories, { path: "/b.md", content: "b" });
  const update = (): Promise<Answer> =>
    on.setup.application.post(memory, { content: "two", precondition: { type: "content_sha256", content_sha256: sha("one") } });
  await expect(create()).rejects.toThrow("fetch failed");
  expect((await create()).body.error).toMatchObject({ type: "memory_path_conflict_error", conflicting_path: "/b.md" });
  await expect(update()).rejects.toThrow("fetch failed");
  expect((await update()).body.content_sha256).toBe(sha("two"));
  expect(on.store.memories).toEqual({ "/a.md": "two", "/b.md": "b" });
  const versions = (await on.setup.application.get(`${on.path}/memory_versions`)).body.data;
  expect(versions.map((version: Json) => version.operation)).toEqual(["modified", "created", "created"]);
});

test("stores are created, listed newest first, changed and deleted", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const create = (body: unknown): Promise<Answer> => setup.application.post("/v1/memory_stores", body);
  const first = (await create({ name: "First", metadata: { team: "a" } })).body;
  expect(first).toEqual({
    id: expect.stringMatching(/^memstore_/),
    type: "memory_store",
    name: "First",
    description: "",
    metadata: { team: "a" },
    created_at: "2026-01-01T00:00:00.000000Z",
    updated_at: "2026-01-01T00:00:00.000000Z",
    archived_at: null,
  });
  await clock.advance(1_000);
  const second = (await create({ name: "First", description: "names need not differ" })).body;
  const wrong = [{}, { name: "" }, { name: "x".repeat(256) }, { name: "a\nb" }, { name: "a", description: "x".repeat(1025) }, { name: "a", more: 1 }];
  for (const body of wrong) expect([body, (await create(body)).status]).toEqual([body, 400]);
  const ids = async (query: string): Promise<readonly string[]> =>
    (await setup.application.get(`/v1/memory_stores?${query}`)).body.data.map((store: Json) => store.id);
  expect(await ids("")).toEqual([second.id, first.id]);
  expect(await ids("created_at[lte]=2026-01-01T00:00:00Z")).toEqual([first.id]);
  expect(await ids("created_at[gte]=2026-01-01T00:00:01Z")).toEqual([second.id]);

  const path = `/v1/memory_stores/${first.id}`;
  const changed = (await setup.application.post(path, { description: "new", metadata: { team: null, lead: "b" } })).body;
  expect(changed).toMatchObject({ name: "First", description: "new", metadata: { lead: "b" }, updated_at: "2026-01-01T00:00:01.000000Z" });
  expect(changed.metadata).not.toHaveProperty("team");
  await setup.application.post(`${path}/archive`);
  expect([await ids(""), await ids("include_archived=true")]).toEqual([[second.id], [second.id, first.id]]);
  expect((await setup.application.call("DELETE", path)).body).toEqual({ id: first.id, type: "memory_store_deleted" });
  expect((await setup.application.get(path)).status).toBe(404);
  expect(setup.simulator.memoryStore(first.id)).toBeUndefined();
  expect(setup.simulator.memoryStore(second.id)?.name).toBe("First");
});

test("every change is a version with its author; deletions stay, and redaction takes out what was written", async () => {
  const clock = new VirtualClock();
  await using on = await kept({}, { clock });
  const { token, sessionId } = await attached(on, "read_write");
  const memory = (await on.setup.application.post(on.memories, { path: "/a.md", content: "secret" })).body;
  await token.post(`${on.memories}/${memory.id}`, { content: "clean" });
  await token.post(`${on.memories}/${memory.id}`, { content: "clean" });
  await clock.advance(1_000);
  await token.call("DELETE", `${on.memories}/${memory.id}`);
  const versions = async (query = ""): Promise<readonly Json[]> => (await on.setup.application.get(`${on.path}/memory_versions?${query}`)).body.data;
  const [deleted, modified, created] = await versions();
  expect(deleted).toMatchObject({ operation: "deleted", path: "/a.md", content: null, content_sha256: null, content_size_bytes: null });
  expect(modified).toMatchObject({ operation: "modified", content: null, content_sha256: sha("clean"), content_size_bytes: 5 });
  expect([deleted.created_by, created.created_by]).toEqual([
    { type: "session_actor", session_id: sessionId },
    { type: "api_actor", api_key_id: expect.stringMatching(/^apikey_/) },
  ]);
  expect(created.id).toBe(memory.memory_version_id);

  const operations = async (query: string): Promise<readonly string[]> => (await versions(query)).map((version) => version.operation);
  expect(await operations("operation=modified")).toEqual(["modified"]);
  expect(await operations(`memory_id=${memory.id}`)).toEqual(["deleted", "modified", "created"]);
  expect(await operations("memory_id=mem_none")).toEqual([]);
  expect(await operations(`session_id=${sessionId}`)).toEqual(["deleted", "modified"]);
  expect(await operations(`api_key_id=${created.created_by.api_key_id}`)).toEqual(["created"]);
  expect(await operations("service_account_id=svac_1")).toEqual([]);
  expect(await operations("created_at[gte]=2026-01-01T00:00:01Z")).toEqual(["deleted"]);
  expect((await versions("view=full")).map((version) => version.content)).toEqual([null, "clean", "secret"]);

  const version = `${on.path}/memory_versions/${created.id}`;
  expect((await token.get(version)).body.content).toBe("secret");
  expect((await token.post(`${version}/redact`)).status).toBe(403);
  const redacted = (await on.setup.application.post(`${version}/redact`)).body;
  expect(redacted).toMatchObject({ path: null, content: null, content_sha256: null, content_size_bytes: null });
  expect(redacted).toMatchObject({ operation: "created", redacted_at: "2026-01-01T00:00:01.000000Z", redacted_by: created.created_by });
  expect((await on.setup.application.get(version)).body).toEqual(redacted);
  expect((await on.setup.application.post(`${version}/redact`)).body).toEqual(redacted);
  expect((await on.setup.application.get(`${on.path}/memory_versions/memver_none`)).status).toBe(404);
});
