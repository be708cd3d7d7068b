import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "vitest";
import { expected } from "./expected.ts";
import { cases } from "./faults.ts";
import { inWords, outcomeOf } from "./scenario.ts";
import { faultTable, keyOf } from "./table.ts";

const page = fileURLToPath(new URL("../../docs/reference/faults.md", import.meta.url));
/** Most of a case is waiting, for back-offs and leases. */
const atOnce = 20;
const outcomes = new Map<string, readonly [string, string]>();

beforeAll(async () => {
  const waiting = [...cases];
  const runNext = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [ours, official] = await Promise.all([outcomeOf("glovebox", next), outcomeOf("official", next)]);
      outcomes.set(keyOf(next), [inWords(ours), inWords(official)]);
    }
  };
  await Promise.all(Array.from({ length: atOnce }, runNext));
}, 300_000);

test("every case has an expectation, and none is expected that is not run", () => {
  expect(Object.keys(expected).toSorted()).toEqual(cases.map(keyOf).toSorted());
});

test.each(cases.map((each): [string] => [keyOf(each)]))("%s", (key) => {
  expect(outcomes.get(key)).toEqual(expected[key]);
});

test("no fault that passes makes an effect happen twice, or loses a call that the official worker serves", () => {
  const worse = Object.entries(expected).filter(([, [ours, official]]) => ours.includes("twice") || (official === "served" && ours !== "served"));
  expect(worse).toEqual([]);
});

test("the page in docs/ is made from the same data (UPDATE_DOCS=1 writes it)", async () => {
  const made = faultTable(expected);
  if (process.env["UPDATE_DOCS"] === "1") await writeFile(page, made);
  expect(await readFile(page, "utf8")).toBe(made);
});
