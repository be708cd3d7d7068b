import { expect, test } from "vitest";
import { VirtualClock, type Brain } from "@glovebox/simulator";
import { bench, openStream, tokenOf, type Json } from "./client.ts";

test("45: a dormant session that gets a message, or a stranded one that gets an interrupt, queues one more item", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({
    script: { turns: [{ message: "hi", idle: { type: "end_turn" } }, { calls: [{ name: "bash" }] }] },
  });
  const stop = async (): Promise<void> => void (await setup.application.post(`${setup.work}/${session.work.at(-1)?.id}/stop`, { force: true }));
  session.interrupt();
  expect(session.work).toHaveLength(1);
  await stop();
  session.sendMessage("again");
  session.sendMessage("and again");
  expect(session.work.map((item) => item.state)).toEqual(["stopped", "queued"]);
  await stop();
  session.interrupt();
  expect(session.work.map((item) => item.state)).toEqual(["stopped", "stopped", "queued"]);
  await setup.application.post(`${setup.work}/${session.work.at(-1)?.id}/stop`, {});
  session.sendMessage("while it is stopping");
  expect(session.work.map((item) => item.state)).toEqual(["stopped", "stopped", "stopping", "queued"]);
});

test("79: a termination is told on the stream, a deletion too, and then the stream ends", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ script: { turns: [{ calls: [{ name: "bash" }] }] } });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  const stream = await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id);
  session.terminate();
  expect((await stream.next())?.name).toBe("session.status_terminated");
  expect(await session.finished).toMatchObject({ status: "terminated", calls: [{ outcome: "dropped", result: null }] });
  session.delete();
  expect((await stream.next())?.name).toBe("session.deleted");
  expect(await stream.next()).toBeNull();
  expect(setup.simulator.session(session.id)).toBeUndefined();
});

test("79: a brain that waits for something of its own does not hold up the end of its session", async () => {
  await using setup = await bench();
  const signals: AbortSignal[] = [];
  const brain: Brain = async function* ({ signal }) {
    signals.push(signal);
    yield { message: "waiting" };
    await new Promise(() => undefined);
  };
  const session = setup.simulator.createSession({ brain });
  await session.waitForEvent((event) => event.type === "span.model_request_end");
  session.terminate();
  expect(await session.finished).toMatchObject({ status: "terminated" });
  expect(signals[0]?.aborted).toBe(true);
});

test("80: a termination can stand in history only", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null });
  const stream = await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id);
  session.terminate({ live: false });
  session.emit({ type: "custom.note" });
  expect((await stream.next())?.name).toBe("custom.note");
  expect(session.events.map((event) => event.type)).toEqual(["session.status_terminated", "custom.note"]);
});

test("81: a turn ends with any stop reason, a refusal with its details", async () => {
  await using setup = await bench();
  const details = { type: "refusal", category: null, explanation: "no" };
  const reasons = ["end_turn", "retries_exhausted", "budget_reached", "refusal", "unheard_of"];
  const session = setup.simulator.createSession({
    script: { turns: reasons.map((type) => ({ user: type, idle: { type }, ...(type === "refusal" ? { stopDetails: details } : {}) })) },
  });
  await session.finished;
  const idle = session.events.filter((event) => event.type === "session.status_idle");
  expect(idle.map((event) => event["stop_reason"])).toEqual(reasons.map((type) => ({ type })));
  expect(idle.map((event) => event["stop_details"])).toEqual([null, null, null, details, null]);
});

test("82: a brain continues after its idle when a message comes, and sees it", async () => {
  await using setup = await bench();
  const brain: Brain = async function* ({ messages }) {
    yield { message: "one", idle: { type: "end_turn" } };
    yield { message: messages.join("+") };
    yield { message: messages.join("+") };
  };
  const session = setup.simulator.createSession({ brain, prompt: "first" });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  session.sendMessage("second");
  await session.finished;
  const said = session.events.filter((event) => event.type === "agent.message").map((event) => (event["content"] as { text: string }[])[0]?.text);
  expect(said).toEqual(["one", "first", "first+second"]);
});

test("83: after its item was stopped a message queues a new one, and answered calls stay answered", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ script: { turns: [{ calls: [{ name: "bash" }] }] } });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  session.answer(session.report().calls[0]?.id ?? "", "done");
  await session.finished;
  await setup.worker.post(`${setup.work}/${session.work[0]?.id}/stop`, { force: true });
  session.sendMessage("more");
  const applied = (): Json => session.events.findLast((event) => event.type === "user.message");
  while (applied().processed_at === null || session.status !== "idle") await new Promise((resolve) => setImmediate(resolve));
  expect(session.events.at(-1)).toMatchObject({ type: "session.status_idle", stop_reason: { type: "end_turn" } });
  expect(session.work.map((item) => item.state)).toEqual(["stopped", "queued"]);
  expect(session.report().calls.map((call) => call.outcome)).toEqual(["result"]);
});

test("84: an item whose worker died comes back after its TTL with the call still pending", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock, behaviour: { leaseTtlMs: 60_000 } });
  const session = setup.simulator.createSession({ script: { turns: [{ calls: [{ name: "bash" }] }] } });
  const poll = async (): Promise<Json> => (await setup.worker.get(`${setup.work}/poll`)).body;
  const first = await poll();
  await setup.worker.post(`${setup.work}/${first.id}/ack`);
  await setup.client(tokenOf(first.secret)).post(`${setup.work}/${first.id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`);
  expect(await poll()).toBeNull();
  await clock.advance(60_000);
  const second = await poll();
  expect(second.id).toBe(first.id);
  expect(session.report().calls).toMatchObject([{ outcome: "open", settledAtMs: null }]);
});
