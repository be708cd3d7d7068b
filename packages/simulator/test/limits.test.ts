import { expect, test } from "vitest";
import { VirtualClock } from "@glovebox/simulator";
import { bench, openStream } from "./client.ts";

test("15: creates and reads have limits of their own, and a refusal says when there is room again", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock, behaviour: { rateLimits: { create: 300, read: 1200 } } });
  const create = async (): Promise<readonly unknown[]> => {
    const { status, headers, body } = await setup.application.post("/v1/memory_stores", { name: "Notes" });
    return [status, headers.get("retry-after"), headers.get("retry-after-ms"), body.error?.type];
  };
  const statuses = await Promise.all(Array.from({ length: 300 }, create));
  expect(statuses.filter(([status]) => status === 200)).toHaveLength(300);
  expect(await create()).toEqual([429, "1", "200", "rate_limit_error"]);
  await clock.advance(199);
  expect((await create())[0]).toBe(429);
  await clock.advance(1);
  expect((await create())[0]).toBe(200);
  expect((await create())[0]).toBe(429);
  expect((await setup.worker.get(`${setup.work}/poll`)).status).toBe(200);
  await clock.advance(3_600_000);
  const again = await Promise.all(Array.from({ length: 301 }, create));
  expect(again.filter(([status]) => status === 200)).toHaveLength(300);
});

test("15: polls, lists and streams are reads of every credential together, results and heartbeats are not", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock, behaviour: { rateLimits: { read: 3 } } });
  const session = setup.simulator.createSession({ prompt: null });
  expect((await setup.worker.get(`${setup.work}/poll`)).status).toBe(200);
  expect((await setup.application.get("/v1/sessions")).status).toBe(200);
  expect((await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id)).status).toBe(200);
  expect((await setup.worker.get(`${setup.work}/poll`)).headers.get("retry-after")).toBe("20");
  expect((await openStream(setup.simulator.url, setup.simulator.environmentKey, session.id)).status).toBe(429);
  const send = await setup.worker.post(`/v1/sessions/${session.id}/events`, { events: [{ type: "user.interrupt" }] });
  expect(send.status).toBe(200);
});

test("15: what is neither has a limit only where one is set, and without limits nothing is refused", async () => {
  await using limited = await bench({ behaviour: { rateLimits: { other: 1 } } });
  const session = limited.simulator.createSession({ prompt: null });
  const send = async (): Promise<number> =>
    (await limited.worker.post(`/v1/sessions/${session.id}/events`, { events: [{ type: "user.interrupt" }] })).status;
  expect([await send(), await send()]).toEqual([200, 429]);
  await using free = await bench();
  for (let count = 0; count < 400; count++) expect((await free.application.post("/v1/memory_stores", { name: "Notes" })).status).toBe(200);
});
