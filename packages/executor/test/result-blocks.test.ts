import fc from "fast-check";
import { expect, test } from "vitest";
import type { ResultBlock } from "../src/content.ts";
import { blockResult, maxResultBytes, textResult } from "../src/result-blocks.ts";
import { png, sample, samples } from "./media-samples.ts";

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString("base64");
const image = (bytes: Uint8Array, mediaType = "image/png") => ({
  type: "image",
  source: { type: "base64", media_type: mediaType, data: base64(bytes) },
});
const texts = (blocks: readonly unknown[]): readonly string[] =>
  blockResult(blocks, false).content.map((block) => (block.type === "text" ? block.text : `(${block.type})`));

test("empty results read (no output)", () => {
  const nothing = { isError: false, content: [{ type: "text", text: "(no output)" }] };
  expect([textResult("", false), blockResult([], false), blockResult([{ type: "text", text: "" }], false)]).toEqual([nothing, nothing, nothing]);
});

test("any result is valid Unicode within the limit, and what fits is not changed", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary", maxLength: 200 }), fc.boolean(), (text, surrogate) => {
      const given = surrogate ? `${text}\ud83d` : text;
      const title = { type: "document", source: { type: "url", url: "https://example.com/a.pdf" }, title: given };
      const sent = JSON.stringify([textResult(given, false), blockResult([{ type: "text", text: given }, title, { odd: given }], false)]);
      expect(sent.isWellFormed() && !/(?<!\\)\\ud[89a-f]/iu.test(sent)).toBe(true);
      if (!surrogate && text !== "" && text.isWellFormed()) expect(textResult(given, false).content).toEqual([{ type: "text", text }]);
    }),
  );
});

test("a result that is too large is cut, and says so; other blocks are left out whole", () => {
  const [block] = textResult("\u0001".repeat(maxResultBytes), false).content;
  expect(Buffer.byteLength(JSON.stringify(block))).toBeLessThanOrEqual(maxResultBytes);
  expect(block?.type === "text" && block.text.endsWith(`[cut: the result has more than ${maxResultBytes} bytes]`)).toBe(true);
  const largest = image(png({ sizeBytes: 3_932_160 }));
  const many = blockResult(
    Array.from({ length: 8 }, () => largest),
    false,
  );
  expect(many.content.map(({ type }) => type)).toEqual(["image", "image", "image", "image", "image", "text", "text", "text"]);
  expect(many.content[5]).toMatchObject({
    text: expect.stringMatching(/^\[left out: a block of type image with \d+ bytes; the result has more than/u),
  });
  expect(Buffer.byteLength(JSON.stringify(many))).toBeLessThan(32_000_000);
});

test("blocks that the API takes pass, without members that it does not know", () => {
  const blocks: readonly ResultBlock[] = [
    { type: "text", text: "a" },
    { type: "image", source: { type: "url", url: "https://example.com/a.png" } },
    { type: "document", source: { type: "file", file_id: "file_1" }, title: "t", context: null },
    { type: "document", source: { type: "text", data: "plain", media_type: "text/plain" } },
    { type: "search_result", source: "s", title: "t", content: [{ type: "text", text: "found" }], citations: { enabled: true } },
  ];
  expect(blockResult(blocks, true)).toEqual({ isError: true, content: blocks });
  expect(blockResult([{ type: "text", text: "a", cache_control: { type: "ephemeral" } }], false).content).toEqual([{ type: "text", text: "a" }]);
  const found = { type: "search_result", source: "s", title: "t", content: [{ type: "text", text: "" }] };
  expect(blockResult([found], false).content).toEqual([
    { ...found, content: [{ type: "text", text: "(no output)" }], citations: { enabled: false } },
  ]);
});

test("blocks of an unknown type are text with their JSON, and a result of nothing that can be shown is an error", () => {
  expect(texts([{ type: "redacted" }, { type: "__proto__", a: 1 }, { type: 5 }, 7, null])).toEqual([
    '{"type":"redacted"}',
    '{"type":"__proto__","a":1}',
    '{"type":5}',
    "7",
    "null",
  ]);
  const cycle: Record<string, unknown> = { type: "odd" };
  cycle["self"] = cycle;
  expect(blockResult([cycle, undefined, { type: "tool_use", id: 5n }], false)).toEqual({
    isError: true,
    content: [
      { type: "text", text: "[left out: a block of type odd: it is no JSON]" },
      { type: "text", text: "[left out: a block without a type: it is no content block]" },
      { type: "text", text: "[left out: a block of type tool_use: it is no JSON]" },
    ],
  });
});

test("blocks of a known type that the API would refuse are replaced by the reason", () => {
  const replaced = blockResult(
    [
      { type: "text" },
      { type: "image", data: "AAAA", mimeType: "image/png" },
      { type: "image", source: { type: "url", url: "file:///etc/passwd" } },
      { type: "search_result", source: "", title: "t", content: [] },
      { type: "text", text: "kept" },
    ],
    false,
  );
  expect(replaced.isError).toBe(false);
  expect(replaced.content.map((block) => (block.type === "text" ? block.text.replace(/: Invalid input.*\]$|: Too small.*\]$/u, "") : block))).toEqual(
    [
      "[left out: a block of type text: text",
      "[left out: a block of type image: source",
      expect.stringMatching(/^\[left out: a block of type image: source\.url: /u),
      expect.stringMatching(/^\[left out: a block of type search_result: source/u),
      "kept",
    ],
  );
});

test("media is whole, within its limits, and named by what it is", () => {
  for (const { type, content } of samples.filter((each) => each.type !== "application/pdf")) {
    expect(blockResult([image(content, "image/bmp")], false).content).toEqual([image(content, type)]);
  }
  const png64 = base64(sample("png"));
  for (const data of [`${png64.slice(0, 40)}\n${png64.slice(40)}`, png64.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")]) {
    expect(blockResult([{ type: "image", source: { type: "base64", media_type: "image/png", data } }], false).content).toEqual([
      image(sample("png")),
    ]);
  }
  expect(
    texts([
      { type: "image", source: { type: "base64", media_type: "image/png", data: "{not base64}" } },
      image(new TextEncoder().encode("text")),
      image(sample("pdf")),
      image(sample("png").subarray(0, 60)),
      image(png({ sizeBytes: 3_932_161 })),
      { type: "document", source: { type: "base64", media_type: "application/pdf", data: png64 } },
      { type: "document", source: { type: "base64", media_type: "application/pdf", data: base64(sample("pdf")) } },
    ]),
  ).toEqual([
    "[left out: a block of type image: its data is not base64]",
    "[left out: a block of type image: it is neither png, jpeg, gif nor webp]",
    "[left out: a block of type image: it is neither png, jpeg, gif nor webp]",
    "[left out: a block of type image: it is damaged or not complete]",
    "[left out: a block of type image: it has 3932161 bytes, more than 3932160]",
    "[left out: a block of type document: it is no PDF]",
    "(document)",
  ]);
});

test("a result has at most 1,000 blocks, and 100 images and documents", () => {
  const many = texts(Array.from({ length: 1_002 }, () => ({ type: "text", text: "x" })));
  expect([many.length, many.at(-1)]).toEqual([1_001, "[left out: 2 more blocks]"]);
  const pictures = texts(Array.from({ length: 101 }, () => image(sample("png"))));
  expect(pictures.slice(-2)).toEqual(["(image)", "[left out: a block of type image: more than 100 of them]"]);
});
