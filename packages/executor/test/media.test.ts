import fc from "fast-check";
import { expect, test } from "vitest";
import { flawOf, signatureOf } from "../src/media.ts";
import { png, sample, samples } from "./media-samples.ts";

test.each(samples)("a whole file is told by its first bytes and has no flaw: $name", ({ type, content }) => {
  expect([signatureOf(content), flawOf(type, content)]).toEqual([type, undefined]);
});

test.each(samples)("a file that is cut anywhere is not taken for a whole one: $name", ({ type, content }) => {
  // the last line end of a PDF may be missing
  const necessary = type === "application/pdf" ? content.length - 1 : content.length;
  for (let length = 0; length < necessary; length++)
    expect([length, flawOf(type, content.subarray(0, length))]).toEqual([length, expect.any(String)]);
});

test("a damaged PNG is found by its checksums", () => {
  const damaged = Uint8Array.from(sample("png"));
  damaged[45] = (damaged[45] ?? 0) ^ 1;
  expect(flawOf("image/png", damaged)).toBe("it is damaged or not complete");
});

test("images without pixels or with too many on a side, and encrypted PDFs, are named as such", () => {
  expect(flawOf("image/png", png({ width: 8_000, height: 1 }))).toBeUndefined();
  expect(flawOf("image/png", png({ width: 1, height: 8_001 }))).toBe("it has 1 x 8001 pixels, more than 8000 on a side");
  expect(flawOf("image/png", png({ width: 0 }))).toBe("it has no pixels");
  const encrypted = new TextDecoder().decode(sample("pdf")).replace("/Root 1 0 R", "/Root 1 0 R /Encrypt 5 0 R");
  expect(flawOf("application/pdf", new TextEncoder().encode(encrypted))).toBe("it is encrypted");
});

test("whatever bytes follow a signature, looking at them ends and throws nothing", () => {
  fc.assert(
    fc.property(fc.constantFrom(...samples), fc.nat(), fc.uint8Array({ maxLength: 300 }), ({ type, content }, at, noise) => {
      const bytes = Uint8Array.from([...content.subarray(0, at % (content.length + 1)), ...noise]);
      expect(() => [flawOf(type, bytes), signatureOf(bytes)]).not.toThrow();
    }),
    { numRuns: 2_000 },
  );
});
