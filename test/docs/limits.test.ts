import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const page = "docs/reference/limits.md";

interface Row {
  readonly number: number;
  readonly here: string;
  readonly tests: readonly { readonly title: string; readonly file: string }[];
}

const rows: readonly Row[] = readFileSync(page, "utf8")
  .split("\n")
  .filter((line) => /^\| \d+ \|/u.test(line))
  .map((line) => {
    const [, number = "", , here = "", tests = ""] = line.split("|").map((cell) => cell.trim());
    const links = [...tests.matchAll(/\[(.+?)\]\((\.\.[^)]+\.test\.ts)\)/gu)];
    return {
      number: Number(number),
      here,
      tests: links.map(([, title = "", target = ""]) => ({ title, file: new URL(target, `file:///${page}`).pathname.slice(1) })),
    };
  });

test("every limit has a row, and says what is here instead", () => {
  expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: 35 }, (_, index) => index + 1));
  expect(rows.filter(({ here }) => here === "")).toEqual([]);
});

test.each(rows)("limit $number is held by tests that exist", ({ here, tests }) => {
  expect(tests.length > 0 || here.startsWith("Not yet")).toBe(true);
  for (const { title, file } of tests) expect([file, readFileSync(file, "utf8").includes(`"${title}"`)]).toEqual([file, true]);
});
