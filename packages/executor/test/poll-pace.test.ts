import { expect, test } from "vitest";
import { PollPace } from "../src/poll-pace.ts";

const pace = (pollsPerMinute: number): PollPace => new PollPace({ pollsPerMinute, random: () => 0.5 });

/** When a worker polls whose every poll takes its whole time. */
function pollsOf(worker: PollPace, fromMs: number, toMs: number): readonly number[] {
  const polls: number[] = [];
  for (let nowMs = fromMs; ;) {
    nowMs += worker.waitMs(nowMs);
    if (nowMs >= toMs) return polls;
    worker.polled(nowMs);
    polls.push(nowMs);
    nowMs += 999;
  }
}

test("few workers poll all the time, more share what there is", () => {
  const worker = pace(600);
  expect(pollsOf(worker, 0, 10_000)).toHaveLength(11);
  worker.shareWith(10);
  expect(pollsOf(worker, 10_000, 20_000)).toHaveLength(11);
  worker.shareWith(50);
  expect(pollsOf(worker, 20_000, 320_000).length).toBe(54);
  worker.shareWith(100_000);
  expect(worker.waitMs(320_000)).toBeLessThanOrEqual(25_000);
});

test("after an item it polls fast for as long as it saved for that, and its share holds over time", () => {
  const worker = pace(12);
  const idle = pollsOf(worker, 0, 1_800_000).length;
  worker.claimed(1_800_000);
  const fast = pollsOf(worker, 1_800_000, 1_830_000).length;
  expect(fast).toBeGreaterThan(25);
  worker.claimed(1_830_000);
  const spent = pollsOf(worker, 1_830_000, 1_860_000).length;
  expect(spent).toBeLessThan(10);
  const after = pollsOf(worker, 1_860_000, 3_600_000).length;
  expect(idle + fast + spent + after).toBeLessThanOrEqual(12 * 60);
});

test("a refusal halves the pace, several at once count as one, and it comes back slowly", () => {
  const worker = pace(600);
  pollsOf(worker, 0, 60_000);
  for (const atMs of [60_000, 60_100, 64_000]) worker.throttled(atMs);
  const halved = pollsOf(worker, 60_000, 90_000).length;
  expect(halved).toBeGreaterThan(11);
  expect(halved).toBeLessThan(17);
  expect(pollsOf(worker, 90_000, 420_000).length).toBeGreaterThan(200);
  expect(pollsOf(worker, 420_000, 430_000)).toHaveLength(11);
  for (let atMs = 430_000; atMs < 530_000; atMs += 6_000) worker.throttled(atMs);
  expect(worker.waitMs(530_000)).toBeLessThan(15_000);
});
