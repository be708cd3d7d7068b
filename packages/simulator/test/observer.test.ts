import { expect, test } from "vitest";
import type { Observation } from "@glovebox/simulator";
import { bench } from "./client.ts";

test("an observer hears of requests once they are answered, of sessions however they are made, and of their events in order", async () => {
  const seen: Observation[] = [];
  await using setup = await bench({ observer: (observation) => seen.push(observation) });
  const { simulator, application } = setup;
  const session = simulator.createSession({ script: { turns: [{ message: "hi" }] } });
  await session.finished;
  const created = (await application.post("/v1/sessions", { agent: simulator.agentId, environment_id: simulator.environmentId })).body;
  simulator.addRequestFault({ endpoint: "work.poll", cut: "before" });
  await expect(setup.worker.get(`${setup.work}/poll`)).rejects.toThrow("fetch failed");
  await simulator.waitForRequest((request) => request.endpoint === "work.poll");
  expect(seen.flatMap((each) => (each.type === "session" ? [each.session.id] : []))).toEqual([session.id, created.id]);
  expect(seen.flatMap((each) => (each.type === "request" ? [[each.request.endpoint, each.request.status]] : []))).toEqual([
    ["sessions.create", 200],
    ["work.poll", null],
  ]);
  const types = seen.flatMap((each) => (each.type === "event" && each.session.id === session.id ? [each.event.type] : []));
  expect(types.slice(0, 4)).toEqual(["user.message", "user.message", "session.status_running", "session.thread_status_running"]);
  expect(types.at(-1)).toBe("session.status_idle");
});
