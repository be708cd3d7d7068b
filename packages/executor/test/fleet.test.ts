import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type FleetRun, mostInAMinute, percentile, readsPerMinute, runFleet } from "./fleet.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** The official worker's poller: a long poll, then a pause of one to three seconds. */
const official = async (fetchFunction: typeof fetch, environmentId: string, workerId: string, signal: AbortSignal): Promise<void> => {
  while (!signal.aborted) {
    const headers = { "anthropic-worker-id": workerId };
    const answer = await fetchFunction(`http://control.test/v1/environments/${environmentId}/work/poll?block_ms=999`, { headers });
    if ((await answer.json()) === null) await new Promise((resolve) => setTimeout(resolve, 1_000 + Math.random() * 2_000));
  }
};
const median = ({ pickUpsMs }: FleetRun): number => percentile(pickUpsMs, 0.5);
const officialMedian = async (): Promise<number> => median(await runFleet({ workers: 1, environments: 1, minutes: 10, start: official }));

test("one idle worker polls all the time, and picks up in a twentieth of the official worker's time", async () => {
  const alone = await runFleet({ workers: 1, environments: 1, minutes: 10 });
  expect(alone.refusedAtMs).toEqual([]);
  expect(percentile(alone.pickUpsMs, 0.95)).toBeLessThanOrEqual((await officialMedian()) / 20);
});

test("50 idle workers of an environment stay within the organisation's reads together, and pick up as fast as one", async () => {
  const fleet = await runFleet({ workers: 50, environments: 1, minutes: 6 });
  expect(fleet.refusedAtMs).toEqual([]);
  expect(mostInAMinute(fleet.readAtMs)).toBeLessThan(0.65 * readsPerMinute);
  expect(percentile(fleet.pickUpsMs, 0.95)).toBeLessThanOrEqual((await officialMedian()) / 20);
});

test("50 idle workers of as many environments stay within the reads when they are told their share", async () => {
  const fleet = await runFleet({ workers: 50, environments: 50, minutes: 6, pollsPerMinute: 20 });
  expect(fleet.refusedAtMs).toEqual([]);
  expect(mostInAMinute(fleet.readAtMs)).toBeLessThan(0.95 * readsPerMinute);
  expect(median(fleet)).toBeLessThan(1_500);
});

test("50 idle workers of as many environments that know nothing of each other adapt to refusals", async () => {
  const fleet = await runFleet({ workers: 50, environments: 50, minutes: 10 });
  const settled = (atMs: number): boolean => atMs > (fleet.readAtMs[0] ?? 0) + 180_000;
  const [reads, refused] = [fleet.readAtMs.filter(settled).length, fleet.refusedAtMs.filter(settled).length];
  expect(refused / (reads + refused)).toBeLessThan(0.06);
  expect(median(fleet)).toBeLessThan(1_500);
});
