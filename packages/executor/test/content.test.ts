import fc from "fast-check";
import { expect, test } from "vitest";
import { maxResultBytes, toResultBlocks } from "../src/content.ts";
import { sessionsTokenOf } from "../src/control-plane.ts";
import { compareTimestamps } from "../src/timestamps.ts";

test("empty results read (no output)", () => {
  const nothing = [{ type: "text", text: "(no output)" }];
  expect([toResultBlocks(""), toResultBlocks([]), toResultBlocks([{ type: "text", text: "" }])]).toEqual([nothing, nothing, nothing]);
});

test("any result is valid Unicode within the limit, and what fits is not changed", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.boolean(), (text, surrogate) => {
      const blocks = toResultBlocks(surrogate ? `${text}\ud83d` : text);
      const sent = JSON.stringify(blocks);
      expect(sent.isWellFormed() && !/\\ud[89a-f]/iu.test(sent)).toBe(true);
      if (!surrogate && text !== "" && text.isWellFormed()) expect(blocks).toEqual([{ type: "text", text }]);
    }),
  );
});

test("a result that is too large is cut, and says so; other blocks are left out whole", () => {
  const [block] = toResultBlocks("\u0001".repeat(maxResultBytes));
  expect(Buffer.byteLength(JSON.stringify(block))).toBeLessThanOrEqual(maxResultBytes);
  expect(block?.type === "text" && block.text.endsWith(`[cut: the result has more than ${maxResultBytes} bytes]`)).toBe(true);
  const image = { type: "image", source: { type: "base64", data: "A".repeat(maxResultBytes), media_type: "image/png" } } as const;
  expect(toResultBlocks([image])).toMatchObject([{ type: "text", text: expect.stringMatching(/^\[left out: a block of type image/u) }]);
});

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
