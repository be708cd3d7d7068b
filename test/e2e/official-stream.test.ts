import type { Brain } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { attached, bash, endpointsOf, runOfficial, stopped } from "./official.ts";

const once = [{ calls: [bash("echo once >> ran.txt")] }, { calls: [{ ...bash("cat ran.txt"), expect: { equals: "once" } }] }];

test("50: a frame without its name is dropped, and the call found when the stream is reopened", async () => {
  await using running = await runOfficial();
  const { simulator } = running;
  const fault = simulator.addStreamFault({ kind: "no_event_name", where: (event) => event.type === "agent.tool_use" });
  const session = simulator.createSession({ prompt: null, script: { turns: once } });
  await attached(simulator, session);
  session.sendMessage("Begin.");
  await session.waitForEvent((event) => event.type === "session.status_idle");
  await new Promise((resolve) => setTimeout(resolve, 150));
  expect([fault.struck, session.report().calls[0]?.outcome]).toEqual([1, "open"]);
  session.cutStreams();
  expect((await session.finished).failures).toEqual([]);
  await running.expectClean();
});

test("51: neither pings nor comments reset the idle clock", async () => {
  for (const kind of ["ping", "comment"] as const) {
    await using running = await runOfficial({ simulator: { behaviour: { keepAlive: { kind, intervalMs: 10 } } }, maxIdleMs: 200 });
    const session = running.simulator.createSession();
    await stopped(running.simulator, session);
    expect(session.work).toMatchObject([{ state: "stopped" }]);
    await running.expectClean();
  }
});

test("52: a stream that is cut is reopened, and a call that was lost with it is found in history", async () => {
  for (const kind of ["cut", "cut_mid_frame", "end", "error", "invalid_json"] as const) {
    await using running = await runOfficial();
    const { simulator } = running;
    const fault = simulator.addStreamFault({ kind, where: (event) => event.type === "agent.tool_use", nth: 2 });
    const session = simulator.createSession({
      prompt: null,
      script: { turns: [{ calls: [bash("echo one >> ran.txt")] }, { calls: [bash("echo two >> ran.txt")] }, { calls: [bash("cat ran.txt")] }] },
    });
    await attached(simulator, session);
    session.sendMessage("Begin.");
    const report = await session.finished;
    expect([kind, report.calls.at(-1)?.result?.text, fault.struck]).toEqual([kind, "one\ntwo", 1]);
    expect(endpointsOf(simulator).filter((name) => name === "events.stream")).toHaveLength(2);
  }
});

test("55: a call that the stream carries twice runs once", async () => {
  await using running = await runOfficial();
  const fault = running.simulator.addStreamFault({ kind: "duplicate", times: Infinity });
  const session = running.simulator.createSession({
    prompt: null,
    script: { turns: [{ calls: [bash("echo once >> ran.txt")] }, { calls: [{ ...bash("cat ran.txt"), expect: { equals: "once" } }] }] },
  });
  await attached(running.simulator, session);
  session.sendMessage("Begin.");
  expect((await session.finished).failures).toEqual([]);
  expect(fault.struck).toBeGreaterThan(0);
});

test("53: a call that history and stream both carry runs once", async () => {
  await using running = await runOfficial();
  const { simulator } = running;
  simulator.addRequestFault({ endpoint: "events.list", latencyMs: 200 });
  const session = simulator.createSession({ prompt: null, script: { turns: once } });
  await simulator.waitForRequest((request) => request.endpoint === "events.stream");
  session.sendMessage("Begin.");
  expect((await session.finished).failures).toEqual([]);
  await running.expectClean();
});

test("56: frames byte by byte, with CRLF, are read as any others", async () => {
  await using running = await runOfficial({ simulator: { behaviour: { lineEnds: "crlf" } } });
  running.simulator.addStreamFault({ kind: "split", times: Infinity });
  const session = running.simulator.createSession({
    prompt: null,
    script: { turns: [{ calls: [{ ...bash("echo ø€😀"), expect: { equals: "ø€😀" } }] }] },
  });
  await attached(running.simulator, session);
  session.sendMessage("Begin.");
  expect((await session.finished).failures).toEqual([]);
});

test("57: a stream refused with 403 ends the item quietly, one refused with 500 or 429 is opened again", async () => {
  await using refused = await runOfficial();
  refused.simulator.addRequestFault({ endpoint: "events.stream", status: 403 });
  const session = refused.simulator.createSession({ script: { turns: once } });
  await stopped(refused.simulator, session);
  expect(session.report().calls.map((call) => call.outcome)).toEqual(["open"]);
  for (const status of [429, 500]) {
    await using running = await runOfficial();
    running.simulator.addRequestFault({ endpoint: "events.stream", status, times: 3, headers: { "retry-after-ms": "1" } });
    expect((await running.simulator.createSession({ script: { turns: once } }).finished).failures).toEqual([]);
    const streams = running.simulator.requests.filter((request) => request.endpoint === "events.stream");
    expect([status, streams.map((request) => request.status)]).toEqual([status, [status, status, status, 200]]);
  }
});

test("58: a history that cannot be read does not stop what comes live", async () => {
  for (const status of [400, 500]) {
    await using running = await runOfficial();
    const { simulator } = running;
    simulator.addRequestFault({ endpoint: "events.list", status, times: Infinity, headers: { "retry-after-ms": "1" } });
    const session = simulator.createSession({ prompt: null, script: { turns: once } });
    await attached(simulator, session);
    session.sendMessage("Begin.");
    expect((await session.finished).failures).toEqual([]);
  }
});

test("80: a termination that stands in history only is not acted upon, until a heartbeat tells of the stop", async () => {
  await using running = await runOfficial({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 100 });
  const { simulator } = running;
  const session = simulator.createSession({ prompt: null });
  await attached(simulator, session);
  session.terminate({ live: false });
  await new Promise((resolve) => setTimeout(resolve, 300));
  session.cutStreams();
  await simulator.waitForRequest(() => endpointsOf(simulator).filter((name) => name === "events.list").length === 2);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(endpointsOf(simulator)).not.toContain("work.stop");
  const { url, apiKey } = simulator;
  await fetch(`${url}/v1/environments/${simulator.environmentId}/work/${session.work[0]?.id}/stop`, {
    method: "POST",
    headers: { authorization: `Bearer ${apiKey}`, "anthropic-beta": "managed-agents-2026-04-01" },
  });
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.credential === "sessions_token");
});

test("81: every idle but one that requires action starts the countdown", async () => {
  for (const type of ["end_turn", "retries_exhausted", "budget_reached", "refusal", "unheard_of"]) {
    await using running = await runOfficial({ maxIdleMs: 50 });
    const session = running.simulator.createSession({ script: { turns: [{ idle: { type } }] } });
    await stopped(running.simulator, session);
    await running.expectClean();
  }
  await using waiting = await runOfficial({ maxIdleMs: 50 });
  const session = waiting.simulator.createSession({ script: { turns: [{ calls: [{ name: "nobody_has_this" }] }] } });
  await attached(waiting.simulator, session);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(endpointsOf(waiting.simulator)).not.toContain("work.stop");
});

test("82: a message within the countdown cancels it, and the same item goes on", async () => {
  await using running = await runOfficial({ maxIdleMs: 1_000 });
  const brain: Brain = async function* () {
    yield { calls: [bash("echo one")], idle: { type: "end_turn" } };
    yield { calls: [bash("echo two")], idle: { type: "end_turn" } };
  };
  const session = running.simulator.createSession({ brain });
  await session.waitForEvent(
    (event) => event.type === "session.status_idle" && (event["stop_reason"] as { readonly type: string }).type === "end_turn",
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  session.sendMessage("Go on.");
  await session.finished;
  await stopped(running.simulator, session);
  expect(session.work).toHaveLength(1);
  const idle = session.events.findLast((event) => event.type === "session.status_idle");
  const stop = running.simulator.requests.findLast((request) => request.endpoint === "work.stop");
  expect((stop?.atMs ?? 0) - Date.parse(String(idle?.processed_at))).toBeGreaterThan(990);
  await running.expectClean();
});

test("82: a confirmation and a thread's termination do not cancel the countdown", async () => {
  await using running = await runOfficial({ maxIdleMs: 1_000 });
  const { simulator } = running;
  const session = simulator.createSession({ script: { turns: [{ events: [{ type: "agent.thinking" }] }] } });
  await attached(simulator, session);
  await session.finished;
  const idle = session.events.findLast((event) => event.type === "session.status_idle");
  await new Promise((resolve) => setTimeout(resolve, 700));
  session.emit({ type: "user.tool_confirmation", tool_use_id: "sevt_other", result: "allow" });
  session.emit({ type: "session.thread_status_terminated", session_thread_id: "sthr_other", agent_name: "other" });
  await stopped(simulator, session);
  const stop = simulator.requests.findLast((request) => request.endpoint === "work.stop");
  expect((stop?.atMs ?? 0) - Date.parse(String(idle?.processed_at))).toBeLessThan(1_650);
});
