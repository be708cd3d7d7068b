import { afterAll, beforeAll, expect, test } from "vitest";
import type { ConnectedGuest } from "../src/connect.ts";
import { LiveGuest } from "./live-guest.ts";
import { bytesOf, collected, never, streamOf, textOf } from "./peer.ts";

const signal = never;
const options = { signal };
const writing = { mode: 0o644, createParents: true, parentMode: 0o755, exclusive: false };
let live: LiveGuest;
let guest: ConnectedGuest;

beforeAll(async () => {
  live = await LiveGuest.start();
  guest = await live.connect();
});

afterAll(async () => {
  guest[Symbol.dispose]();
  await live[Symbol.asyncDispose]();
});

const write = (path: string, text: string, more: object = {}) => guest.files.write({ path, ...writing, ...more }, streamOf(bytesOf(text)), options);
const read = async (path: string, more: object = {}): Promise<string> =>
  textOf(await collected((await guest.files.read({ path, ...more }, options)).content));

const names = [
  "plain",
  "with space",
  "-rf",
  "--",
  ".hidden",
  "quo'te\"`$(id)",
  "new\nline",
  "ünïcödé-😀",
  "\u001b[2J",
  "*?[a]",
  "x".repeat(255),
  "back\\slash",
  "...",
];

test.each(names)("a file named %j is written, read, stated, listed, renamed, removed", async (name) => {
  const directory = `/workspace/names/${names.indexOf(name)}`;
  const path = `${directory}/${name}`;
  expect(await write(path, "content")).toEqual({ sizeBytes: 7 });
  expect(await read(path)).toBe("content");
  expect(await guest.files.stat({ path, follow: true }, options)).toMatchObject({ type: "file", sizeBytes: 7, mode: 0o644, uid: 1000, gid: 1000 });
  expect((await Array.fromAsync(guest.files.list({ path: directory, recursive: true }, options))).map((entry) => entry.path)).toEqual([name]);
  await guest.files.rename({ path, to: `${directory}/renamed` }, options);
  expect(await read(`${directory}/renamed`)).toBe("content");
  await guest.files.remove({ path: directory, recursive: true, missingOk: false }, options);
  await expect(guest.files.stat({ path: directory, follow: true }, options)).rejects.toMatchObject({
    code: "not_found",
    effect: "none",
    reason: "ENOENT",
  });
});

test("bytes, ranges, modes, links and exclusive", async () => {
  const bytes = new Uint8Array(70_000).map((_, index) => index % 256);
  await guest.files.write({ path: "/workspace/bin", ...writing }, streamOf(bytes.subarray(0, 3), bytes.subarray(3)), options);
  expect(Buffer.from(await collected((await guest.files.read({ path: "/workspace/bin" }, options)).content)).equals(bytes)).toBe(true);
  const range = await guest.files.read({ path: "/workspace/bin", offset: 65_530, length: 20 }, options);
  expect([range.sizeBytes, Buffer.from(await collected(range.content)).equals(bytes.subarray(65_530, 65_550))]).toEqual([70_000, true]);
  await guest.files.chmod({ path: "/workspace/bin", mode: 0o750 }, options);
  expect((await guest.files.stat({ path: "/workspace/bin", follow: true }, options)).mode).toBe(0o750);
  await write("/workspace/bin", "short");
  expect((await guest.files.stat({ path: "/workspace/bin", follow: true }, options)).mode).toBe(0o750);
  await guest.files.symlink({ path: "/workspace/link", target: "bin" }, options);
  expect(await guest.files.stat({ path: "/workspace/link", follow: false }, options)).toMatchObject({ type: "symlink", target: "bin" });
  expect(await read("/workspace/link")).toBe("short");
  await expect(write("/workspace/bin", "x", { exclusive: true })).rejects.toMatchObject({ code: "already_exists", reason: "EEXIST" });
});

test("an aborted write leaves the old file and nothing else", async () => {
  await write("/workspace/kept/file", "old");
  const [controller, reason] = [new AbortController(), new Error("enough")];
  let pulled = 0;
  const content = new ReadableStream<Uint8Array>({
    pull: (source) => {
      source.enqueue(new Uint8Array(1_000_000));
      if (++pulled === 4) controller.abort(reason);
    },
  });
  await expect(guest.files.write({ path: "/workspace/kept/file", ...writing }, content, { signal: controller.signal })).rejects.toBe(reason);
  expect(await read("/workspace/kept/file")).toBe("old");
  await expect
    .poll(async () => (await Array.fromAsync(guest.files.list({ path: "/workspace/kept", recursive: false }, options))).map(({ path }) => path))
    .toEqual(["file"]);
});

const roots = [
  { path: "/workspace/in", writable: true },
  { path: "/workspace/shown", writable: false },
];

test("roots hold against paths and links", async () => {
  await write("/workspace/in/a", "a");
  await write("/workspace/shown/b", "b");
  await guest.files.symlink({ path: "/workspace/in/out", target: "/etc/passwd" }, options);
  await guest.files.symlink({ path: "/workspace/in/up", target: ".." }, options);
  expect(await read("/workspace/in/a", { roots })).toBe("a");
  expect(await read("/workspace/shown/b", { roots })).toBe("b");
  for (const path of ["/etc/passwd", "/workspace/in/../../etc/passwd", "/workspace/in/out", "/workspace/in/up/shown2"]) {
    await expect(read(path, { roots }), path).rejects.toMatchObject({ code: "permission_denied", effect: "none", reason: "outside_roots" });
  }
  await expect(write("/workspace/shown/c", "c", { roots })).rejects.toMatchObject({
    code: "permission_denied",
    effect: "none",
    reason: "read_only_root",
  });
  await expect(write("/workspace/in/up/escaped", "c", { roots })).rejects.toMatchObject({ code: "permission_denied", effect: "none" });
});

test.each([
  ["/absent", { code: "not_found", reason: "ENOENT" }],
  ["/etc/shadow", { code: "permission_denied", reason: "EACCES" }],
  ["/etc", { code: "failed_precondition", reason: "not_regular_file" }],
  ["/dev/zero", { code: "failed_precondition", reason: "not_regular_file" }],
])("reading %s is refused", async (path, expected) => {
  await expect(read(path)).rejects.toMatchObject({ ...expected, effect: "none" });
});

test("1 GiB goes in and out without being held", async () => {
  const total = 1_073_741_824;
  const piece = new Uint8Array(262_144).fill(0x5a);
  let left = total;
  const content = new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        controller.enqueue(piece);
        left -= piece.length;
        if (left === 0) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
  const held = (): number => process.memoryUsage().external + process.memoryUsage().heapUsed;
  const before = held();
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, held())), 20);
  expect(await guest.files.write({ path: "/workspace/huge", ...writing }, content, options)).toEqual({ sizeBytes: total });
  let bytes = 0;
  for await (const chunk of (await guest.files.read({ path: "/workspace/huge" }, options)).content) bytes += chunk.length;
  clearInterval(watch);
  expect(bytes).toBe(total);
  expect(most - before).toBeLessThan(300 * 1_048_576);
  await guest.files.remove({ path: "/workspace/huge", recursive: false, missingOk: false }, options);
}, 120_000);

test("text: lines, edits, glob, grep", async () => {
  await write("/workspace/text/a.txt", "one\ntwo\r\nthree");
  const lines = await guest.text.readLines({ path: "/workspace/text/a.txt", start: 2, end: 3, maxBytes: 100 }, options);
  expect([textOf(lines.content), lines.sizeBytes]).toEqual(["two\r\nthree", 14]);
  const edit = { path: "/workspace/text/a.txt", maxBytes: 100 };
  expect(await guest.text.edit({ ...edit, oldString: "o", newString: "0", replaceAll: false }, options)).toEqual({ occurrences: 2, edited: false });
  expect(await guest.text.edit({ ...edit, oldString: "o", newString: "ö", replaceAll: true }, options)).toEqual({ occurrences: 2, edited: true });
  expect(await read("/workspace/text/a.txt")).toBe("öne\ntwö\r\nthree");
  await expect(guest.text.readLines({ path: "/workspace/text/a.txt", start: 1, maxBytes: 3 }, options)).rejects.toMatchObject({
    code: "resource_exhausted",
    reason: "too_large",
  });
  await write("/workspace/text/deep/b.ts", "needle\n");
  expect(await guest.text.glob({ path: "/workspace/text", pattern: "**/*.{ts,js}", maxResults: 10, maxEntries: 100 }, options)).toEqual({
    paths: ["/workspace/text/deep/b.ts"],
    cut: false,
  });
  const found = await guest.text.grep({ path: "/workspace/text", pattern: "need", maxBytes: 1_000, timeoutMs: 10_000 }, options);
  expect([textOf(found.output), found.matched, found.cut, found.engine]).toEqual(["/workspace/text/deep/b.ts:1:needle\n", true, false, "ripgrep"]);
});
