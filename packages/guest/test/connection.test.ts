import fc from "fast-check";
import { expect, test } from "vitest";
import { connectGuest, type ConnectedGuest } from "../src/connect.ts";
import { FrameType } from "../src/frames.ts";
import { bytesOf, collected, exited, jsonOf, never, Peer, streamOf, textOf } from "./peer.ts";

const signal = never;
const exec = { argv: ["/bin/true"], cwd: "/", env: {}, stdin: "null" } as const;

async function connected(answer?: object): Promise<{ peer: Peer; guest: ConnectedGuest }> {
  const peer = new Peer();
  const pending = connectGuest(peer.stream, { mode: "takeover" }, { signal });
  await peer.greet(answer);
  return { peer, guest: await pending };
}

test("the client speaks first, and gets what the guest says of itself", async () => {
  const peer = new Peer();
  const pending = connectGuest(peer.stream, { mode: "resume", generation: 3, secret: "s" }, { signal });
  expect(peer.writes).toBe(1);
  expect(await peer.greet()).toEqual({ protocol: 1, mode: "resume", generation: 3, secret: "s" });
  using guest = await pending;
  expect(guest.hello).toMatchObject({ boot: "boot-1", generation: 7, fenced: false });
});

test.each([
  ["secret", { code: "unauthenticated", effect: "none" }],
  ["protocol", { code: "failed_precondition", effect: "none" }],
  ["shutdown", { code: "unavailable", reason: "disconnected" }],
])("GOAWAY %s instead of a hello", async (reason, expected) => {
  const peer = new Peer();
  const pending = connectGuest(peer.stream, { mode: "join" }, { signal });
  peer.json(FrameType.goaway, 0, { reason });
  await expect(pending).rejects.toMatchObject(expected);
  expect(peer.closed).toBe(true);
});

test("a guest that never says hello is given up; an abort is thrown as it is", async () => {
  const silent = new Peer();
  await expect(connectGuest(silent.stream, { mode: "join", helloMs: 5 }, { signal })).rejects.toMatchObject({ code: "unavailable", effect: "none" });
  expect(silent.closed).toBe(true);
  const reason = new Error("enough");
  const aborted = new Peer();
  await expect(connectGuest(aborted.stream, { mode: "join" }, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  expect(aborted.closed).toBe(true);
  const controller = new AbortController();
  const later = new Peer();
  const pending = connectGuest(later.stream, { mode: "join" }, { signal: controller.signal });
  controller.abort(reason);
  await expect(pending).rejects.toBe(reason);
  expect(later.closed).toBe(true);
});

test.each([
  ["no boot", { boot: undefined }],
  ["another protocol", { protocol: 2 }],
  ["a generation that is no number", { generation: "7" }],
  ["a generation that is not finite", { generation: 1e300 }],
  ["an unknown processor", { arch: "constructor" }],
  ["features that are no list", { features: { length: 1 } }],
  ["a user that is a list", { user: [] }],
])("a hello with %s ends the connection", async (_name, answer) => {
  const peer = new Peer();
  const pending = connectGuest(peer.stream, { mode: "takeover" }, { signal });
  await peer.greet(answer).catch(() => undefined);
  await expect(pending).rejects.toMatchObject({ code: "unavailable", reason: "protocol_violation" });
  expect(peer.closed).toBe(true);
});

const hostile: readonly (readonly [string, (peer: Peer, stream: number) => void])[] = [
  ["garbage", (peer) => peer.raw(0x47, 0x45, 0x54, 0x20, 0x2f, 0x20, 0x48, 0x54, 0x54, 0x50)],
  ["an oversize frame", (peer) => peer.raw(0, 0x7f, 0, 0, 8, 0, 0, 0, 1)],
  ["RESULT twice", (peer, stream) => (peer.json(FrameType.result, stream, exited), peer.json(FrameType.result, stream, exited))],
  ["DATA after RESULT", (peer, stream) => (peer.json(FrameType.result, stream, exited), peer.data(stream, 1, bytesOf("x")))],
  ["a frame for a stream that was never opened", (peer) => peer.json(FrameType.result, 999, exited)],
  ["a frame for a stream of the guest's own", (peer) => peer.json(FrameType.open, 2, { op: "exec" })],
  ["OPEN on our stream", (peer, stream) => peer.json(FrameType.open, stream, { op: "exec" })],
  ["more than the window", (peer, stream) => peer.data(stream, 1, new Uint8Array(262_145))],
  ["more than the window in small frames", (peer, stream) => Array.from({ length: 257 }).forEach(() => peer.data(stream, 2, new Uint8Array(1_024)))],
  ["DATA on the channel of input", (peer, stream) => peer.data(stream, 0, bytesOf("x"))],
  ["DATA on channel 3", (peer, stream) => peer.data(stream, 3, bytesOf("x"))],
  ["DATA on channel 255", (peer, stream) => peer.data(stream, 255, bytesOf("x"))],
  ["DATA after END", (peer, stream) => (peer.end(stream, 1), peer.data(stream, 1, bytesOf("x")))],
  ["END twice", (peer, stream) => (peer.end(stream, 2), peer.end(stream, 2))],
  ["a WINDOW of nothing", (peer, stream) => peer.window(stream, 0, 0)],
  ["a WINDOW for output", (peer, stream) => peer.window(stream, 1, 5)],
  ["a WINDOW beyond all bounds", (peer, stream) => peer.window(stream, 0, 0xffff_ffff)],
  ["a second hello", (peer) => peer.json(FrameType.hello, 0, { protocol: 1 })],
  ["RESULT on stream 0", (peer) => peer.json(FrameType.result, 0, exited)],
  ["a PONG without a PING", (peer) => peer.pong(new Uint8Array(8))],
  ["JSON that is cut", (peer, stream) => peer.raw(0, 0, 0, 7, 8, 0, 0, 0, stream, 0x7b, 0x22)],
  ["JSON that is a list", (peer, stream) => peer.json(FrameType.result, stream, [])],
  ["JSON that is null", (peer, stream) => peer.raw(0, 0, 0, 9, 8, 0, 0, 0, stream, ...bytesOf("null"))],
  ["JSON that is not UTF-8", (peer, stream) => peer.raw(0, 0, 0, 9, 8, 0, 0, 0, stream, 0x22, 0xff, 0xfe, 0x22)],
  [
    "JSON too deep to parse or not an object",
    (peer, stream) => peer.raw(0, 0, 0x10, 5, 8, 0, 0, 0, stream, ...Array.from({ length: 4_096 }, () => 0x5b)),
  ],
  ["an exit without members", (peer, stream) => peer.json(FrameType.result, stream, {})],
  [
    "an exit whose members are inherited",
    (peer, stream) => {
      const text = bytesOf(`{"__proto__":${JSON.stringify(exited)}}`);
      peer.raw(0, 0, 0, 5 + text.length, 8, 0, 0, 0, stream, ...text);
    },
  ],
  ["a code that is no code", (peer, stream) => peer.json(FrameType.result, stream, { ...exited, code: 256 })],
  ["a code that is a fraction", (peer, stream) => peer.json(FrameType.result, stream, { ...exited, code: 0.5 })],
  ["both code and signal", (peer, stream) => peer.json(FrameType.result, stream, { ...exited, signal: "SIGKILL" })],
  ["neither code nor signal", (peer, stream) => peer.json(FrameType.result, stream, { ...exited, code: null })],
  ["a signal that is no signal", (peer, stream) => peer.json(FrameType.result, stream, { ...exited, code: null, signal: "\u001b[2J" })],
  ["negative dropped bytes", (peer, stream) => peer.json(FrameType.result, stream, { ...exited, droppedBytes: { stdout: -1, stderr: 0 } })],
  ["an ERROR with a code of its own", (peer, stream) => peer.json(FrameType.error, stream, { code: "toString", message: "", effect: "none" })],
  ["an ERROR with an effect of its own", (peer, stream) => peer.json(FrameType.error, stream, { code: "internal", message: "", effect: "some" })],
  ["an ERROR without a message", (peer, stream) => peer.json(FrameType.error, stream, { code: "internal", effect: "none" })],
  [
    "an ERROR whose reason is text",
    (peer, stream) => peer.json(FrameType.error, stream, { code: "internal", message: "", effect: "none", reason: "a b" }),
  ],
  [
    "an ERROR with an endless message",
    (peer, stream) => peer.json(FrameType.error, stream, { code: "internal", message: "x".repeat(20_000), effect: "none" }),
  ],
];

test.each(hostile)("a guest that sends %s ends its own connection, and every call on it with a coded error", async (_name, attack) => {
  const { peer, guest } = await connected();
  const victim = guest.spawn(exec, { signal });
  const { stream } = await peer.nextOpen();
  peer.json(FrameType.event, stream, { event: "started", pid: 1 });
  const other = guest.files.stat({ path: "/", follow: true }, { signal });
  await peer.nextOpen();
  const { exit } = await victim;
  attack(peer, stream);
  expect(peer.closed).toBe(true);
  await expect(guest.ended).resolves.toMatchObject({ code: "unavailable", effect: "unknown", reason: "protocol_violation" });
  await expect(other).rejects.toMatchObject({ code: "unavailable", effect: "none" });
  await exit.catch((error: unknown) => expect(error).toMatchObject({ code: "unavailable", effect: "unknown", reason: "protocol_violation" }));
  await expect(guest.files.stat({ path: "/", follow: true }, { signal })).rejects.toMatchObject({ code: "unavailable", effect: "none" });
  expect(guest.openStreams).toBe(0);
});

test("unknown members and events are ignored", async () => {
  const { peer, guest } = await connected({ more: 1 });
  const pending = guest.spawn(exec, { signal });
  const { stream } = await peer.nextOpen();
  peer.json(FrameType.event, stream, { event: "weather", sun: true });
  peer.json(FrameType.event, stream, { event: "started", pid: 1 });
  peer.json(FrameType.result, stream, { ...exited, code: 3, more: "x" });
  expect(await (await pending).exit).toEqual({ ...exited, code: 3 });
});

test("a ping is a round trip; PING is answered with the same bytes, and a flood of them is not", async () => {
  const { peer, guest } = await connected();
  const [first, second] = [guest.ping(signal), guest.ping(signal)];
  peer.pong((await peer.nextOf(FrameType.ping)).payload);
  peer.pong((await peer.nextOf(FrameType.ping)).payload);
  await Promise.all([first, second]);
  const payload = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  peer.ping(payload);
  expect((await peer.nextOf(FrameType.pong)).payload).toEqual(payload);
  peer.welcome = false;
  for (let count = 0; count < 2_000 && !peer.closed; count++) peer.ping(payload);
  await expect(guest.ended).resolves.toMatchObject({ reason: "protocol_violation" });
});

test("a short call goes out in one write: OPEN, DATA, END", async () => {
  const { peer, guest } = await connected();
  const before = peer.writes;
  const pending = guest.shell.run({ shell: "main", command: "echo ä", cwd: "/", env: {} }, { signal });
  await Promise.resolve();
  expect(peer.writes).toBe(before + 1);
  const { stream, request } = await peer.nextOpen();
  expect(request).toEqual({ op: "shell.run", shell: "main", commandBytes: 7, cwd: "/", env: {} });
  const [data, end] = [await peer.next(), await peer.next()];
  expect([data.type, textOf(data.payload), end.type]).toEqual([FrameType.data, "echo ä", FrameType.end]);
  peer.data(stream, 1, bytesOf("ä\n"));
  peer.end(stream, 1);
  peer.json(FrameType.result, stream, { ...exited, shellKept: true });
  const program = await pending;
  expect(textOf(await collected(program.stdout))).toBe("ä\n");
  expect(await collected(program.stderr)).toHaveLength(0);
  expect(await program.exit).toEqual({ ...exited, shellKept: true });
});

test("input waits for the window and for the stream, and keeps its order", async () => {
  const { peer, guest } = await connected();
  const content = new Uint8Array(900_000).map((_, index) => index % 251);
  const pending = guest.files.write({ path: "/big", mode: 0o644, createParents: false, parentMode: 0o755, exclusive: false }, streamOf(content), {
    signal,
  });
  const { stream } = await peer.nextOpen();
  const sent = (): number => peer.frames.filter(({ type }) => type === FrameType.data).reduce((sum, { payload }) => sum + payload.length, 0);
  await Promise.resolve();
  expect(sent()).toBe(262_144);
  peer.welcome = false;
  peer.window(stream, 0, 1_000);
  expect(sent()).toBe(263_144);
  peer.window(stream, 0, 1_000_000);
  expect(sent()).toBe(263_144);
  peer.drained();
  expect(sent()).toBe(900_000);
  expect(peer.frames.at(-1)?.type).toBe(FrameType.end);
  const whole = Buffer.concat(peer.frames.filter(({ type }) => type === FrameType.data).map(({ payload }) => payload));
  expect(whole.equals(content)).toBe(true);
  peer.json(FrameType.result, stream, { sizeBytes: 900_000 });
  expect(await pending).toEqual({ sizeBytes: 900_000 });
});

test("output is granted as it is read, and one unread stream holds up no other", async () => {
  const { peer, guest } = await connected();
  const [unread, read] = [guest.spawn(exec, { signal }), guest.spawn(exec, { signal })];
  const [first, second] = [await peer.nextOpen(), await peer.nextOpen()];
  peer.data(first.stream, 1, new Uint8Array(262_144));
  const granted = (stream: number): number =>
    peer.frames
      .filter((frame) => frame.type === FrameType.window && frame.stream === stream)
      .reduce((sum, { payload }) => sum + Buffer.from(payload).readUInt32BE(1), 0);
  peer.data(second.stream, 1, new Uint8Array(200_000));
  const reader = (await read).stdout.getReader();
  let took = 0;
  while (took < 200_000) took += (await reader.read()).value?.length ?? 0;
  expect([granted(first.stream), granted(second.stream)]).toEqual([0, 131_072]);
  peer.json(FrameType.event, first.stream, { event: "exited", ...exited });
  expect(await (await unread).exit).toEqual(exited);
  expect((await (await unread).stdout.getReader().read()).value).toHaveLength(65_536);
});

test("a cancelled output is dropped as it comes, and does not hold up the program", async () => {
  const { peer, guest } = await connected();
  const pending = guest.spawn(exec, { signal });
  const { stream } = await peer.nextOpen();
  peer.data(stream, 1, new Uint8Array(200_000));
  const program = await pending;
  await program.stdout.cancel();
  expect(Buffer.from((await peer.nextOf(FrameType.window)).payload).readUInt32BE(1)).toBe(131_072);
  peer.data(stream, 1, new Uint8Array(200_000));
  expect(Buffer.from((await peer.nextOf(FrameType.window)).payload).readUInt32BE(1)).toBe(134_464);
  peer.json(FrameType.result, stream, exited);
  expect(await program.exit).toEqual(exited);
  expect(guest.openStreams).toBe(0);
});

test("an abort sends CANCEL and settles at once with its reason; what comes late is dropped and nothing stays", async () => {
  const { peer, guest } = await connected();
  const [controller, reason] = [new AbortController(), new Error("enough")];
  const options = { signal: controller.signal };
  const started = guest.spawn({ ...exec, stdin: "pipe" }, options);
  const { stream } = await peer.nextOpen();
  peer.json(FrameType.event, stream, { event: "started", pid: 1 });
  const program = await started;
  const waiting = [
    guest.spawn(exec, options),
    guest.files.stat({ path: "/", follow: true }, options),
    guest.files.read({ path: "/" }, options),
    guest.files.write({ path: "/x", mode: 0, createParents: false, parentMode: 0, exclusive: false }, streamOf(new Uint8Array(3_000_000)), options),
    guest.text.grep({ path: "/", pattern: "x", maxBytes: 100, timeoutMs: 1_000 }, options),
  ];
  const opened = [];
  while (opened.length < waiting.length) opened.push(await peer.nextOpen());
  controller.abort(reason);
  for (const call of waiting) await expect(call).rejects.toBe(reason);
  await expect(program.exit).rejects.toBe(reason);
  await expect(collected(program.stdout)).rejects.toBe(reason);
  await expect(program.stdin?.getWriter().write(bytesOf("x"))).rejects.toMatchObject({ code: "failed_precondition" });
  const cancelled = peer.frames.filter(({ type }) => type === FrameType.cancel).map((frame) => frame.stream);
  expect(cancelled.toSorted((a, b) => a - b)).toEqual([stream, ...opened.map((open) => open.stream)]);
  peer.data(stream, 1, new Uint8Array(262_144)); // granted again, though nobody reads
  peer.data(stream, 1, new Uint8Array(262_144));
  for (const id of cancelled) peer.json(FrameType.error, id, { code: "aborted", message: "cancelled", effect: "unknown" });
  expect(guest.openStreams).toBe(0);
  await expect(guest.spawn(exec, options)).rejects.toBe(reason);
  expect(peer.closed).toBe(false);
});

test("what a guest says in words is held to what can be printed and sent on", async () => {
  const { peer, guest } = await connected();
  const pending = guest.files.stat({ path: "/x", follow: true }, { signal });
  const { stream } = await peer.nextOpen();
  const text = bytesOf('{"code":"not_found","message":"/x\\ud800: no such file","effect":"none","reason":"ENOENT"}');
  peer.raw(0, 0, 0, 5 + text.length, FrameType.error, 0, 0, 0, stream, ...text);
  await expect(pending).rejects.toMatchObject({ code: "not_found", effect: "none", reason: "ENOENT", message: "[not_found] /x\ufffd: no such file" });
});

test("many calls at once each get their own answer, in any order, and leave nothing", async () => {
  await fc.assert(
    fc.asyncProperty(fc.shuffledSubarray([...Array.from({ length: 40 }).keys()], { minLength: 40 }), async (order) => {
      const { peer, guest } = await connected();
      const calls = order.map((_, index) =>
        guest.files.read({ path: `/${index}` }, { signal }).then(async ({ content }) => textOf(await collected(content))),
      );
      const opens: { stream: number; request: Record<string, unknown> }[] = [];
      while (opens.length < order.length) opens.push(await peer.nextOpen());
      for (const index of order) peer.json(FrameType.event, opens[index]?.stream ?? 0, { event: "opened", sizeBytes: 2 });
      for (const index of order) peer.data(opens[index]?.stream ?? 0, 1, bytesOf(String(opens[index]?.request["path"])));
      for (const index of order.toReversed()) peer.json(FrameType.result, opens[index]?.stream ?? 0, { sizeBytes: 2 });
      expect(await Promise.all(calls)).toEqual(order.map((_, index) => `/${index}`));
      expect(guest.openStreams).toBe(0);
    }),
    { seed: 20_261_124, numRuns: 20 },
  );
});

test("any frames at all end in a coded error or go on, and leak nothing", async () => {
  const anyFrame = fc.record({
    type: fc.nat(14),
    stream: fc.nat(6),
    payload: fc.oneof(fc.uint8Array({ maxLength: 12 }), fc.json({ maxDepth: 2 }).map(bytesOf)),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(anyFrame, { maxLength: 10 }), async (frames) => {
      const { peer, guest } = await connected();
      const calls = [
        guest.spawn(exec, { signal }),
        guest.files.stat({ path: "/", follow: true }, { signal }),
        guest.files.read({ path: "/" }, { signal }),
      ];
      for (const _ of calls) await peer.nextOpen();
      for (const { type, stream, payload } of frames) peer.raw(0, 0, 0, 5 + payload.length, type, 0, 0, 0, stream, ...payload);
      peer.cut();
      const outcomes = await Promise.allSettled(calls);
      for (const outcome of outcomes) if (outcome.status === "rejected") expect(outcome.reason).toMatchObject({ name: "SandboxError" });
      expect(guest.openStreams).toBe(0);
    }),
    { seed: 20_261_124, numRuns: 300 },
  );
});

test("the request that goes out is what was asked for", async () => {
  const { peer, guest } = await connected();
  const roots = [{ path: "/workspace", writable: true }];
  void guest.text
    .edit({ path: "/f", roots, oldString: "ä", newString: "", replaceAll: true, maxBytes: 9 }, { signal, call: { id: "c1" } })
    .catch(() => undefined);
  const open = await peer.nextOf(FrameType.open);
  expect(jsonOf(open.payload)).toEqual({ op: "text.edit", path: "/f", roots, oldBytes: 2, newBytes: 0, replaceAll: true, maxBytes: 9, call: "c1" });
  expect([textOf((await peer.next()).payload), (await peer.next()).type]).toEqual(["ä", FrameType.end]);
});
