import { expect, test } from "vitest";
import { VirtualClock, type CallRecord, type Script, type SessionHandle, type SimulatorOptions } from "@glovebox/simulator";
import { bench, type Answer, type Bench, type Json } from "./client.ts";

interface Open extends AsyncDisposable {
  readonly setup: Bench;
  readonly session: SessionHandle;
  /** The calls as they stand now. */
  calls(): readonly CallRecord[];
  id(position: number): string;
  send(...events: readonly unknown[]): Promise<Answer>;
  answer(position: number, text?: string): Promise<Answer>;
}

const text = (value: string): readonly unknown[] => [{ type: "text", text: value }];

/** A session that idles on the calls of its first turn. */
async function open(script: Script, options: SimulatorOptions = {}): Promise<Open> {
  const setup = await bench(options);
  const session = setup.simulator.createSession({ script });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  const calls = (): readonly CallRecord[] => session.report().calls;
  const id = (position: number): string => calls()[position]?.id ?? "";
  const send = (...events: readonly unknown[]): Promise<Answer> => setup.worker.post(`/v1/sessions/${session.id}/events`, { events });
  const answer = (position: number, value = "ok"): Promise<Answer> =>
    send({ type: "user.tool_result", tool_use_id: id(position), is_error: false, content: text(value) });
  return { setup, session, calls, id, send, answer, [Symbol.asyncDispose]: () => setup[Symbol.asyncDispose]() };
}

const types = (session: SessionHandle): readonly string[] => session.events.map((event) => event.type);
const idles = (session: SessionHandle): readonly Json[] =>
  session.events.filter((event) => event.type === "session.status_idle").map((event) => event["stop_reason"]);

test("61: a call carries its permission, whatever it is, or none", async () => {
  const permissions = ["allow", "ask", "deny", "perhaps", "absent"];
  await using on = await open({ turns: [{ calls: permissions.map((permission) => ({ name: "bash", permission })) }] });
  const seen = on.session.events.filter((event) => event.type === "agent.tool_use").map((event) => event["evaluated_permission"]);
  expect(seen).toEqual(["allow", "ask", "deny", "perhaps", undefined]);
});

test("61: the calls of a model request stand before its end, or after it", async () => {
  for (const [toolUsePosition, expected] of [
    ["before_span_end", ["span.model_request_start", "agent.tool_use", "span.model_request_end"]],
    ["after_span_end", ["span.model_request_start", "span.model_request_end", "agent.tool_use"]],
  ] as const) {
    await using on = await open({ turns: [{ calls: [{ name: "bash" }] }] }, { behaviour: { toolUsePosition } });
    expect(types(on.session).filter((type) => type.startsWith("span.") || type === "agent.tool_use")).toEqual(expected);
  }
});

test("62: an ask takes no result before its confirmation; allow releases it, deny is settled by the server", async () => {
  await using on = await open({
    turns: [
      {
        calls: [
          { name: "bash", permission: "ask" },
          { name: "bash", permission: "ask" },
        ],
      },
    ],
  });
  expect((await on.answer(0)).status).toBe(400);
  const confirm = (position: number, result: string, more = {}): Promise<Answer> =>
    on.send({ type: "user.tool_confirmation", tool_use_id: on.id(position), result, ...more });
  expect((await confirm(0, "allow", { deny_message: "no" })).status).toBe(400);
  expect((await confirm(0, "allow")).status).toBe(200);
  expect((await confirm(0, "allow")).status).toBe(400);
  expect((await on.answer(0)).status).toBe(200);
  expect((await confirm(1, "deny", { deny_message: "too risky" })).status).toBe(200);
  expect(on.calls()[1]).toMatchObject({ outcome: "denied", result: { isError: true, text: "The user denied this tool use: too risky" } });
  expect(on.session.events.findLast((event) => event.type === "agent.tool_result")).toMatchObject({ tool_use_id: on.id(1), is_error: true });
  expect((await on.answer(1)).status).toBe(400);
  expect((await on.session.finished).status).toBe("completed");
});

test("62: two verdicts on one call in one request are refused together", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash", permission: "ask" }] }] });
  const verdict = { type: "user.tool_confirmation", tool_use_id: on.id(0), result: "allow" };
  expect((await on.send(verdict, { ...verdict, result: "deny" })).status).toBe(400);
  expect((await on.send(verdict)).status).toBe(200);
});

test("62: with the other positions a result before the confirmation is accepted, and an allow idles anew", async () => {
  const script: Script = { turns: [{ calls: [{ name: "bash", permission: "ask" }] }] };
  await using early = await open(script, { behaviour: { resultBeforeConfirmation: "accept" } });
  expect((await early.answer(0)).status).toBe(200);
  for (const [afterAllow, last] of [
    ["running", "session.thread_status_running"],
    ["requires_action", "session.status_idle"],
  ] as const) {
    await using on = await open(script, { behaviour: { afterAllow } });
    on.session.confirm(on.id(0), "allow");
    expect(types(on.session).at(-1)).toBe(last);
    on.session.answer(on.id(0), "ok");
    expect(idles(await on.session.finished.then(() => on.session)).at(-1)).toEqual({ type: "end_turn" });
  }
});

test("63: a denied call gets its error from the server and takes no result", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash", permission: "deny" }, { name: "bash" }] }] });
  expect(on.session.events.find((event) => event.type === "agent.tool_result")).toMatchObject({ tool_use_id: on.id(0), is_error: true });
  expect(idles(on.session)).toEqual([{ type: "requires_action", event_ids: [on.id(1)] }]);
  expect((await on.answer(0)).status).toBe(400);
  expect(on.calls()[0]?.outcome).toBe("denied");
});

test("64, 65: idle lists what is open, again after each partial settlement, usage before each; the last one sets it running", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "a" }, { name: "b" }, { name: "c" }] }] });
  const [a, b, c] = [on.id(0), on.id(1), on.id(2)];
  await on.answer(1);
  await on.answer(0);
  expect(on.session.status).toBe("idle");
  await on.answer(2);
  await on.session.finished;
  expect(idles(on.session)).toEqual([
    { type: "requires_action", event_ids: [a, b, c] },
    { type: "requires_action", event_ids: [a, c] },
    { type: "requires_action", event_ids: [c] },
    { type: "end_turn" },
  ]);
  const seen = types(on.session);
  const beforeIdle = seen.flatMap((type, position) => (type === "session.status_idle" ? [seen[position - 1]] : []));
  expect(beforeIdle).toEqual(Array.from({ length: 4 }, () => "session.usage"));
  const last = seen.lastIndexOf("user.tool_result");
  expect(seen.slice(last + 1, last + 3)).toEqual(["session.status_running", "session.thread_status_running"]);
});

test("64: several results of one request settle together", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "a" }, { name: "b" }, { name: "c" }] }] });
  const result = (position: number): unknown => ({ type: "user.tool_result", tool_use_id: on.id(position), content: text("x") });
  expect((await on.send(result(0), result(1))).body.data).toHaveLength(2);
  expect(idles(on.session).slice(1)).toEqual([{ type: "requires_action", event_ids: [on.id(2)] }]);
  const before = on.session.events.length;
  expect((await on.send(result(2), result(2))).status).toBe(400);
  expect(on.session.events).toHaveLength(before);
});

test("64: a message while calls are open waits for the next model request and changes no status", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash", permission: "deny" }, { name: "bash" }] }, { message: "on it" }] });
  const message = on.session.sendMessage("and also");
  expect(idles(on.session)).toHaveLength(1);
  expect(on.session.events.find((event) => event.id === message.id)?.processed_at).toBeNull();
  const applied = await on.setup.application.get(`/v1/sessions/${on.session.id}/events?types[]=user.message&created_at[gt]=1970-01-01T00:00:00Z`);
  expect(applied.body.data.map((event: Json) => event.content[0].text)).toEqual(["Begin."]);
  await on.answer(1);
  await on.session.finished;
  const seen = types(on.session);
  expect(on.session.events.find((event) => event.id === message.id)?.processed_at).not.toBeNull();
  expect(seen.filter((type) => type === "session.status_idle")).toHaveLength(2);
});

test("65: a worker can answer between the calls and the idle", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const session = setup.simulator.createSession({ script: { turns: [{ idleDelayMs: 100, calls: [{ name: "a" }] }] } });
  const call = await session.waitForEvent((event) => event.type === "agent.tool_use");
  expect(session.status).toBe("running");
  session.answer(call.id, "early");
  await session.finished;
  await clock.advance(100);
  expect(idles(session)).toEqual([{ type: "end_turn" }]);
});

test("66: a result of the wrong kind is refused, or stored and ignored", async () => {
  const script: Script = { turns: [{ calls: [{ name: "bash" }, { name: "mine", kind: "custom" }] }] };
  await using strict = await open(script);
  expect((await strict.send({ type: "user.custom_tool_result", custom_tool_use_id: strict.id(0), content: text("x") })).status).toBe(400);
  expect((await strict.send({ type: "user.tool_result", tool_use_id: strict.id(1), content: text("x") })).status).toBe(400);
  await using lax = await open(script, { behaviour: { wrongKindResult: "ignore" } });
  expect((await lax.send({ type: "user.tool_result", tool_use_id: lax.id(1), content: text("x") })).status).toBe(200);
  expect(lax.calls().map((call) => call.outcome)).toEqual(["open", "open"]);
});

test("66: a session of the service's own containers takes no user.tool_result, and custom results as ever", async () => {
  await using setup = await bench();
  const { id: environmentId } = setup.simulator.createEnvironment("cloud", "cloud");
  const session = setup.simulator.createSession({
    environmentId,
    script: {
      turns: [
        {
          calls: [
            { name: "bash", answer: { by: "server", text: "ran in the cloud", afterMs: 100 } },
            { name: "mine", kind: "custom" },
          ],
        },
      ],
    },
  });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  const [agent, custom] = session.report().calls;
  const send = (event: unknown): Promise<Answer> => setup.application.post(`/v1/sessions/${session.id}/events`, { events: [event] });
  const refused = await send({ type: "user.tool_result", tool_use_id: agent?.id, content: text("x") });
  expect([refused.status, refused.body.error.message]).toEqual([400, "user.tool_result is only valid on self-hosted environments."]);
  expect((await send({ type: "user.custom_tool_result", custom_tool_use_id: custom?.id, content: text("y") })).status).toBe(200);
  expect((await session.finished).calls.map((call) => call.result?.text)).toEqual(["ran in the cloud", "y"]);
});

test("67: a second result and an unknown id are refused and not stored", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }, { name: "bash" }] }] });
  expect((await on.answer(0, "first")).status).toBe(200);
  const before = on.session.events.length;
  expect((await on.answer(0, "second")).body.error).toMatchObject({
    type: "invalid_request_error",
    message: `Tool use ${on.id(0)} is already settled.`,
  });
  expect((await on.send({ type: "user.tool_result", tool_use_id: "sevt_none", content: text("x") })).status).toBe(400);
  expect(on.session.events).toHaveLength(before);
  expect(on.calls()[0]?.result?.text).toBe("first");
});

test("67: with the other positions a settled or unknown call is 404 or 409, and so is an interrupted one", async () => {
  for (const settledResultStatus of [404, 409] as const) {
    await using on = await open({ turns: [{ calls: [{ name: "bash" }, { name: "bash" }] }] }, { behaviour: { settledResultStatus } });
    expect((await on.answer(0)).status).toBe(200);
    on.session.interrupt();
    const unknown = await on.send({ type: "user.tool_result", tool_use_id: "sevt_none", content: text("x") });
    expect([(await on.answer(0)).status, (await on.answer(1)).status, unknown.status]).toEqual(Array(3).fill(settledResultStatus));
  }
});

test("68: an accepted result is echoed once with its time, and with the thread of a cross-posted call", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }, { name: "bash", thread: "helper" }] }] });
  const created = on.session.events.find((event) => event.type === "session.thread_created");
  const [, crossPosted] = on.session.events.filter((event) => event.type === "agent.tool_use");
  expect(crossPosted?.["session_thread_id"]).toBe(created?.["session_thread_id"]);
  const echoes = [(await on.answer(0)).body.data[0], (await on.answer(1)).body.data[0]];
  expect(echoes.map((echo) => [typeof echo.processed_at, echo.session_thread_id])).toEqual([
    ["string", undefined],
    ["string", created?.["session_thread_id"]],
  ]);
  expect(types(on.session).filter((type) => type === "user.tool_result")).toHaveLength(2);
  expect(on.calls().map((call) => call.thread)).toEqual([null, "helper"]);
});

test("69: only the blocks of a result are accepted", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }] }] });
  const send = (content: unknown): Promise<Answer> => on.send({ type: "user.tool_result", tool_use_id: on.id(0), content });
  for (const wrong of [
    [{ type: "redacted" }],
    [{ type: "text" }],
    [{ type: "text", text: "" }],
    [{ type: "image", source: { type: "path" } }],
    "text",
  ]) {
    expect([wrong, (await send(wrong)).status]).toEqual([wrong, 400]);
  }
  expect((await send([{ type: "redacted" }])).body.error.message).toMatch(/^events\.0\.content\.0\.type: /);
  const accepted = [
    { type: "text", text: "a" },
    { type: "image", source: { type: "base64", data: "aGk=", media_type: "image/png" } },
    { type: "document", source: { type: "text", data: "b", media_type: "text/plain" } },
    { type: "search_result", source: "s", title: "t", content: [{ type: "text", text: "c" }], citations: { enabled: false } },
  ];
  expect((await send(accepted)).body.data[0].content).toEqual(accepted);
  await using lax = await open({ turns: [{ calls: [{ name: "bash" }] }] }, { behaviour: { emptyText: "accept" } });
  expect((await lax.answer(0, "")).status).toBe(200);
});

test("69: what no client may send is refused", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }] }] });
  for (const event of [{ type: "agent.message", content: [] }, { type: "user.message" }, { type: "user.message", content: [], more: 1 }, null]) {
    expect([event, (await on.send(event)).status]).toEqual([event, 400]);
  }
  expect((await on.send()).status).toBe(400);
  const system = { type: "system.message", content: text("note") };
  expect((await on.send(system)).status).toBe(400);
  expect((await on.send(system, { type: "user.message", content: text("hi") })).status).toBe(400);
  expect((await on.send({ type: "user.message", content: text("hi") }, system)).status).toBe(200);
});

test("70: a send that fails several times and then succeeds stores one result", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }] }] });
  on.setup.simulator.addRequestFault({ endpoint: "events.send", times: 2, status: 500 });
  on.setup.simulator.addRequestFault({ endpoint: "events.send", nth: 3, status: 429 });
  const statuses = [];
  for (let attempt = 0; attempt < 4; attempt++) statuses.push((await on.answer(0)).status);
  expect(statuses).toEqual([500, 500, 429, 200]);
  expect(types(on.session).filter((type) => type === "user.tool_result")).toHaveLength(1);
});

test("71: a send whose response was lost is stored, and its repetition is a duplicate", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }, { name: "bash" }] }] });
  on.setup.simulator.addRequestFault({ endpoint: "events.send", cut: "after", where: (request) => request.sent[0]?.toolUseId === on.id(0) });
  await expect(on.answer(0)).rejects.toThrow("fetch failed");
  expect((await on.answer(0)).status).toBe(400);
  expect(on.calls()[0]?.outcome).toBe("result");
});

test("73, 74: another client answers what this worker does not own, before or after the idle", async () => {
  await using on = await open({
    turns: [
      {
        calls: [
          { name: "mine", kind: "custom" },
          { name: "theirs", kind: "custom", answer: { by: "application", text: "from the application" } },
        ],
      },
    ],
  });
  await on.session.waitForEvent((event) => event.type === "user.custom_tool_result");
  await on.setup.application.post(`/v1/sessions/${on.session.id}/events`, {
    events: [{ type: "user.custom_tool_result", custom_tool_use_id: on.id(0), is_error: true, content: text("no") }],
  });
  const { calls } = await on.session.finished;
  expect(calls.map((call) => call.result)).toMatchObject([
    { text: "no", isError: true },
    { text: "from the application", isError: false },
  ]);
});

test("75: calls of the service and its results flow past", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { name: "web_fetch", answer: { by: "server", text: "page" } },
            { name: "query", kind: "mcp", answer: { by: "server", text: "rows" } },
          ],
        },
      ],
    },
  });
  const { calls } = await session.finished;
  expect(calls.map((call) => [call.kind, call.result?.text])).toEqual([
    ["agent", "page"],
    ["mcp", "rows"],
  ]);
  expect(types(session).filter((type) => type.startsWith("agent."))).toEqual([
    "agent.tool_use",
    "agent.mcp_tool_use",
    "agent.tool_result",
    "agent.mcp_tool_result",
  ]);
  expect(idles(session)).toEqual([{ type: "end_turn" }]);
});

test("75: a call of the service takes no result of a client", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "query", kind: "mcp", answer: { by: "server", text: "rows", afterMs: 3_600_000 } }] }] });
  expect((await on.answer(0)).body.error.message).toBe(`Tool use ${on.id(0)} is run by the service and takes no result.`);
});

test("76: a thread that terminates drops its calls, and a late result is refused", async () => {
  await using on = await open({
    turns: [{ calls: [{ name: "bash" }, { name: "bash", thread: "helper" }, { name: "bash", thread: "helper", permission: "ask" }] }],
  });
  on.session.terminateThread("helper");
  expect(on.session.events.findLast((event) => event.type === "session.thread_status_terminated")?.["agent_name"]).toBe("helper");
  expect(on.calls().map((call) => call.outcome)).toEqual(["open", "dropped", "dropped"]);
  expect((await on.answer(1)).status).toBe(400);
  expect(idles(on.session).at(-1)).toEqual({ type: "requires_action", event_ids: [on.id(0)] });
  await on.answer(0);
  expect((await on.session.finished).status).toBe("completed");
});

test("77: an interrupt closes the open calls with the documented text, idles with end_turn, and a late result is refused", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }, { name: "bash", permission: "ask" }] }] });
  await on.setup.application.post(`/v1/sessions/${on.session.id}/events`, { events: [{ type: "user.interrupt" }] });
  const { calls } = await on.session.finished;
  for (const call of calls) {
    expect(call).toMatchObject({
      outcome: "interrupted",
      result: { isError: true, text: "Tool execution was interrupted before completion. Please retry." },
    });
  }
  expect(idles(on.session).at(-1)).toEqual({ type: "end_turn" });
  expect((await on.answer(0)).status).toBe(400);
  const interrupt = on.session.events.find((event) => event.type === "user.interrupt");
  const invalidated = on.session.events.filter(
    (event) => event.type === "agent.tool_use" && String(event.processed_at) < String(interrupt?.processed_at),
  );
  expect(invalidated.map((event) => event.id)).toEqual(calls.map((call) => call.id));
});

test("77: after an interrupt the next turn waits for a message", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }] }, { message: "next" }] });
  on.session.interrupt();
  expect([on.session.status, types(on.session).at(-1)]).toEqual(["idle", "session.status_idle"]);
  await new Promise((resolve) => setImmediate(resolve));
  expect(types(on.session)).not.toContain("agent.message");
  on.session.sendMessage("go on");
  await on.session.finished;
  expect(types(on.session)).toContain("agent.message");
});

test("77: an interrupt for one thread closes that thread's calls only", async () => {
  await using on = await open({ turns: [{ calls: [{ name: "bash" }, { name: "bash", thread: "helper" }] }] });
  on.session.interrupt("helper");
  expect(on.calls().map((call) => call.outcome)).toEqual(["open", "interrupted"]);
  expect(idles(on.session).at(-1)).toEqual({ type: "requires_action", event_ids: [on.id(0)] });
});

test("77: an interrupt that lags is stored unapplied, and results are taken meanwhile", async () => {
  const clock = new VirtualClock();
  await using on = await open({ turns: [{ calls: [{ name: "bash" }, { name: "bash" }] }] }, { clock, behaviour: { interruptLagMs: 500 } });
  expect(on.session.interrupt().processed_at).toBeNull();
  expect((await on.answer(0)).status).toBe(200);
  await clock.advance(500);
  expect(on.calls().map((call) => call.outcome)).toEqual(["result", "interrupted"]);
  expect(on.session.events.find((event) => event.type === "user.interrupt")?.processed_at).not.toBeNull();
});

test("77: a planned interrupt strikes its own turn only, and a planned verdict comes too late without harm", async () => {
  const clock = new VirtualClock();
  const script: Script = {
    turns: [
      { calls: [{ name: "a", permission: "ask", confirm: { result: "deny", afterMs: 500 } }], interrupt: { afterMs: 1_000 } },
      { calls: [{ name: "b" }] },
      { calls: [{ name: "c" }, { name: "d" }], interrupt: { afterSettled: 1, afterMs: 100 } },
    ],
  };
  await using on = await open(script, { clock });
  const answer = async (name: string): Promise<void> => {
    const { id } = await on.session.waitForEvent((event) => event["name"] === name);
    on.session.answer(id, "ok");
  };
  on.session.confirm(on.id(0), "allow");
  await answer("a");
  await on.session.waitForEvent((event) => event["name"] === "b");
  await clock.advance(1_000);
  expect(on.calls().map((call) => call.outcome)).toEqual(["result", "open"]);
  await answer("b");
  await answer("c");
  await clock.advance(100);
  expect((await on.session.finished).calls.map((call) => call.outcome)).toEqual(["result", "result", "result", "interrupted"]);
});

test("78: unknown events and unknown stop reasons pass unharmed", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({
    script: { turns: [{ events: [{ type: "agent.dreamed", about: { sheep: 3 } }], idle: { type: "weather", wind: 7 } }] },
  });
  await session.finished;
  expect(session.events.find((event) => event.type === "agent.dreamed")?.["about"]).toEqual({ sheep: 3 });
  expect(idles(session)).toEqual([{ type: "weather", wind: 7 }]);
});
