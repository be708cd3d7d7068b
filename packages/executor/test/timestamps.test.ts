import { expect, test } from "vitest";
import { compareTimestamps } from "../src/timestamps.ts";

test("timestamps compare beyond the millisecond", () => {
  expect(compareTimestamps("2026-11-24T10:00:00.000001Z", "2026-11-24T10:00:00.000002Z")).toBeLessThan(0);
  expect(compareTimestamps("2026-11-24T10:00:00Z", "2026-11-24T10:00:00.000Z")).toBe(0);
  expect(compareTimestamps("2026-11-24T10:00:01Z", "2026-11-24T10:00:00.999999Z")).toBeGreaterThan(0);
});
