import { expect, test } from "vitest";
import { bench, openStream, tokenOf } from "./client.ts";

test("a session runs from its queue to its end over plain HTTP", async () => {
  await using setup = await bench();
  const { simulator, worker, work, client } = setup;
  const session = simulator.createSession({
    script: {
      turns: [{ message: "Looking.", calls: [{ name: "bash", input: { command: "ls" }, expect: { equals: "a.txt" } }] }, { message: "One file." }],
    },
  });
  const item = (await worker.get(`${work}/poll?block_ms=999`)).body;
  expect(item).toMatchObject({ type: "work", state: "queued", data: { type: "session", id: session.id } });
  expect((await worker.post(`${work}/${item.id}/ack`)).body).toMatchObject({ state: "starting", secret: null });
  const token = tokenOf(item.secret);
  const holder = client(token);
  expect((await holder.post(`${work}/${item.id}/heartbeat?expected_last_heartbeat=NO_HEARTBEAT`)).body).toMatchObject({
    state: "active",
    lease_extended: true,
  });
  await using stream = await openStream(simulator.url, token, session.id);
  const history = (await holder.get(`/v1/sessions/${session.id}/events?limit=1000`)).body.data;
  const call = history.find((event: { type: string }) => event.type === "agent.tool_use");
  expect(call).toMatchObject({ name: "bash", input: { command: "ls" }, evaluated_permission: "allow" });
  const sent = await holder.post(`/v1/sessions/${session.id}/events`, {
    events: [{ type: "user.tool_result", tool_use_id: call.id, is_error: false, content: [{ type: "text", text: "a.txt" }] }],
  });
  expect(sent.status).toBe(200);
  const frames = await stream.until("session.status_idle");
  expect(frames.map((frame) => frame.name)).toEqual([
    "user.tool_result",
    "session.status_running",
    "session.thread_status_running",
    "span.model_request_start",
    "agent.message",
    "span.model_request_end",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
  ]);
  expect(frames.at(-1)?.data.stop_reason).toEqual({ type: "end_turn" });
  expect((await holder.post(`${work}/${item.id}/stop`, { force: true })).body.state).toBe("stopped");
  const report = await session.finished;
  expect(report).toMatchObject({ status: "completed", passed: true, failures: [], turns: 2 });
  expect(report.calls).toMatchObject([{ id: call.id, name: "bash", outcome: "result", result: { text: "a.txt", isError: false } }]);
});
