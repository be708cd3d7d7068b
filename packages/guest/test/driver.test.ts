import { type Capabilities, SandboxError, type SandboxDriver } from "@glovebox/core";
import { afterEach, expect, test, vi } from "vitest";
import { guestDriver, type GuestDriverOptions } from "../src/driver.ts";
import { FrameType } from "../src/frames.ts";
import { bytesOf, collected, exited, never, Peer, streamOf, textOf } from "./peer.ts";

const signal = never;
const ref = { provider: "test", id: "a", proof: "00" };
const capabilities = { shell: { support: "native", keeps: "state" }, text: "native", calls: { survives: "restart" } } as unknown as Capabilities;
const run = { shell: "main", command: "make", cwd: "/", env: {}, output: { maxBytes: 1_000, keep: "head" } } as const;
const key = { id: "call-1" };

interface Rig {
  readonly driver: SandboxDriver;
  readonly first: Peer;
  /** The peer of the next connection, once the driver asks for one. */
  readonly nextPeer: () => Promise<Peer>;
  readonly happened: string[];
}

async function rig(options: Partial<GuestDriverOptions> = {}): Promise<Rig> {
  const asked: Peer[] = [];
  const waiting: ((peer: Peer) => void)[] = [];
  const happened: string[] = [];
  const connect = async (): Promise<Peer["stream"]> => {
    const peer = new Peer();
    const taker = waiting.shift();
    if (taker === undefined) asked.push(peer);
    else taker(peer);
    return peer.stream;
  };
  const nextPeer = async (): Promise<Peer> => asked.shift() ?? new Promise((resolve) => waiting.push(resolve));
  const pending = guestDriver(
    {
      ref,
      workdir: "/workspace",
      capabilities,
      mode: "takeover",
      connect,
      destroy: async () => void happened.push("destroy"),
      release: async () => void happened.push("release"),
      ...options,
    },
    { signal },
  );
  const first = await nextPeer();
  await first.greet();
  return { driver: await pending, first, nextPeer, happened };
}

const elapsed = (driver: SandboxDriver): Promise<"lost" | "alive"> =>
  Promise.race([driver.lost.then(() => "lost" as const), new Promise<"alive">((resolve) => setImmediate(() => resolve("alive")))]);

afterEach(() => {
  vi.useRealTimers();
});

test("facets are there exactly where the capabilities say so", async () => {
  const { driver } = await rig();
  expect([driver.shell, driver.text, driver.calls].map((facet) => facet !== undefined)).toEqual([true, true, true]);
  expect([driver.calls?.generation, driver.workdir, driver.ref]).toEqual([7, "/workspace", ref]);
  const pausing = { pause: async () => undefined, resume: async () => undefined };
  const bare = (await rig({ capabilities: { shell: false, text: "emulated", calls: false } as unknown as Capabilities, pausing })).driver;
  expect([bare.shell, bare.text, bare.calls, bare.pausing]).toEqual([undefined, undefined, undefined, pausing]);
});

test("a call with a key is asked for again after a loss, and what it had shown is not shown twice", async () => {
  const { driver, first, nextPeer } = await rig();
  const pending = driver.shell?.run(run, { signal, call: key });
  const { stream } = await first.nextOpen();
  first.json(FrameType.event, stream, { event: "started", pid: 1 });
  const program = await pending;
  first.data(stream, 1, bytesOf("abc"));
  const read = program?.stdout.getReader();
  expect(textOf((await read?.read())?.value ?? new Uint8Array())).toBe("abc");
  first.cut();
  const second = await nextPeer();
  expect(await second.greet()).toEqual({ protocol: 1, mode: "resume", generation: 7 });
  const again = await second.nextOpen();
  expect(again.request).toEqual({ op: "shell.run", shell: "main", commandBytes: 4, cwd: "/", env: {}, output: run.output, call: "call-1" });
  expect(textOf((await second.nextOf(FrameType.data)).payload)).toBe("make");
  second.data(again.stream, 1, bytesOf("ab"));
  second.data(again.stream, 1, bytesOf("cdef"));
  second.end(again.stream, 1);
  second.json(FrameType.result, again.stream, { ...exited, replayed: true, shellKept: true });
  expect(textOf((await read?.read())?.value ?? new Uint8Array())).toBe("def");
  expect((await read?.read())?.done).toBe(true);
  expect(await program?.exit).toEqual({ ...exited, replayed: true, shellKept: true });
});

test("a keyed write and edit are asked for again with all of their input", async () => {
  const { driver, first, nextPeer } = await rig();
  const writing = { path: "/f", mode: 0o644, createParents: true, parentMode: 0o755, exclusive: false };
  const written = driver.files.write(writing, streamOf(bytesOf("ab"), bytesOf("c")), { signal, call: key });
  await first.nextOf(FrameType.end);
  first.cut();
  const second = await nextPeer();
  await second.greet();
  const { stream, request } = await second.nextOpen();
  expect(request).toMatchObject({ op: "file.write", call: "call-1" });
  expect([textOf((await second.next()).payload), textOf((await second.next()).payload), (await second.next()).type]).toEqual([
    "ab",
    "c",
    FrameType.end,
  ]);
  second.json(FrameType.result, stream, { sizeBytes: 3, replayed: true });
  expect(await written).toEqual({ sizeBytes: 3 });
});

test("without a key what ran is lost with its connection: effect unknown, none for what only looks; the driver goes on", async () => {
  const { driver, first, nextPeer } = await rig();
  const spawned = driver.spawn({ argv: ["x"], cwd: "/", env: {}, stdin: "null" }, { signal });
  const { stream } = await first.nextOpen();
  first.json(FrameType.event, stream, { event: "started", pid: 1 });
  const program = await spawned;
  const running = [driver.shell?.run(run, { signal }), driver.files.mkdir({ path: "/d", mode: 0o755, createParents: false }, { signal })];
  const looking = [driver.files.stat({ path: "/", follow: true }, { signal }), driver.calls?.status(key, { signal })];
  await first.nextOpen();
  first.cut();
  const second = await nextPeer();
  const waiting = driver.files.stat({ path: "/later", follow: true }, { signal });
  await second.greet();
  for (const call of running) await expect(call).rejects.toMatchObject({ code: "unavailable", effect: "unknown", reason: "disconnected" });
  for (const call of looking) await expect(call).rejects.toMatchObject({ code: "unavailable", effect: "none", reason: "disconnected" });
  await expect(program.exit).rejects.toMatchObject({ code: "unavailable", effect: "unknown", reason: "disconnected" });
  await expect(collected(program.stdout)).rejects.toMatchObject({ code: "unavailable" });
  const later = await second.nextOpen();
  expect(later.request).toMatchObject({ path: "/later" });
  second.json(FrameType.error, later.stream, { code: "not_found", message: "/later: no such file", effect: "none", reason: "ENOENT" });
  await expect(waiting).rejects.toMatchObject({ code: "not_found" });
  expect(await elapsed(driver)).toBe("alive");
});

test("what was begun here and then fenced may have happened; what was fenced at once did not", async () => {
  const { driver, first, nextPeer } = await rig();
  const pending = driver.files.mkdir({ path: "/d", mode: 0o755, createParents: false }, { signal, call: key });
  await first.nextOpen();
  first.cut();
  const second = await nextPeer();
  await second.greet({ generation: 8, fenced: true });
  const fenced = { code: "aborted", message: "another worker took over", effect: "none", reason: "fenced" };
  second.json(FrameType.error, (await second.nextOpen()).stream, fenced);
  await expect(pending).rejects.toMatchObject({ code: "aborted", effect: "unknown", reason: "fenced" });
  const fresh = driver.files.mkdir({ path: "/e", mode: 0o755, createParents: false }, { signal, call: { id: "call-2" } });
  second.json(FrameType.error, (await second.nextOpen()).stream, fenced);
  await expect(fresh).rejects.toMatchObject({ code: "aborted", effect: "none", reason: "fenced" });
  second.cut();
  const third = await nextPeer();
  expect(await third.greet({ generation: 8, fenced: true })).toEqual({ protocol: 1, mode: "resume", generation: 7 });
});

test("a guest that was started anew is another one: the driver is lost, and a keyed call in the air is unknown", async () => {
  const { driver, first, nextPeer, happened } = await rig();
  const pending = driver.shell?.run(run, { signal, call: key });
  await first.nextOpen();
  first.cut();
  const second = await nextPeer();
  await second.greet({ boot: "boot-2" });
  await expect(driver.lost).resolves.toMatchObject({ code: "unavailable", reason: "restarted" });
  await expect(pending).rejects.toMatchObject({ code: "unavailable", effect: "unknown" });
  await expect(driver.files.stat({ path: "/", follow: true }, { signal })).rejects.toMatchObject({
    code: "unavailable",
    effect: "none",
    reason: "restarted",
  });
  expect(second.closed).toBe(true);
  expect(second.frames.some(({ type }) => type === FrameType.open)).toBe(false);
  expect(happened).toEqual(["release"]);
});

test("what the adapter knows of the sandbox's end is what lost tells", async () => {
  const killed = new SandboxError("not_found", "container was killed (exit 137)", { effect: "unknown" });
  const diagnoses = [undefined, killed];
  const { driver, first, nextPeer } = await rig({ diagnose: async () => diagnoses.shift() });
  first.cut();
  (await nextPeer()).cut(); // the engine had not noticed yet
  await expect(driver.lost).resolves.toBe(killed);
  await expect(driver.files.stat({ path: "/", follow: true }, { signal })).rejects.toMatchObject({
    code: "unavailable",
    effect: "none",
    cause: killed,
  });
});

test("a guest that breaks the protocol is not asked again", async () => {
  const { driver, first } = await rig();
  first.raw(0, 0, 0, 0);
  first.raw(0, 0, 0, 0, 0);
  await expect(driver.lost).resolves.toMatchObject({ code: "unavailable", reason: "protocol_violation" });
});

test("a guest that takes every connection and drops it is given up after the time for that", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
  const first = new Peer();
  let connections = 0;
  const connect = async (): Promise<Peer["stream"]> => {
    const peer = connections++ === 0 ? first : new Peer();
    void peer.greet().then(() => connections > 1 && peer.cut());
    return peer.stream;
  };
  const driver = await guestDriver(
    { ref, workdir: "/", capabilities, mode: "takeover", connect, destroy: async () => undefined, reconnectMs: 3_000 },
    { signal },
  );
  first.cut();
  for (let step = 0; step < 100; step++) await vi.advanceTimersByTimeAsync(100);
  await expect(driver.lost).resolves.toMatchObject({ code: "unavailable", reason: "disconnected" });
  expect(connections).toBe(9); // after 0, 20, 60, 140, 300, 620, 1260 and 2260 ms
});

test("close keeps the sandbox, destroy does not; both end what runs, twice is once, and lost stays silent", async () => {
  const { driver, first, happened } = await rig();
  const running = driver.files.stat({ path: "/", follow: true }, { signal });
  await first.nextOpen();
  await driver.close({ signal });
  await driver.close({ signal });
  expect([first.closed, happened]).toEqual([true, ["release"]]);
  await expect(running).rejects.toMatchObject({ code: "unavailable", effect: "none" });
  await expect(driver.files.stat({ path: "/", follow: true }, { signal })).rejects.toMatchObject({ code: "failed_precondition", effect: "none" });
  expect(await elapsed(driver)).toBe("alive");
  await driver.destroy({ signal });
  expect(happened).toEqual(["release", "destroy"]);
});

test("an abort while reconnecting is thrown at once", async () => {
  const { driver, first, nextPeer } = await rig();
  const [controller, reason] = [new AbortController(), new Error("enough")];
  const keyed = driver.shell?.run(run, { signal: controller.signal, call: key });
  await first.nextOpen();
  first.cut();
  await nextPeer();
  const fresh = driver.files.stat({ path: "/", follow: true }, { signal: controller.signal });
  controller.abort(reason);
  await expect(keyed).rejects.toBe(reason);
  await expect(fresh).rejects.toBe(reason);
});

test("a driver that cannot be made leaves nothing open", async () => {
  const peer = new Peer();
  const options = { ref, workdir: "/", capabilities, mode: "takeover", connect: async () => peer.stream, destroy: async () => undefined } as const;
  const pending = guestDriver(options, { signal });
  await peer.nextOf(FrameType.hello);
  peer.json(FrameType.goaway, 0, { reason: "secret" });
  await expect(pending).rejects.toMatchObject({ code: "unauthenticated" });
  expect(peer.closed).toBe(true);
});
