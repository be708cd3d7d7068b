import Anthropic from "@anthropic-ai/sdk";
import { startSimulator, type Brain, type LoggedRequest, type Simulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { bash, endpointsOf, helperClient, runOfficial } from "./official.ts";

const beatsOf = (simulator: Simulator): readonly LoggedRequest[] => simulator.requests.filter((request) => request.endpoint === "work.heartbeat");

test("34: the TTL that the simulator grants drives the interval of the heartbeats", async () => {
  await using running = await runOfficial({ simulator: { behaviour: { leaseTtlMs: 3_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  simulator.createSession({ prompt: null });
  await simulator.waitForRequest(() => beatsOf(simulator).length >= 3);
  const [, second, third] = beatsOf(simulator);
  expect((third?.atMs ?? 0) - (second?.atMs ?? 0)).toBeGreaterThan(1_300);
  expect((third?.atMs ?? 0) - (second?.atMs ?? 0)).toBeLessThan(2_500);
});

test("35: a lost lease is let go without a stop, and the item is served anew", async () => {
  await using running = await runOfficial({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
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
  await using running = await runOfficial({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  simulator.addRequestFault({ endpoint: "work.heartbeat", nth: 2, cut: "after" });
  const session = simulator.createSession({ prompt: null });
  await simulator.waitForRequest((request) => request.endpoint === "work.heartbeat" && request.status === 412);
  expect(session.work[0]?.state).toBe("active");
});

test("38: a graceful stop reaches the worker by its next heartbeat", async () => {
  await using running = await runOfficial({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  const session = simulator.createSession({ script: { turns: [{ calls: [bash("echo served")] }] } });
  await session.finished;
  const application = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const stopping = await application.beta.environments.work.stop(session.work[0]?.id ?? "", { environment_id: simulator.environmentId });
  expect(stopping.state).toBe("stopping");
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.credential === "sessions_token");
  expect(session.work[0]?.state).toBe("stopped");
});

test("37: an extension that is refused with state active makes the worker stop and force-stop", async () => {
  await using running = await runOfficial({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  simulator.addRequestFault({ endpoint: "work.heartbeat", nth: 2, transform: (body) => ({ ...(body as object), lease_extended: false }) });
  const session = simulator.createSession({ prompt: null });
  await simulator.waitForRequest((request) => request.endpoint === "work.stop");
  expect(session.work[0]?.state).toBe("stopped");
  await running.expectClean();
});

test("39, 40: a heartbeat refused for good aborts the worker, which beats no more and still stops the item", async () => {
  for (const status of [401, 403, 404]) {
    await using running = await runOfficial({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
    const { simulator } = running;
    simulator.addRequestFault({ endpoint: "work.heartbeat", nth: 2, status });
    const session = simulator.createSession({ prompt: null });
    const stop = await simulator.waitForRequest((request) => request.endpoint === "work.stop");
    expect([status, stop.status, session.work[0]?.state]).toEqual([status, 200, "stopped"]);
    expect([status, beatsOf(simulator).map((beat) => beat.status)]).toEqual([status, [200, status]]);
    await running.expectClean();
  }
});

test("44: the item of a terminated session is stopped without a stream being opened", async () => {
  await using simulator = await startSimulator();
  const session = simulator.createSession({ prompt: null });
  session.archive();
  const client = new Anthropic({ apiKey: "unused", baseURL: simulator.url, logLevel: "off" });
  const abort = new AbortController();
  const worker = client.beta.environments.work.worker({ environmentId: simulator.environmentId, environmentKey: simulator.environmentKey });
  const running = worker.run(abort.signal);
  await simulator.waitForRequest((request) => request.endpoint === "work.stop");
  abort.abort();
  await running.catch(() => undefined);
  expect(endpointsOf(simulator)).toEqual(["work.ack", "sessions.retrieve", "work.stop"]);
});

test("a token that ends in mid-session ends the service, and cannot stop the item any more", async () => {
  const behaviour = { leaseTtlMs: 2_000, sessionsTokenLifetimeMs: 500 };
  await using running = await runOfficial({ simulator: { behaviour }, maxIdleMs: 60_000 });
  const { simulator } = running;
  const session = simulator.createSession({ prompt: null });
  const refused = await simulator.waitForRequest((request) => request.status === 401);
  expect([refused.endpoint, refused.credential]).toEqual(["work.heartbeat", "revoked"]);
  const stop = await simulator.waitForRequest((request) => request.endpoint === "work.stop");
  expect([stop.status, session.work[0]?.state]).toEqual([401, "active"]);
});

test("94: an item delivered twice stays with the worker that beat first; the other one lets go without a stop", async () => {
  await using running = await runOfficial({ maxIdleMs: 60_000 });
  const { simulator } = running;
  const refused = simulator.waitForRequest((request) => request.endpoint === "work.heartbeat" && request.status === 412);
  const brain: Brain = async function* () {
    yield { calls: [bash("echo once >> ran.txt")] };
    await refused;
    yield { calls: [bash("cat ran.txt")] };
  };
  const session = simulator.createSession({ brain });
  await session.waitForEvent((event) => event.type === "user.tool_result");
  session.redeliver();
  const { client } = helperClient(simulator);
  const abort = new AbortController();
  const { environmentId, environmentKey } = simulator;
  const second = client.beta.environments.work.worker({ environmentId, environmentKey, workdir: running.workdir }).run(abort.signal);
  expect((await session.finished).calls.map((call) => call.result?.text)).toEqual(["(no output)", "once"]);
  abort.abort();
  await second.catch(() => undefined);
  await running.expectClean();
  expect(simulator.requests.filter((request) => request.endpoint === "work.stop").map((request) => request.token?.delivery)).toEqual([1]);
});
