import { expect, test } from "vitest";
import { sessionsTokenOf } from "../src/control-plane.ts";
import { compareTimestamps } from "../src/timestamps.ts";

test("the token of an item's secret, in every form that is seen", () => {
  const payload = JSON.stringify({ sessions_token: "sk-ant-req-ü?>", api_base_url: "x" });
  const base64 = Buffer.from(payload).toString("base64");
  for (const secret of [base64, base64.replaceAll("=", ""), Buffer.from(payload).toString("base64url")])
    expect(sessionsTokenOf(secret)).toBe("sk-ant-req-ü?>");
  const others = [
    "",
    null,
    undefined,
    5,
    "garbage",
    ...["[]", "null", "7", '{"sessions_token":""}', '{"sessions_token":5}', "{}"].map((text) => Buffer.from(text).toString("base64url")),
  ];
  for (const secret of others) expect(sessionsTokenOf(secret)).toBeUndefined();
});

test("timestamps compare beyond the millisecond", () => {
  expect(compareTimestamps("2026-11-24T10:00:00.000001Z", "2026-11-24T10:00:00.000002Z")).toBeLessThan(0);
  expect(compareTimestamps("2026-11-24T10:00:00Z", "2026-11-24T10:00:00.000Z")).toBe(0);
  expect(compareTimestamps("2026-11-24T10:00:01Z", "2026-11-24T10:00:00.999999Z")).toBeGreaterThan(0);
});
