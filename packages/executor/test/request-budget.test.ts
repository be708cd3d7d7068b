import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { RequestBudget } from "../src/request-budget.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const base = "http://control.test/v1";
const paths = {
  poll: ["GET", "/environments/env_1/work/poll?block_ms=999"],
  stats: ["GET", "/environments/env_1/work/stats"],
  stream: ["GET", "/sessions/sesn_1/events/stream"],
  history: ["GET", "/sessions/sesn_1/events?limit=1000"],
  result: ["POST", "/sessions/sesn_1/events"],
  heartbeat: ["POST", "/environments/env_1/work/work_1/heartbeat?expected_last_heartbeat=NO_HEARTBEAT"],
  ack: ["POST", "/environments/env_1/work/work_1/ack"],
  stop: ["POST", "/environments/env_1/work/work_1/stop"],
} as const;
type Name = keyof typeof paths;

/** A budget whose requests tell when they went out; those named are refused, once each. */
function budget(readsPerMinute: number, refusals: readonly { readonly name: Name; readonly headers?: Readonly<Record<string, string>> }[] = []) {
  const sent: { readonly name: string; readonly atMs: number }[] = [];
  const startMs = Date.now();
  const left = [...refusals];
  const limited = new RequestBudget(readsPerMinute).over(async (input) => {
    const name = Object.entries(paths).find(([, [, path]]) => input === `${base}${path}`)?.[0] ?? "";
    sent.push({ name, atMs: Date.now() - startMs });
    const index = left.findIndex((refusal) => refusal.name === name);
    if (index < 0) return Response.json({});
    const [{ headers } = {}] = left.splice(index, 1);
    return Response.json({}, { status: 429, ...(headers === undefined ? {} : { headers }) });
  });
  const send = async (name: Name, signal?: AbortSignal): Promise<Response> => {
    const [method, path] = paths[name];
    return await limited(`${base}${path}`, { method, ...(signal === undefined ? {} : { signal }) });
  };
  return { sent, send };
}

test("no more reads go out in any minute than the share, and polls leave a quarter of it to sessions", async () => {
  const { sent, send } = budget(100);
  const all = Promise.all([...Array.from({ length: 150 }, () => send("poll")), ...Array.from({ length: 60 }, () => send("stream"))]);
  await vi.advanceTimersByTimeAsync(0);
  const within = (name: string): number => sent.filter((request) => request.name === name && request.atMs < 60_000).length;
  expect([within("poll"), within("stream")]).toEqual([75, 25]);
  await vi.advanceTimersByTimeAsync(240_000);
  await all;
  for (const { atMs } of sent) expect(sent.filter((other) => other.atMs > atMs - 60_000 && other.atMs <= atMs).length).toBeLessThanOrEqual(100);
});

test("a refusal holds back what is as important or less, of its kind, for as long as it says", async () => {
  const { sent, send } = budget(1_200, [{ name: "stream", headers: { "retry-after": "10" } }]);
  await send("stream");
  void Promise.all((["poll", "stats", "history", "result", "heartbeat", "ack", "stop"] as const).map(async (name) => await send(name)));
  await vi.advanceTimersByTimeAsync(9_900);
  expect(sent.map(({ name }) => name)).toEqual(["stream", "result", "heartbeat", "ack", "stop"]);
  await vi.advanceTimersByTimeAsync(700);
  expect(new Set(sent.slice(5).map(({ name }) => name))).toEqual(new Set(["poll", "stats", "history"]));
});

test("a refused poll does not hold back sessions", async () => {
  const { sent, send } = budget(1_200, [{ name: "poll", headers: { "retry-after-ms": "5000" } }]);
  await send("poll");
  await send("stream");
  const polling = send("poll");
  await vi.advanceTimersByTimeAsync(4_900);
  expect(sent).toHaveLength(2);
  await vi.advanceTimersByTimeAsync(700);
  await polling;
  expect(sent.at(-1)?.atMs).toBeGreaterThanOrEqual(5_000);
});

test("results wait after a refused result and a refused heartbeat; what holds a lease never waits here", async () => {
  const { sent, send } = budget(1_200, [{ name: "result", headers: { "retry-after": "3" } }, { name: "heartbeat" }]);
  await send("result");
  await send("heartbeat");
  await send("heartbeat");
  await send("stop");
  const late = send("result");
  await vi.advanceTimersByTimeAsync(2_900);
  expect(sent.map(({ name }) => name)).toEqual(["result", "heartbeat", "heartbeat", "stop"]);
  await vi.advanceTimersByTimeAsync(700);
  await late;
  expect(sent.at(-1)?.name).toBe("result");
});

test("an abort ends the wait with its reason, and nothing is sent", async () => {
  const { sent, send } = budget(1_200, [{ name: "result", headers: { "retry-after": "60" } }]);
  await send("result");
  const abort = new AbortController();
  const waiting = send("result", abort.signal).catch((error: unknown) => error);
  abort.abort("enough");
  expect(await waiting).toBe("enough");
  expect(sent).toHaveLength(1);
});
