import { expect, test } from "vitest";
import { VirtualClock, type SimulatorOptions, type StreamFaultKind } from "@glovebox/simulator";
import { bench, openStream, type Bench, type Frame, type FrameReader, type Json } from "./client.ts";

const custom = (number: number): { readonly type: string; readonly number: number } => ({ type: "custom.note", number });
const numbers = (frames: readonly (Frame | { readonly number: number })[]): readonly number[] =>
  frames.map((frame) => ("data" in frame ? frame.data.number : frame.number));

async function streaming(
  options: SimulatorOptions = {},
  query = "",
): Promise<
  { readonly setup: Bench; readonly session: ReturnType<Bench["simulator"]["createSession"]>; readonly stream: FrameReader } & AsyncDisposable
> {
  const setup = await bench(options);
  const session = setup.simulator.createSession({ prompt: null });
  const stream = await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id, query);
  return { setup, session, stream, [Symbol.asyncDispose]: () => setup[Symbol.asyncDispose]() };
}

async function list(setup: Bench, sessionId: string, query: string): Promise<Json> {
  return (await setup.application.get(`/v1/sessions/${sessionId}/events?${query}`)).body;
}

test("47: ids are unique and the same in history and stream; order, types and times filter", async () => {
  const clock = new VirtualClock();
  await using on = await streaming({ clock });
  for (let number = 1; number <= 4; number++) {
    await clock.advance(1_000);
    on.session.emit(custom(number));
  }
  const live = [await on.stream.next(), await on.stream.next(), await on.stream.next(), await on.stream.next()].map((frame) => frame?.data);
  const { data } = await list(on.setup, on.session.id, "");
  expect(live).toEqual(data);
  expect(new Set(data.map((event: { id: string }) => event.id)).size).toBe(4);
  expect(numbers((await list(on.setup, on.session.id, "order=desc")).data)).toEqual([4, 3, 2, 1]);
  const at = (second: number): string => encodeURIComponent(`2026-01-01T00:00:0${second}Z`);
  expect(numbers((await list(on.setup, on.session.id, `created_at[gt]=${at(1)}&created_at[lte]=${at(3)}`)).data)).toEqual([2, 3]);
  expect(numbers((await list(on.setup, on.session.id, `created_at%5Bgte%5D=${at(3)}&created_at[lt]=${at(4)}`)).data)).toEqual([3]);
  expect((await list(on.setup, on.session.id, "types[]=none")).data).toEqual([]);
  for (const wrong of ["order=up", "created_at[gt]=soon", "limit=1001", "page=x"])
    expect((await list(on.setup, on.session.id, wrong)).error.type).toBe("invalid_request_error");
});

test("47: times increase strictly, even when the clock stands still", async () => {
  await using on = await streaming({ clock: new VirtualClock() });
  for (let number = 1; number <= 3; number++) on.session.emit(custom(number));
  expect(on.session.events.map((event) => event.processed_at)).toEqual([
    "2026-01-01T00:00:00.000000Z",
    "2026-01-01T00:00:00.000001Z",
    "2026-01-01T00:00:00.000002Z",
  ]);
});

test("47: history is ordered by the time of processing, or by that of arrival", async () => {
  for (const [historyOrder, expected] of [
    ["processed_at", ["agent.tool_use", "user.interrupt"]],
    ["created_at", ["user.interrupt", "agent.tool_use"]],
  ] as const) {
    const clock = new VirtualClock();
    await using on = await streaming({ clock, behaviour: { historyOrder, interruptLagMs: 1_000 } });
    on.session.interrupt();
    on.session.emit({ type: "agent.tool_use", name: "bash", input: {} });
    const seen = async (order: string): Promise<readonly string[]> =>
      (await list(on.setup, on.session.id, `order=${order}&types[]=agent.tool_use&types[]=user.interrupt`)).data.map((event: Json) => event.type);
    expect([historyOrder, await seen("asc")]).toEqual([historyOrder, expected]);
    await clock.advance(1_000);
    expect([historyOrder, await seen("asc"), await seen("desc")]).toEqual([historyOrder, expected, expected.toReversed()]);
    expect(on.session.events.filter((event) => event.type === "user.interrupt")).toMatchObject([{ processed_at: expect.any(String) }]);
  }
});

test("48: pages are cut at the limit in both directions, so that a result can lie on a later page than its call", async () => {
  await using on = await streaming();
  for (let number = 1; number <= 5; number++) on.session.emit(custom(number));
  for (const [order, expected] of [
    ["asc", [[1, 2], [3, 4], [5]]],
    ["desc", [[5, 4], [3, 2], [1]]],
  ] as const) {
    const pages: (readonly number[])[] = [];
    let page: string | null = null;
    do {
      const answer = await list(on.setup, on.session.id, `order=${order}&limit=2${page === null ? "" : `&page=${page}`}`);
      pages.push(numbers(answer.data));
      page = answer.next_page;
    } while (page !== null);
    expect(pages).toEqual(expected);
  }
});

test("48: a page that was cut does not shift when events are appended meanwhile", async () => {
  await using on = await streaming();
  for (let number = 1; number <= 3; number++) on.session.emit(custom(number));
  const first = await list(on.setup, on.session.id, "order=desc&limit=2");
  on.session.emit(custom(4));
  expect(numbers((await list(on.setup, on.session.id, `order=desc&limit=2&page=${first.next_page}`)).data)).toEqual([1]);
});

test("49: a stream carries only what comes after it opened, and a reopened one replays nothing", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null });
  session.emit(custom(1));
  const first = await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id);
  session.emit(custom(2));
  expect((await first.next())?.data.number).toBe(2);
  expect(session.cutStreams()).toBe(1);
  await expect(first.next()).rejects.toThrow("terminated");
  session.emit(custom(3));
  const second = await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id);
  session.emit(custom(4));
  expect((await second.next())?.data.number).toBe(4);
  expect(numbers(session.events as never)).toEqual([1, 2, 3, 4]);
});

test("50: every frame has its name and its data; a fault leaves the name out", async () => {
  await using on = await streaming();
  on.setup.simulator.addStreamFault({ kind: "no_event_name", nth: 2 });
  on.session.emit(custom(1));
  on.session.emit(custom(2));
  const [first, second] = [await on.stream.next(), await on.stream.next()];
  expect(first?.raw).toBe(`event: custom.note\ndata: ${JSON.stringify(on.session.events[0])}\n\n`);
  expect(second?.raw).toBe(`data: ${JSON.stringify(on.session.events[1])}\n\n`);
});

test("51: pings or comments come at their interval", async () => {
  for (const [kind, raw] of [
    ["ping", 'event: ping\ndata: {"type":"ping"}\n\n'],
    ["comment", ":\n\n"],
  ] as const) {
    const clock = new VirtualClock();
    await using on = await streaming({ clock, behaviour: { keepAlive: { kind, intervalMs: 1_000 } } });
    await clock.advance(2_000);
    expect([(await on.stream.next())?.raw, (await on.stream.next())?.raw]).toEqual([raw, raw]);
    await clock.advance(999);
    on.session.emit(custom(1));
    expect((await on.stream.next())?.data.number).toBe(1);
    expect(on.session.events).toHaveLength(1);
  }
});

test("52: a stream is cut before, after and within a frame, ended, given an error or broken data", async () => {
  const expected: Readonly<Record<string, readonly [readonly unknown[], "broken" | "ended"]>> = {
    cut: [[1], "broken"],
    cut_after: [[1, 2], "broken"],
    cut_mid_frame: [[1], "broken"],
    end: [[1, 2], "ended"],
    error: [[1, "error"], "ended"],
  };
  for (const [kind, [seen, end]] of Object.entries(expected)) {
    await using on = await streaming();
    on.setup.simulator.addStreamFault({ kind: kind as StreamFaultKind, nth: 2 });
    for (let number = 1; number <= 3; number++) on.session.emit(custom(number));
    const frames: unknown[] = [];
    const outcome = await (async () => {
      for (;;) {
        const frame = await on.stream.next();
        if (frame === null) return "ended";
        frames.push(frame.name === "error" ? "error" : frame.data.number);
      }
    })().catch(() => "broken");
    expect([kind, frames, outcome]).toEqual([kind, seen, end]);
    expect([kind, on.stream.rest !== ""]).toEqual([kind, kind === "cut_mid_frame"]);
  }
  await using on = await streaming();
  on.setup.simulator.addStreamFault({ kind: "invalid_json" });
  on.session.emit(custom(1));
  expect((await on.stream.next())?.raw).toBe('event: custom.note\ndata: {"type":\n\n');
});

test("53: an event between the stream's opening and the list is in both", async () => {
  await using on = await streaming();
  on.session.emit(custom(1));
  expect(numbers((await list(on.setup, on.session.id, "")).data)).toEqual([1]);
  expect((await on.stream.next())?.data.number).toBe(1);
});

test("54: what was emitted while nobody listened is in history only, and an event can be kept off the stream", async () => {
  await using on = await streaming();
  on.setup.simulator.addStreamFault({ kind: "drop", where: (event) => event["number"] === 1 });
  on.session.emit(custom(1));
  on.session.emit(custom(2), { live: false });
  on.session.emit(custom(3));
  expect((await on.stream.next())?.data.number).toBe(3);
  expect(numbers((await list(on.setup, on.session.id, "")).data)).toEqual([1, 2, 3]);
});

test("55: an event arrives twice on one stream and stands once in history", async () => {
  await using on = await streaming();
  on.setup.simulator.addStreamFault({ kind: "duplicate", sessionId: on.session.id });
  on.session.emit(custom(1));
  expect([await on.stream.next(), await on.stream.next()].map((frame) => frame?.data.number)).toEqual([1, 1]);
  expect(on.session.events).toHaveLength(1);
});

test("56: frames survive CRLF ends, bytes one by one, several in a chunk, and megabytes", async () => {
  await using on = await streaming({ behaviour: { lineEnds: "crlf" } });
  on.setup.simulator.addStreamFault({ kind: "split" });
  on.session.emit({ type: "custom.note", text: "ø€😀" });
  const split = await on.stream.next();
  expect([split?.data.text, split?.raw.endsWith("\r\n\r\n")]).toEqual(["ø€😀", true]);
  on.session.emit({ type: "custom.note", text: "x".repeat(5 * 1024 * 1024) });
  on.session.emit(custom(2));
  expect((await on.stream.next())?.data.text).toHaveLength(5 * 1024 * 1024);
  expect((await on.stream.next())?.data.number).toBe(2);
});

test("57: opening a stream can be refused with any status", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null });
  for (const status of [401, 403, 404, 409, 429, 500]) {
    setup.simulator.addRequestFault({ endpoint: "events.stream", status });
    expect((await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id)).status).toBe(status);
    setup.simulator.clearFaults();
  }
});

test("58: a failing list leaves the stream as it is", async () => {
  await using on = await streaming();
  on.setup.simulator.addRequestFault({ endpoint: "events.list", status: 500 });
  expect((await list(on.setup, on.session.id, "")).error.type).toBe("api_error");
  on.session.emit(custom(1));
  expect((await on.stream.next())?.data.number).toBe(1);
});

test("59: messages, confirmations and interrupts echo twice, results once", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({
    prompt: null,
    script: { turns: [{ calls: [{ name: "bash", permission: "ask" }, { name: "mine", kind: "custom" }, { name: "open" }] }] },
  });
  const stream = await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id);
  session.sendMessage("hello");
  await session.waitForEvent((event) => event.type === "session.status_idle");
  const [asked, mine] = session.report().calls;
  session.confirm(asked?.id ?? "", "allow");
  session.answer(asked?.id ?? "", "done");
  session.answer(mine?.id ?? "", "done");
  session.interrupt();
  const frames = (await stream.until("user.interrupt")).filter((frame) => frame.data.type.startsWith("user."));
  frames.push(...(await stream.until("user.interrupt")).filter((frame) => frame.data.type.startsWith("user.")));
  expect(frames.map(({ data }) => [data.type, data.processed_at === null])).toEqual([
    ["user.message", true],
    ["user.message", false],
    ["user.tool_confirmation", true],
    ["user.tool_confirmation", false],
    ["user.tool_result", false],
    ["user.custom_tool_result", false],
    ["user.interrupt", true],
    ["user.interrupt", false],
  ]);
  expect(session.events.filter((event) => event.type.startsWith("user."))).toHaveLength(5);
});

test("60: event_deltas are checked, and previews are never in history", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null, script: { turns: [{ message: "hello" }] } });
  const path = `/v1/sessions/${session.id}/events/stream`;
  expect((await setup.application.get(`${path}?event_deltas[]=agent.tool_use`)).status).toBe(400);
  expect((await setup.application.get(`${path}?${"event_deltas[]=agent.message&".repeat(101)}`)).status).toBe(400);
  const stream = await openStream(setup.simulator.url, setup.simulator.apiKey, session.id, "?event_deltas%5B%5D=agent.message");
  session.sendMessage("go");
  const frames = await stream.until("agent.message");
  const id = frames.at(-1)?.data.id;
  expect(frames.slice(-3, -1).map((frame) => frame.data)).toEqual([
    { type: "event_start", event: { type: "agent.message", id } },
    { type: "event_delta", event_id: id, delta: { type: "content_delta", index: 0, content: { type: "text", text: "hello" } } },
  ]);
  await session.finished;
  expect(session.events.some((event) => event.type.startsWith("event_"))).toBe(false);
});
