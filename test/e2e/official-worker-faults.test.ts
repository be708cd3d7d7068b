import Anthropic from "@anthropic-ai/sdk";
import type { Brain } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { attached, bash, endpointsOf, officialWorker } from "../workers/official-here.ts";

test("52: a stream that is cut is reopened, and a call that was lost with it is found in history", async () => {
  for (const kind of ["cut", "cut_mid_frame", "end", "error", "invalid_json"] as const) {
    await using running = await officialWorker();
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
  await using running = await officialWorker();
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

test("35: a lost lease is let go without a stop, and the item is served anew", async () => {
  await using running = await officialWorker({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  const brain: Brain = async function* () {
    yield { calls: [{ ...bash("echo before"), expect: { equals: "before" } }] };
    await simulator.waitForRequest((request) => request.status === 412);
    yield { calls: [{ ...bash("echo after"), expect: { equals: "after" } }] };
  };
  const session = simulator.createSession({ brain });
  await session.waitForEvent((event) => event.type === "user.tool_result");
  session.expireLease();
  expect((await session.finished).failures).toEqual([]);
  const refused = simulator.requests.filter((request) => request.status === 412);
  expect(refused.map((request) => request.endpoint)).toEqual(["work.heartbeat"]);
  expect(endpointsOf(simulator).filter((name) => name === "work.ack")).toHaveLength(2);
  expect(endpointsOf(simulator)).not.toContain("work.stop");
});

test("36: a heartbeat whose response is lost makes the official worker give up a lease that it holds", async () => {
  await using running = await officialWorker({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  simulator.addRequestFault({ endpoint: "work.heartbeat", nth: 2, cut: "after" });
  const session = simulator.createSession({ prompt: null });
  await simulator.waitForRequest((request) => request.endpoint === "work.heartbeat" && request.status === 412);
  expect(session.work[0]?.state).toBe("active");
});

test("38: a graceful stop reaches the worker by its next heartbeat", async () => {
  await using running = await officialWorker({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  const session = simulator.createSession({ script: { turns: [{ calls: [bash("echo served")] }] } });
  await session.finished;
  const application = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const stopping = await application.beta.environments.work.stop(session.work[0]?.id ?? "", { environment_id: simulator.environmentId });
  expect(stopping.state).toBe("stopping");
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.credential === "sessions_token");
  expect(session.work[0]?.state).toBe("stopped");
});

test("71: a result whose response was lost is stored once, and the call is not run again", async () => {
  await using running = await officialWorker();
  running.simulator.addRequestFault({ endpoint: "events.send", cut: "after" });
  const session = running.simulator.createSession({
    script: { turns: [{ calls: [bash("echo once >> ran.txt")] }, { calls: [{ ...bash("cat ran.txt"), expect: { equals: "once" } }] }] },
  });
  expect((await session.finished).failures).toEqual([]);
  expect(session.events.filter((event) => event.type === "user.tool_result")).toHaveLength(2);
});

test("72: after a refused result the official worker goes on, and runs the call again when it reconnects", async () => {
  await using running = await officialWorker();
  const { simulator } = running;
  simulator.addRequestFault({ endpoint: "events.send", status: 400 });
  const session = simulator.createSession({
    script: { turns: [{ calls: [bash("echo ran >> ran.txt"), bash("echo later")] }, { calls: [bash("cat ran.txt")] }] },
  });
  await session.waitForEvent((event) => event.type === "user.tool_result");
  expect(session.report().calls.map((call) => call.outcome)).toEqual(["open", "result"]);
  expect(session.cutStreams()).toBe(1);
  expect((await session.finished).calls.at(-1)?.result?.text).toBe("ran\nran");
});
