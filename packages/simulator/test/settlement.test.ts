import * as fc from "fast-check";
import { expect, test } from "vitest";
import { ApiFailure, startSimulator, type SessionEvent, type SessionHandle, type ToolCall } from "@glovebox/simulator";
import { bench, openStream } from "./client.ts";

const call: fc.Arbitrary<ToolCall> = fc.record({
  name: fc.constant("tool"),
  kind: fc.constantFrom("agent" as const, "custom" as const),
  permission: fc.constantFrom("allow", "ask", "deny"),
  thread: fc.constantFrom("helper", "other"),
});

type Action = (session: SessionHandle, ids: readonly string[]) => void;

const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.nat({ max: 5 }).map(
      (position): Action =>
        (session, ids) =>
          void session.answer(ids[position] ?? "none", "ok"),
    ),
  },
  {
    weight: 4,
    arbitrary: fc.tuple(fc.nat({ max: 5 }), fc.constantFrom("allow" as const, "deny" as const)).map(
      ([position, verdict]): Action =>
        (session, ids) =>
          void session.confirm(ids[position] ?? "none", verdict),
    ),
  },
  { weight: 1, arbitrary: fc.constant<Action>((session) => void session.sendMessage("more")) },
  { weight: 1, arbitrary: fc.constant<Action>((session) => void session.interrupt("helper")) },
  { weight: 1, arbitrary: fc.constant<Action>((session) => session.terminateThread("other")) },
  { weight: 1, arbitrary: fc.constant<Action>((session) => void session.interrupt()) },
);

/** The call that an event settles. */
function settledBy(event: SessionEvent): string | undefined {
  if (!["user.tool_result", "user.custom_tool_result", "agent.tool_result"].includes(event.type)) return undefined;
  return String(event["tool_use_id"] ?? event["custom_tool_use_id"]);
}

test("whatever clients do in whatever order: each call is settled once, and each idle lists exactly the open ones", async () => {
  await using simulator = await startSimulator();
  await fc.assert(
    fc.asyncProperty(fc.array(call, { minLength: 1, maxLength: 6 }), fc.array(action, { maxLength: 12 }), async (calls, actions) => {
      const session = simulator.createSession({ script: { turns: [{ calls }] } });
      await session.waitForEvent((event) => event.type === "span.model_request_end");
      const ids = session.report().calls.map((each) => each.id);
      for (const act of actions) {
        try {
          act(session, ids);
        } catch (error) {
          // terminating a thread that no call made is 404, everything that settles twice 400
          if (!(error instanceof ApiFailure) || (error.status !== 400 && error.status !== 404)) throw error;
        }
      }
      session.interrupt();
      const report = await session.finished;
      const dropped = new Set(report.calls.filter((each) => each.outcome === "dropped").map((each) => each.id));
      const settled = session.events.flatMap((event) => settledBy(event) ?? []);
      expect(settled.toSorted()).toEqual(ids.filter((id) => !dropped.has(id)).toSorted());

      const open = new Set(ids);
      const listed: { readonly told: readonly string[] | undefined; readonly open: readonly string[] }[] = [];
      let previous = "";
      for (const event of session.events) {
        const id = settledBy(event);
        if (id !== undefined) open.delete(id);
        if (event.type === "session.thread_status_terminated") for (const each of dropped) open.delete(each);
        const reason = event["stop_reason"] as { readonly type: string; readonly event_ids?: readonly string[] } | undefined;
        const idle = event.type === "session.status_idle";
        expect(idle && previous !== "session.usage").toBe(false);
        if (idle) listed.push({ told: reason?.type === "requires_action" ? reason.event_ids : [], open: [...open] });
        previous = event.type;
      }
      expect(listed.map((idle) => idle.told)).toEqual(listed.map((idle) => idle.open));
      session.terminate();
    }),
    { numRuns: 300 },
  );
});

test("clients that leave at any moment harm nobody", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null });
  const path = `${setup.simulator.url}/v1/sessions/${session.id}/events/stream`;
  const headers = { authorization: `Bearer ${setup.simulator.environmentKey}`, "anthropic-beta": "managed-agents-2026-04-01" };
  const stays = await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id);
  for (let round = 0; round < 40; round++) {
    const leaving = new AbortController();
    const poll = fetch(`${setup.simulator.url}${setup.work}/poll?block_ms=999&reclaim_older_than_ms=86400000`, { headers, signal: leaving.signal });
    const stream = await fetch(path, { headers, signal: leaving.signal });
    const emitting = setInterval(() => session.emit({ type: "custom.note" }), 0);
    leaving.abort();
    await Promise.allSettled([poll, stream.text()]);
    clearInterval(emitting);
  }
  session.emit({ type: "custom.last" });
  expect((await stays.until("custom.last")).length).toBe(session.events.length);
});
