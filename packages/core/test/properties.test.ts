import { setImmediate } from "node:timers/promises";
import * as fc from "fast-check";
import { expect, test, vi } from "vitest";
import type { ResourceCapability } from "../src/capabilities.ts";
import { globMatcher, Sandbox, settleOrDiscard, type TreeEntry } from "../src/index.ts";
import { OutputCollector } from "../src/output.ts";
import { resolveBounds } from "../src/spec-check.ts";
import { fakeProvider } from "./fake-provider.ts";

const fail = (error: unknown): never => {
  throw error;
};

test("a value is returned or discarded, never both and never neither, however close the abort", async () => {
  await fc.assert(
    fc.asyncProperty(fc.boolean(), fc.nat({ max: 6 }), async (valueFirst, ticks) => {
      const [{ promise, resolve }, controller, fates] = [Promise.withResolvers<string>(), new AbortController(), new Array<string>()];
      const discard = async (): Promise<void> => void fates.push("discarded");
      const call = settleOrDiscard(promise, controller.signal, discard, fail).then(
        () => fates.push("returned"),
        () => undefined,
      );
      const steps = [() => resolve("value"), () => controller.abort()];
      for (const step of valueFirst ? steps : steps.toReversed()) {
        step();
        for (let tick = 0; tick < ticks; tick++) await Promise.resolve();
      }
      await call.then(() => setImmediate());
      expect(fates).toHaveLength(1);
    }),
  );
});

test("no listener stays on the signal", async () => {
  for (const pending of [Promise.resolve(1), Promise.reject(new Error("no"))]) {
    const { signal } = new AbortController();
    const [added, removed] = [vi.spyOn(signal, "addEventListener"), vi.spyOn(signal, "removeEventListener")];
    await settleOrDiscard(pending, signal, fail, fail).catch(() => undefined);
    expect(removed.mock.calls.map(([type, listener]) => [type, listener])).toEqual(added.mock.calls.map(([type, listener]) => [type, listener]));
    expect(added).toHaveBeenCalledOnce();
  }
});

test("collected output is the head or tail of what was written, and the rest is counted, however it was cut into chunks", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 20 })), fc.nat({ max: 60 }), fc.constantFrom("head", "tail"), (chunks, maxBytes, keep) => {
      const collector = new OutputCollector({ maxBytes, keep });
      for (const chunk of chunks) collector.add(chunk);
      const whole = chunks.flatMap((chunk) => [...chunk]);
      const kept = keep === "head" ? whole.slice(0, maxBytes) : whole.slice(Math.max(0, whole.length - maxBytes));
      expect([...collector.bytes()]).toEqual(kept);
      expect(collector.droppedBytes).toBe(whole.length - kept.length);
    }),
  );
});

const refusal = new Error("refused");
const refuse = (): never => {
  throw refusal;
};
const resolved = (bounds: { min?: number; max?: number }, capability: ResourceCapability): { min?: number; max?: number } | undefined => {
  try {
    return resolveBounds("cpu", bounds, capability, refuse);
  } catch (error) {
    if (error !== refusal) throw error;
    return undefined;
  }
};
const amount = fc.oneof(
  fc.double({ min: 0.01, max: 40, noNaN: true }),
  fc.integer({ min: 1, max: 400 }).map((tenths) => tenths * 0.1),
  fc.integer({ min: 1, max: 400 }).map((tenths) => tenths / 10),
);
const asked = fc
  .record({ min: amount, max: amount }, { requiredKeys: [] })
  .filter(({ min, max }) => (min !== undefined || max !== undefined) && (min ?? 0) <= (max ?? Infinity));
const had = fc.oneof(
  fc.record({
    bounds: fc.constantFrom("allocation" as const, ["min", "max"] as const),
    step: fc.constantFrom(0.1, 0.125, 0.25, 1, 2),
    smallest: fc.constantFrom(0.5, 1),
    largest: fc.constantFrom(4, 32),
  }),
  fc.record({ bounds: fc.constant("allocation" as const), values: fc.constantFrom([1, 2, 4, 8], [0.5, 3]) }),
);
const available = ({ values, step = 1, smallest = 0, largest = Infinity }: ResourceCapability): readonly number[] =>
  values ?? Array.from({ length: Math.ceil(40 / step) }, (_, index) => (index + 1) * step).filter((value) => value >= smallest && value <= largest);

test("a minimum is never undercut and a maximum never exceeded, what is given exists, and it is refused only when nothing would do", () => {
  fc.assert(
    fc.property(asked, had, (bounds, capability: ResourceCapability) => {
      const result = resolved(bounds, capability);
      const { min = 0, max = Infinity } = bounds;
      const fitting = available(capability).filter((value) => value >= min && value <= max);
      expect(result === undefined).toBe(fitting.length === 0);
      if (result === undefined) return;
      for (const value of Object.values(result)) expect(fitting).toContain(value);
      const tightest = bounds.min === undefined ? result.max === fitting.at(-1) : result.min === fitting[0];
      expect(tightest).toBe(true);
      expect(capability.bounds !== "allocation" || result.min === result.max).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

const name = fc
  .string({ unit: "grapheme", minLength: 1, maxLength: 6 })
  .filter((each) => !/[/\0]/u.test(each) && each !== "." && each !== ".." && each.isWellFormed());

test("a tree that was uploaded downloads the same, whatever its names and bytes", async () => {
  const leaf = fc.record({ content: fc.uint8Array({ maxLength: 300 }), mode: fc.constantFrom(0o600, 0o644, 0o755) });
  const trees = fc.uniqueArray(fc.record({ directory: name, file: name, leaf }), {
    maxLength: 12,
    selector: ({ directory, file }) => `${directory}/${file}`,
  });
  await fc.assert(
    fc.asyncProperty(trees, async (parts) => {
      await using sandbox = await Sandbox.create(fakeProvider());
      const entries = parts.map(({ directory, file, leaf: { content, mode } }): TreeEntry => ({
        type: "file",
        path: `d${directory}/${file}`,
        mode,
        open: async () => new Blob([Uint8Array.from(content)]).stream(),
      }));
      await sandbox.files.upload(entries, "tree");
      const back = new Map<string, unknown>();
      for await (const entry of sandbox.files.download("tree")) {
        if (entry.type === "file") back.set(entry.path, [entry.mode, new Uint8Array(await new Response(await entry.open()).arrayBuffer())]);
      }
      const sent = parts.map(({ directory, file, leaf: { content, mode } }) => [`d${directory}/${file}`, [mode, Uint8Array.from(content)]] as const);
      expect(back).toEqual(new Map(sent));
    }),
    { numRuns: 40 },
  );
});

test("a glob without magic matches itself alone", () => {
  fc.assert(
    fc.property(fc.array(name, { minLength: 1, maxLength: 4 }), fc.array(name, { minLength: 1, maxLength: 4 }), (segments, others) => {
      const [path, other] = [segments.join("/"), others.join("/")];
      const matches = globMatcher(path.replaceAll(/[*?[\]{},\\]/gu, "\\$&"));
      expect(matches(path)).toBe(true);
      expect(matches(other)).toBe(other === path);
    }),
  );
});
