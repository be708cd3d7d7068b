import { existsSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import type { Brain, MemoryStoreHandle, Simulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { bash, endpointsOf, runOfficial, stopped } from "./official.ts";

/** Who changed what in a store, oldest first. */
async function historyOf(simulator: Simulator, store: MemoryStoreHandle): Promise<readonly string[]> {
  const client = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const versions = await Array.fromAsync(client.beta.memoryStores.memoryVersions.list(store.id));
  return versions.toReversed().map(({ operation, path, created_by: by }) => `${operation} ${path} by ${by?.type ?? "the test"}`);
}

test("87: a store is mounted whole, page by page, with the item's token, before the first call", async () => {
  await using running = await runOfficial();
  const { simulator, mountRoot } = running;
  const memories = Object.fromEntries(Array.from({ length: 45 }, (_, index) => [`/notes/${index}.md`, `note ${index}\n`]));
  const store = simulator.createMemoryStore({ name: "Team Notes", memories: { ...memories, "/top.md": "top" } });
  const session = simulator.createSession({
    memoryStores: [{ id: store.id }],
    script: {
      turns: [
        { calls: [{ ...bash(`cd ${mountRoot}/team-notes && ls notes | wc -l && cat notes/44.md top.md`), expect: { equals: "45\nnote 44\ntop" } }] },
        { calls: [{ name: "read", input: { file_path: `${mountRoot}/team-notes/top.md` }, expect: { equals: "top" } }] },
      ],
    },
  });
  expect((await session.finished).failures).toEqual([]);
  await stopped(simulator, session);
  const lists = simulator.requests.filter((request) => request.endpoint === "memories.list");
  expect(lists.slice(0, 3).map(({ query, credential }) => [query["view"], query["limit"], credential])).toEqual(
    Array.from({ length: 3 }, () => ["full", "20", "sessions_token"]),
  );
  expect(endpointsOf(simulator).indexOf("events.stream")).toBeGreaterThan(endpointsOf(simulator).lastIndexOf("memories.list", 5));
  expect(existsSync(`${mountRoot}/team-notes`)).toBe(false);
  expect(Object.keys(store.memories)).toHaveLength(46);
  await running.expectClean();
});

test("88: what a session wrote, changed and deleted is in the store after its clean end, with the session as its author", async () => {
  await using running = await runOfficial();
  const { simulator, mountRoot } = running;
  const store = simulator.createMemoryStore({ name: "Notes", memories: { "/kept.md": "kept", "/changed.md": "old", "/deleted.md": "old" } });
  const root = `${mountRoot}/notes`;
  const session = simulator.createSession({
    memoryStores: [{ id: store.id, instructions: "Keep notes." }],
    script: {
      turns: [
        { calls: [bash(`echo new > ${root}/changed.md; mkdir ${root}/deep; echo made > ${root}/deep/new.md; rm ${root}/deleted.md`)] },
        { calls: [{ name: "write", input: { file_path: `${root}/written.md`, content: "by the tool" }, expect: { isError: false } }] },
      ],
    },
  });
  expect((await session.finished).failures).toEqual([]);
  await stopped(simulator, session);
  expect(store.memories).toEqual({ "/changed.md": "new\n", "/deep/new.md": "made\n", "/kept.md": "kept", "/written.md": "by the tool" });
  expect((await historyOf(simulator, store)).slice(3).toSorted()).toEqual([
    "created /deep/new.md by session_actor",
    "created /written.md by session_actor",
    "deleted /deleted.md by session_actor",
    "modified /changed.md by session_actor",
  ]);
  await running.expectClean();
});

test("11: a read-only store is read, its files are refused to the tools, and what bash does to them stays here", async () => {
  await using running = await runOfficial();
  const { simulator, mountRoot } = running;
  const store = simulator.createMemoryStore({ name: "Policy", memories: { "/rules.md": "rules", "/old.md": "old" } });
  const file = `${mountRoot}/policy/rules.md`;
  const session = simulator.createSession({
    memoryStores: [{ id: store.id, access: "read_only" }],
    script: {
      turns: [
        { calls: [{ ...bash(`cat ${file}`), expect: { equals: "rules" } }] },
        {
          calls: [
            { name: "write", input: { file_path: file, content: "mine" }, expect: { isError: true, contains: "is inside read-only directory" } },
          ],
        },
        { calls: [{ name: "edit", input: { file_path: file, old_string: "rules", new_string: "mine" }, expect: { isError: true } }] },
        { calls: [bash(`echo mine > ${file}; echo new > ${mountRoot}/policy/new.md; rm ${mountRoot}/policy/old.md`)] },
      ],
    },
  });
  expect((await session.finished).failures).toEqual([]);
  await stopped(simulator, session);
  expect(store.memories).toEqual({ "/old.md": "old", "/rules.md": "rules" });
  expect(endpointsOf(simulator).filter((name) => name.startsWith("memories.") && name !== "memories.list" && name !== "memories.retrieve")).toEqual(
    [],
  );
  await running.expectClean();
});

test("88: when both sides changed the store's side wins; one-sided changes and deletions go to the other side", async () => {
  await using running = await runOfficial();
  const { simulator, mountRoot } = running;
  const paths = ["both", "same", "local", "remote", "gone-here", "gone-there", "gone-here-changed-there", "gone-there-changed-here", "untouched"];
  const store = simulator.createMemoryStore({ name: "Notes", memories: Object.fromEntries(paths.map((path) => [`/${path}`, "old"])) });
  const root = `${mountRoot}/notes`;
  const brain: Brain = async function* () {
    const set = (content: string, ...files: readonly string[]): string => files.map((file) => `printf ${content} > ${root}/${file}`).join("; ");
    yield {
      calls: [
        bash(
          `${set("here", "both", "local", "gone-there-changed-here")}; ${set("equal", "same")}; rm ${root}/gone-here ${root}/gone-here-changed-there`,
        ),
      ],
    };
    for (const path of ["/both", "/remote", "/gone-here-changed-there", "/new"]) store.write(path, "there");
    store.write("/same", "equal");
    for (const path of ["/gone-there", "/gone-there-changed-here"]) store.remove(path);
  };
  const session = simulator.createSession({ brain, memoryStores: [{ id: store.id }] });
  await stopped(simulator, session);
  expect(store.memories).toEqual({
    "/both": "there",
    "/gone-here-changed-there": "there",
    "/gone-there-changed-here": "here",
    "/local": "here",
    "/new": "there",
    "/remote": "there",
    "/same": "equal",
    "/untouched": "old",
  });
  expect(simulator.requests.filter((request) => request.status === 409)).toEqual([]);
  await running.expectClean();
});

test("88, 89: what the store refuses is tried once, and the rest goes through", async () => {
  await using running = await runOfficial();
  const { simulator, mountRoot } = running;
  const store = simulator.createMemoryStore({ name: "Notes" });
  const root = `${mountRoot}/notes`;
  const brain: Brain = async function* () {
    yield {
      calls: [
        bash(`head -c 102401 /dev/zero | tr '\\0' x > ${root}/large; mkdir ${root}/taken; echo a > ${root}/taken/deep; echo fine > ${root}/fine`),
      ],
    };
    store.write("/taken", "a memory where the session has a directory");
  };
  const session = simulator.createSession({ brain, memoryStores: [{ id: store.id }] });
  await stopped(simulator, session);
  expect(store.memories).toEqual({ "/fine": "fine\n", "/taken": "a memory where the session has a directory" });
  expect(simulator.requests.filter((request) => request.endpoint === "memories.create" && request.status === 400)).toHaveLength(1);
  expect(running.logs.join("\n")).toContain("stays un-synced");
});

test("89: a store that is archived in mid-session takes no more, and the session ends as ever", async () => {
  await using running = await runOfficial();
  const { simulator, mountRoot } = running;
  const store = simulator.createMemoryStore({ name: "Notes", memories: { "/a.md": "old" } });
  const brain: Brain = async function* () {
    yield { calls: [bash(`echo new > ${mountRoot}/notes/a.md`)] };
    store.archive();
  };
  const session = simulator.createSession({ brain, memoryStores: [{ id: store.id }] });
  await stopped(simulator, session);
  expect(store.memories).toEqual({ "/a.md": "old" });
  await running.expectClean();
});

test("90: an upload whose response is lost is in the store once", async () => {
  await using running = await runOfficial();
  const { simulator, mountRoot } = running;
  const store = simulator.createMemoryStore({ name: "Notes", memories: { "/changed.md": "old" } });
  const created = simulator.addRequestFault({ endpoint: "memories.create", cut: "after" });
  const updated = simulator.addRequestFault({ endpoint: "memories.update", cut: "after" });
  const session = simulator.createSession({
    memoryStores: [{ id: store.id }],
    script: { turns: [{ calls: [bash(`echo new > ${mountRoot}/notes/changed.md; echo made > ${mountRoot}/notes/made.md`)] }] },
  });
  await stopped(simulator, session);
  expect([created.struck, updated.struck]).toEqual([1, 1]);
  expect(store.memories).toEqual({ "/changed.md": "new\n", "/made.md": "made\n" });
  expect((await historyOf(simulator, store)).slice(1).toSorted()).toEqual([
    "created /made.md by session_actor",
    "modified /changed.md by session_actor",
  ]);
});

test("12.3: within a session, changes travel after a call once the interval is over", async () => {
  await using running = await runOfficial({ memorySyncIntervalMs: 5_000 });
  const { simulator, mountRoot } = running;
  const store = simulator.createMemoryStore({ name: "Notes", memories: { "/a.md": "old", "/gone.md": "old" } });
  const root = `${mountRoot}/notes`;
  const seen: Readonly<Record<string, string>>[] = [];
  const brain: Brain = async function* () {
    yield { calls: [bash(`echo made > ${root}/made.md`)] };
    store.write("/a.md", "from elsewhere");
    store.remove("/gone.md");
    yield { pauseMs: 5_100, calls: [bash("echo this call is followed by a sync")] };
    await simulator.waitForRequest((request) => request.endpoint === "memories.retrieve");
    yield { pauseMs: 100, calls: [{ ...bash(`ls ${root}; cat ${root}/a.md`), expect: { equals: "a.md\nmade.md\nfrom elsewhere" } }] };
    seen.push(store.memories);
  };
  const session = simulator.createSession({ brain, memoryStores: [{ id: store.id }] });
  expect((await session.finished).failures).toEqual([]);
  expect(seen).toEqual([{ "/a.md": "from elsewhere", "/made.md": "made\n" }]);
  await stopped(simulator, session);
  await running.expectClean();
});

test("12.4: an item that is stopped from outside still uploads what was written, and deletes nothing", async () => {
  await using running = await runOfficial({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator, mountRoot } = running;
  const store = simulator.createMemoryStore({ name: "Notes", memories: { "/deleted.md": "old" } });
  const session = simulator.createSession({
    memoryStores: [{ id: store.id }],
    script: { turns: [{ calls: [bash(`echo made > ${mountRoot}/notes/made.md; rm ${mountRoot}/notes/deleted.md`)] }] },
  });
  await session.finished;
  const application = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  await application.beta.environments.work.stop(session.work[0]?.id ?? "", { environment_id: simulator.environmentId });
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.credential === "sessions_token");
  expect(store.memories).toEqual({ "/deleted.md": "old", "/made.md": "made\n" });
  await running.expectClean();
});

test("15.5: a store that cannot be mounted fails the item and posts nothing; an interrupt queues it again", async () => {
  await using running = await runOfficial();
  const { simulator, mountRoot } = running;
  await mkdir(join(mountRoot, "notes"), { recursive: true });
  const store = simulator.createMemoryStore({ name: "Notes" });
  const session = simulator.createSession({ memoryStores: [{ id: store.id }], script: { turns: [{ calls: [bash("echo never")] }] } });
  await stopped(simulator, session);
  expect([session.status, session.events.at(-1)?.["stop_reason"]]).toMatchObject(["idle", { type: "requires_action" }]);
  expect(endpointsOf(simulator)).not.toContain("events.stream");
  await expect.poll(() => running.logs.join("\n")).toContain("something already exists at the memory store's path");
  session.interrupt();
  expect(session.work.map((item) => item.state)).toEqual(["stopped", "queued"]);
  await running.expectClean();
});

test("6: without a token in its secret an item with a memory store fails before anything is mounted", async () => {
  for (const workSecret of ["absent", "no_token"] as const) {
    await using running = await runOfficial({ simulator: { behaviour: { workSecret } } });
    const { simulator } = running;
    const store = simulator.createMemoryStore({ name: "Notes" });
    const session = simulator.createSession({ memoryStores: [{ id: store.id }], script: { turns: [{ calls: [bash("echo never")] }] } });
    await stopped(simulator, session);
    expect(endpointsOf(simulator)).toEqual(["work.ack", "sessions.retrieve", "work.stop"]);
    expect(session.report().calls).toMatchObject([{ outcome: "open" }]);
    await expect.poll(() => running.logs.join("\n")).toContain("carried no sessions token");
  }
});
