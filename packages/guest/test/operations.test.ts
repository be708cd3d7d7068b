import type { DirectoryEntry } from "@glovebox/core";
import { expect, test } from "vitest";
import { connectGuest, type ConnectedGuest } from "../src/connect.ts";
import { FrameType } from "../src/frames.ts";
import { bytesOf, collected, exited, never, Peer, streamOf, textOf } from "./peer.ts";

const signal = never;
const stat = { type: "file", sizeBytes: 3, mode: 0o644, modifiedAt: "2026-11-24T04:00:00.123456789Z", uid: 1000, gid: 1000 };

async function connected(): Promise<{ peer: Peer; guest: ConnectedGuest }> {
  const peer = new Peer();
  const pending = connectGuest(peer.stream, { mode: "takeover" }, { signal });
  await peer.greet();
  return { peer, guest: await pending };
}

const violation = { code: "unavailable", reason: "protocol_violation" };

test("stat tells what the guest says, sizes beyond exact numbers cut", async () => {
  const { peer, guest } = await connected();
  const plain = guest.files.stat({ path: "/f", follow: false }, { signal });
  const first = await peer.nextOpen();
  expect(first.request).toEqual({ op: "file.stat", path: "/f", follow: false });
  peer.json(FrameType.result, first.stream, { ...stat, type: "symlink", target: "/etc\n/x" });
  expect(await plain).toEqual({ ...stat, type: "symlink", target: "/etc\n/x" });
  const sparse = guest.files.stat({ path: "/f", follow: true }, { signal });
  const text = bytesOf(JSON.stringify(stat).replace('"sizeBytes":3', '"sizeBytes":9223372036854775807'));
  peer.raw(0, 0, 0, 5 + text.length, FrameType.result, 0, 0, 0, (await peer.nextOpen()).stream, ...text);
  expect((await sparse).sizeBytes).toBe(Number.MAX_SAFE_INTEGER);
});

test.each([
  ["a type of its own", { type: "__proto__" }],
  ["a size below nothing", { sizeBytes: -1 }],
  ["more than permission bits", { mode: 0o100644 }],
  ["a time that is no time", { modifiedAt: "\u001b]0;x\u0007" }],
  ["a user that is no number", { uid: null }],
])("a stat with %s ends the connection", async (_name, wrong) => {
  const { peer, guest } = await connected();
  const pending = guest.files.stat({ path: "/f", follow: true }, { signal });
  peer.json(FrameType.result, (await peer.nextOpen()).stream, { ...stat, ...wrong });
  await expect(pending).rejects.toMatchObject(violation);
  expect(peer.closed).toBe(true);
});

async function listed(lines: string): Promise<readonly DirectoryEntry[]> {
  const { peer, guest } = await connected();
  const entries = Array.fromAsync(guest.files.list({ path: "/d", recursive: true }, { signal }));
  const { stream } = await peer.nextOpen();
  for (let at = 0; at < lines.length; at += 97) peer.data(stream, 1, bytesOf(lines.slice(at, at + 97)));
  peer.end(stream, 1);
  peer.json(FrameType.result, stream, {});
  return entries;
}

test("a listing comes entry by entry, odd names whole", async () => {
  const names = ["a", "b/c", "-rf", "line\nbreak", "quo'te\"", "…/ünï/.hidden", "..a", "x".repeat(300)];
  const entries = await listed(names.map((path) => `${JSON.stringify({ path, ...stat })}\n`).join(""));
  expect(entries.map(({ path }) => path)).toEqual(names);
  expect(entries[0]).toEqual({ path: "a", ...stat });
  expect(await listed("")).toEqual([]);
});

test.each(["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "a/", "a\0b"])("a listing with the path %j fails", async (path) => {
  await expect(listed(`${JSON.stringify({ path, ...stat })}\n`)).rejects.toMatchObject(violation);
});

test.each([
  ["half an entry", JSON.stringify({ path: "a", ...stat })],
  ["a line that is no JSON", "x\n"],
  ["an entry without end", "x".repeat(200_000)],
])("a listing with %s fails", async (_name, lines) => {
  await expect(listed(lines)).rejects.toMatchObject(violation);
});

test("who stops reading a listing or a file stops it inside", async () => {
  const { peer, guest } = await connected();
  const first = guest.files.list({ path: "/d", recursive: true }, { signal })[Symbol.asyncIterator]();
  const next = first.next();
  const listing = await peer.nextOpen();
  peer.data(listing.stream, 1, bytesOf(`${JSON.stringify({ path: "a", ...stat })}\n`));
  expect((await next).value).toEqual({ path: "a", ...stat });
  await first.return?.();
  expect((await peer.nextOf(FrameType.cancel)).stream).toBe(listing.stream);
  const read = guest.files.read({ path: "/f" }, { signal });
  const { stream } = await peer.nextOpen();
  peer.json(FrameType.event, stream, { event: "opened", sizeBytes: 10 });
  await (await read).content.cancel();
  expect((await peer.nextOf(FrameType.cancel)).stream).toBe(stream);
});

test("a read gives no more than was asked for", async () => {
  const { peer, guest } = await connected();
  const pending = guest.files.read({ path: "/f", offset: 5, length: 3 }, { signal });
  const { stream, request } = await peer.nextOpen();
  expect(request).toEqual({ op: "file.read", path: "/f", offset: 5, length: 3 });
  peer.json(FrameType.event, stream, { event: "opened", sizeBytes: 10 });
  const { content, sizeBytes } = await pending;
  expect(sizeBytes).toBe(10);
  const taken = collected(content);
  peer.data(stream, 1, bytesOf("abcd"));
  await expect(taken).rejects.toMatchObject({ code: "unavailable" });
  expect(peer.closed).toBe(true);
});

const writing = { path: "/f", mode: 0o644, createParents: true, parentMode: 0o755, exclusive: false };

test("a write that fails on the way stops asking for content; content that fails stops the write", async () => {
  const { peer, guest } = await connected();
  let stopped: unknown;
  const endless = new ReadableStream<Uint8Array>({
    pull: (controller) => controller.enqueue(new Uint8Array(100_000)),
    cancel: (reason) => void (stopped = reason),
  });
  const full = guest.files.write(writing, endless, { signal });
  peer.json(FrameType.error, (await peer.nextOpen()).stream, {
    code: "resource_exhausted",
    message: "/f: disk full",
    effect: "none",
    reason: "ENOSPC",
  });
  await expect(full).rejects.toMatchObject({ code: "resource_exhausted", reason: "ENOSPC" });
  expect(stopped).toMatchObject({ code: "resource_exhausted" });
  const broken = new Error("source broke");
  let count = 0;
  const failing = new ReadableStream<Uint8Array>({
    pull: (controller) => (count++ < 11 ? controller.enqueue(new Uint8Array(100_000)) : controller.error(broken)),
  });
  const cut = guest.files.write(writing, failing, { signal });
  const { stream } = await peer.nextOpen();
  peer.window(stream, 0, 2_000_000);
  expect((await peer.nextOf(FrameType.cancel)).stream).toBe(stream);
  await expect(cut).rejects.toBe(broken);
  peer.json(FrameType.error, stream, { code: "aborted", message: "cancelled", effect: "none" });
  expect(guest.openStreams).toBe(0);
});

test("a write whose loss came before its end did nothing; after it, that is unknown", async () => {
  const before = await connected();
  const early = before.guest.files.write(writing, streamOf(new Uint8Array(2_000_000)), { signal });
  await before.peer.nextOpen();
  before.peer.cut();
  await expect(early).rejects.toMatchObject({ code: "unavailable", effect: "none", reason: "disconnected" });
  const after = await connected();
  const late = after.guest.files.write(writing, streamOf(bytesOf("x")), { signal });
  await after.peer.nextOf(FrameType.end);
  after.peer.cut();
  await expect(late).rejects.toMatchObject({ code: "unavailable", effect: "unknown", reason: "disconnected" });
});

test("a guest that claims to have written something else, or too early, is not believed", async () => {
  const { peer, guest } = await connected();
  const pending = guest.files.write(writing, streamOf(bytesOf("abc")), { signal });
  peer.json(FrameType.result, (await peer.nextOpen()).stream, { sizeBytes: 4 });
  await expect(pending).rejects.toMatchObject(violation);
  const second = await connected();
  const early = second.guest.files.write(writing, streamOf(new Uint8Array(2_000_000)), { signal });
  second.peer.json(FrameType.result, (await second.peer.nextOpen()).stream, { sizeBytes: 2_000_000 });
  await expect(early).rejects.toMatchObject(violation);
});

test("text operations parse their answers and hold them to the request", async () => {
  const { peer, guest } = await connected();
  const lines = guest.text.readLines({ path: "/f", start: 2, maxBytes: 10 }, { signal });
  const first = await peer.nextOpen();
  peer.data(first.stream, 1, bytesOf("b\r\n"));
  peer.json(FrameType.result, first.stream, { sizeBytes: 9 });
  expect(await lines).toEqual({ content: bytesOf("b\r\n"), sizeBytes: 9 });
  const glob = guest.text.glob({ path: "/d", pattern: "**", maxResults: 2, maxEntries: 9 }, { signal });
  const second = await peer.nextOpen();
  peer.data(second.stream, 1, bytesOf('"/d/new\\nline"\n"/d/ü"\n'));
  peer.json(FrameType.result, second.stream, { cut: true });
  expect(await glob).toEqual({ paths: ["/d/new\nline", "/d/ü"], cut: true });
  const grep = guest.text.grep({ path: "/d", pattern: "x", maxBytes: 3, timeoutMs: 5 }, { signal });
  const third = await peer.nextOpen();
  peer.data(third.stream, 1, bytesOf("a:1"));
  peer.json(FrameType.result, third.stream, { matched: true, cut: true, engine: "ripgrep" });
  expect(await grep).toEqual({ output: bytesOf("a:1"), matched: true, cut: true, engine: "ripgrep" });
  const edit = guest.text.edit({ path: "/f", oldString: "a", newString: "b", replaceAll: false, maxBytes: 9 }, { signal });
  peer.json(FrameType.result, (await peer.nextOpen()).stream, { occurrences: 2, edited: false });
  expect(await edit).toEqual({ occurrences: 2, edited: false });
  const flood = guest.text.grep({ path: "/d", pattern: "x", maxBytes: 3, timeoutMs: 5 }, { signal });
  peer.data((await peer.nextOpen()).stream, 1, bytesOf("abcd"));
  await expect(flood).rejects.toMatchObject(violation);
});

test.each([
  ["relative", '"d/x"\n'],
  ["no text", "7\n"],
  ["too many", '"/a"\n"/b"\n"/c"\n'],
  ["cut", '"/a"'],
])("paths from a glob that are %s end the connection", async (_name, output) => {
  const { peer, guest } = await connected();
  const pending = guest.text.glob({ path: "/d", pattern: "**", maxResults: 2, maxEntries: 9 }, { signal });
  const { stream } = await peer.nextOpen();
  peer.data(stream, 1, bytesOf(output));
  peer.json(FrameType.result, stream, { cut: false });
  await expect(pending).rejects.toMatchObject(violation);
});

test("what cannot be asked is refused before anything is sent", async () => {
  const { peer, guest } = await connected();
  const base = { argv: ["x"], cwd: "/", env: {}, stdin: "null" } as const;
  const writes = peer.writes;
  const refused = { code: "invalid_argument", effect: "none" };
  await expect(guest.spawn(base, { signal, call: { id: "c" } })).rejects.toMatchObject(refused);
  await expect(guest.spawn({ ...base, pty: { columns: 1, rows: 1 } }, { signal })).rejects.toMatchObject({ code: "unsupported", effect: "none" });
  await expect(guest.spawn({ ...base, argv: ["\ud800"] }, { signal })).rejects.toMatchObject(refused);
  await expect(guest.shell.run({ shell: "a", command: "\udc00", cwd: "/", env: {} }, { signal })).rejects.toMatchObject(refused);
  await expect(guest.text.edit({ path: "/", oldString: "\ud800", newString: "", replaceAll: false, maxBytes: 1 }, { signal })).rejects.toMatchObject(
    refused,
  );
  await expect(guest.files.write(writing, streamOf("text" as never), { signal })).rejects.toMatchObject(refused);
  expect([peer.writes, guest.openStreams]).toEqual([writes, 0]);
});

test("signals go by name to a program that runs; to one that ended they are nothing", async () => {
  const { peer, guest } = await connected();
  const pending = guest.spawn({ argv: ["x"], cwd: "/", env: {}, stdin: "pipe" }, { signal });
  const { stream } = await peer.nextOpen();
  peer.json(FrameType.event, stream, { event: "started", pid: 1 });
  const program = await pending;
  await expect(program.signal("TERM", { signal })).rejects.toMatchObject({ code: "invalid_argument" });
  await program.signal("SIGTERM", { signal });
  expect(textOf((await peer.nextOf(FrameType.control)).payload)).toBe('{"control":"signal","name":"SIGTERM"}');
  const writer = program.stdin?.getWriter();
  await writer?.write(bytesOf("in"));
  await writer?.close();
  expect([textOf((await peer.next()).payload), (await peer.next()).type]).toEqual(["in", FrameType.end]);
  peer.json(FrameType.result, stream, { ...exited, code: null, signal: "SIGTERM" });
  expect(await program.exit).toEqual({ ...exited, code: null, signal: "SIGTERM" });
  await program.signal("SIGKILL", { signal });
  expect(peer.frames.filter(({ type }) => type === FrameType.control)).toHaveLength(1);
});

test("a program that cannot start is an error of spawn, and writing to one that ended is refused", async () => {
  const { peer, guest } = await connected();
  const absent = guest.spawn({ argv: ["absent"], cwd: "/", env: {}, stdin: "null" }, { signal });
  peer.json(FrameType.error, (await peer.nextOpen()).stream, {
    code: "not_found",
    message: "absent: no such program",
    effect: "none",
    reason: "ENOENT",
  });
  await expect(absent).rejects.toMatchObject({ code: "not_found", reason: "ENOENT" });
  const pending = guest.spawn({ argv: ["x"], cwd: "/", env: {}, stdin: "pipe" }, { signal });
  peer.json(FrameType.result, (await peer.nextOpen()).stream, exited);
  const writer = (await pending).stdin?.getWriter();
  await expect(writer?.write(bytesOf("x"))).rejects.toMatchObject({ code: "failed_precondition" });
});
