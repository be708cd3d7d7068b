import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { openLog } from "../src/log.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function recorded(): { readonly output: PassThrough; readonly writes: string[] } {
  const [output, writes] = [new PassThrough(), new Array<string>()];
  output.on("data", (chunk: Buffer) => writes.push(chunk.toString()));
  return { output, writes };
}

const at = "2026-01-01T00:00:00.000Z";
const line = (level: string, type: string): string => `{"at":"${at}","level":"${level}","type":"${type}"}\n`;

test("lines in JSON leave together, 20 ms after the first", () => {
  const { output, writes } = recorded();
  const log = openLog(output, "json", {});
  log("info", "one", { at });
  vi.advanceTimersByTime(19);
  log("info", "two", { at });
  expect(writes).toEqual([]);
  vi.advanceTimersByTime(1);
  expect(writes).toEqual([line("info", "one") + line("info", "two")]);
  vi.advanceTimersByTime(1_000);
  expect(writes).toHaveLength(1);
});

test("durations have one digit behind the point", () => {
  const { output, writes } = recorded();
  openLog(output, "json", {})("warn", "slow", { at, durationMs: 951.2358812982, retryInMs: 3, exact: 0.123456 });
  expect(writes).toEqual([`{"at":"${at}","level":"warn","type":"slow","durationMs":951.2,"retryInMs":3,"exact":0.123456}\n`]);
});

test("trouble is written when it happens, with what came before it", () => {
  const { output, writes } = recorded();
  const log = openLog(output, "json", {});
  log("info", "before", { at });
  log("error", "trouble", { at });
  expect(writes).toEqual([line("info", "before") + line("error", "trouble")]);
});

test("a flood does not wait", () => {
  const { output, writes } = recorded();
  const log = openLog(output, "json", {});
  for (let count = 0; count < 600; count++) log("info", "flood", { at });
  expect(writes).toEqual([line("info", "flood").repeat(256), line("info", "flood").repeat(256)]);
});

test("what still waits when the process ends is written", () => {
  const { output, writes } = recorded();
  const before = process.listeners("exit");
  openLog(output, "json", {})("info", "last", { at });
  const added = process.listeners("exit").filter((listener) => !before.includes(listener));
  expect(added).toHaveLength(1);
  for (const listener of added) listener(0);
  expect(writes).toEqual([line("info", "last")]);
  expect(process.listeners("exit")).toEqual(before);
});
