import { expect, test } from "vitest";
import { startSimulator, type Simulator } from "@glovebox/simulator";
import { openStream, tokenOf, type FrameReader, type Json } from "./client.ts";

const sessions = 200;
const callsEach = 3;

/** Serve one item to its end: stream, history, one result for each call, stop. */
async function serve(simulator: Simulator, item: Json): Promise<void> {
  const token = tokenOf(item.secret);
  const headers = { authorization: `Bearer ${token}`, "anthropic-beta": "managed-agents-2026-04-01" };
  const path = `${simulator.url}/v1/environments/${item.environment_id}/work/${item.id}`;
  const events = `${simulator.url}/v1/sessions/${item.data.id}/events`;
  await fetch(`${path}/ack`, { method: "POST", headers: { ...headers, authorization: `Bearer ${simulator.environmentKey}` } });
  await fetch(`${path}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`, { method: "POST", headers });
  await using stream: FrameReader = await openStream(simulator.url, token, item.data.id);
  const history: Json = await (await fetch(`${events}?limit=1000`, { headers })).json();
  const answered = new Set<string>();
  const answer = async (event: Json): Promise<void> => {
    if (event.type !== "agent.tool_use" || answered.has(event.id)) return;
    answered.add(event.id);
    const body = JSON.stringify({
      events: [{ type: "user.tool_result", tool_use_id: event.id, content: [{ type: "text", text: event.input.text }] }],
    });
    const sent = await fetch(events, { method: "POST", headers, body });
    expect(sent.status).toBe(200);
  };
  for (const event of history.data) await answer(event);
  for (;;) {
    const frame = await stream.next();
    if (frame === null) throw new Error("the stream ended");
    if (frame.data.type === "session.status_idle" && frame.data.stop_reason.type === "end_turn") break;
    await answer(frame.data);
  }
  await fetch(`${path}/stop`, { method: "POST", headers, body: '{"force":true}' });
}

async function worker(simulator: Simulator): Promise<void> {
  const headers = { authorization: `Bearer ${simulator.environmentKey}`, "anthropic-beta": "managed-agents-2026-04-01" };
  for (;;) {
    const item: Json = await (await fetch(`${simulator.url}/v1/environments/${simulator.environmentId}/work/poll`, { headers })).json();
    if (item === null) return;
    await serve(simulator, item);
  }
}

test("a hundred workers serve two hundred sessions: each call is answered once, each item stopped once", async () => {
  await using simulator = await startSimulator({ behaviour: { reclaimOlderThanMs: 60_000 } });
  const handles = Array.from({ length: sessions }, (_, session) =>
    simulator.createSession({
      script: {
        turns: Array.from({ length: callsEach }, (__, turn) => ({
          calls: [{ name: "echo", input: { text: `${session}.${turn}` }, expect: { equals: `${session}.${turn}` } }],
        })),
      },
    }),
  );
  await Promise.all(Array.from({ length: 100 }, () => worker(simulator)));
  const reports = await Promise.all(handles.map((handle) => handle.finished));
  expect(reports.filter((report) => report.passed && report.status === "completed")).toHaveLength(sessions);
  expect(new Set(reports.flatMap((report) => report.calls.map((call) => call.id))).size).toBe(sessions * callsEach);
  const count = (endpoint: string): number => simulator.requests.filter((request) => request.endpoint === endpoint && request.status === 200).length;
  expect([count("events.send"), count("work.ack"), count("work.stop")]).toEqual([sessions * callsEach, sessions, sessions]);
});
