import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { DriverCalls } from "../src/driver-calls.ts";
import { Sandbox, type SandboxProcess } from "../src/index.ts";
import { spawn } from "../src/process.ts";
import { fakeProvider } from "./fake-provider.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A program that ignores its time-out, and ends only by the signal, if at all. */
function deaf(signals: string[], heedsSignals: boolean): SandboxProcess {
  const end = Promise.withResolvers<Awaited<SandboxProcess["exit"]>>();
  const controllers: ReadableStreamDefaultController[] = [];
  const stream = (): ReadableStream<Uint8Array> => new ReadableStream({ start: (controller) => void controllers.push(controller) });
  return {
    stdin: null,
    stdout: stream(),
    stderr: stream(),
    exit: end.promise,
    signal: async (name) => {
      signals.push(name);
      if (!heedsSignals) return;
      for (const controller of controllers) controller.close();
      end.resolve({ code: null, signal: name, timedOut: false, droppedBytes: { stdout: 0, stderr: 0 }, replayed: false });
    },
  };
}

test("a driver that ignores the time-out is told to kill 5 s later, and the result says that time ran out", async () => {
  const signals: string[] = [];
  const sandbox = await Sandbox.create(fakeProvider({ driver: () => ({ spawn: async () => deaf(signals, true) }) }));
  const call = sandbox.exec(["x"], { timeoutMs: 1_000 });
  await vi.advanceTimersByTimeAsync(5_999);
  expect(signals).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  expect(await call).toMatchObject({ signal: "SIGKILL", timedOut: true });
  expect(signals).toEqual(["SIGKILL"]);
  expect(vi.getTimerCount()).toBe(0);
});

test("where killing does not help either, the call fails 10 s after its time", async () => {
  const signals: string[] = [];
  const sandbox = await Sandbox.create(fakeProvider({ driver: () => ({ spawn: async () => deaf(signals, false) }) }));
  const call = sandbox.exec(["x"], { timeoutMs: 1_000 }).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(11_000);
  expect(await call).toMatchObject({ code: "deadline_exceeded", effect: "unknown" });
});

test.each([
  ["files.stat", "none", (sandbox: Sandbox) => sandbox.files.stat("x")],
  ["files.mkdir", "unknown", (sandbox: Sandbox) => sandbox.files.mkdir("x")],
  ["files.list", "none", (sandbox: Sandbox) => Array.fromAsync(sandbox.files.list("x"))],
] as const)("%s ends after 120 s over a driver that never answers, effect %s", async (name, effect, start) => {
  const never = Promise.withResolvers<never>().promise;
  const files = { stat: () => never, mkdir: () => never, list: () => ({ [Symbol.asyncIterator]: () => ({ next: () => never }) }) };
  const provider = fakeProvider({ driver: (driver) => ({ files: Object.assign(Object.create(driver.files), files) as typeof driver.files }) });
  const call = start(await Sandbox.create(provider)).catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(120_000);
  expect(await call).toMatchObject({
    code: "deadline_exceeded",
    effect,
    message: expect.stringContaining(`fake ${name} took longer than 120000 ms`) as unknown,
  });
  expect(vi.getTimerCount()).toBe(0);
});

test("a program that ended no longer waits for the loss of its sandbox", async () => {
  const provider = fakeProvider();
  const spec = { workdir: "/workspace" };
  const driver = await provider.create(
    { id: "a", spec, ownership: { by: "session", session: "s" }, proof: "" },
    { signal: new AbortController().signal },
  );
  const calls = new DriverCalls(provider.name, driver);
  const watching = new Set<unknown>();
  calls.onLost = (listener) => {
    watching.add(listener);
    return () => void watching.delete(listener);
  };
  const running = await spawn(calls, ["sleep"], {});
  expect(watching.size).toBe(1);
  await running[Symbol.asyncDispose]();
  expect(watching.size).toBe(0);
});

test("no timer and no listener stays when calls end well", async () => {
  const sandbox = await Sandbox.create(fakeProvider());
  const { signal } = new AbortController();
  const removed = vi.spyOn(signal, "removeEventListener");
  const added = vi.spyOn(signal, "addEventListener");
  await sandbox.exec(["echo", "x"], { signal });
  await sandbox.files.write("x", "x", { signal });
  await sandbox.files.stat("x", { signal });
  await vi.advanceTimersByTimeAsync(0);
  expect(vi.getTimerCount()).toBe(0);
  expect(added.mock.calls.length).toBeGreaterThan(0);
  expect(removed).toHaveBeenCalledTimes(added.mock.calls.length);
});
