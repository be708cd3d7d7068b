import { mkdtempDisposableSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSimulator, type Turn } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { answeredCalls } from "../workers/answers.ts";
import { MemoryWatch } from "../workers/memory.ts";
import { removeSandboxes, sandboxesOf } from "../workers/sandboxes.ts";
import { startWorker } from "../workers/start.ts";

const sessions = 40;

/** Five calls, of which each needs what the one before left. */
function turnsOf(name: string): readonly Turn[] {
  return [
    { calls: [{ name: "write", input: { file_path: "name", content: `${name}\n` }, expect: { equals: `wrote ${name.length + 1} bytes to name` } }] },
    { calls: [{ name: "bash", input: { command: `own=${name}; sed s/^/from-/ name > copy; cat copy` }, expect: { equals: `from-${name}` } }] },
    {
      calls: [
        { name: "edit", input: { file_path: "copy", old_string: "from-", new_string: "of-" }, expect: { equals: "edited copy (1 replacement(s))" } },
      ],
    },
    { calls: [{ name: "read", input: { file_path: "copy" }, expect: { equals: `of-${name}\n` } }] },
    { calls: [{ name: "bash", input: { command: "echo $own; ls -A" }, expect: { equals: `${name}\ncopy\nname` } }], end: "terminated" },
  ];
}

test(`${sessions} sessions at once over one worker: no call is lost, mixed up or answered twice, and no sandbox is left`, async () => {
  using runtimeDirectory = mkdtempDisposableSync(join(tmpdir(), "gb-"));
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = startWorker(simulator, "docker", { env: { XDG_RUNTIME_DIR: runtimeDirectory.path } });
  await simulator.waitForRequest(({ endpoint }) => endpoint === "work.poll");
  using memory = new MemoryWatch(worker.pid);
  const startedAtMs = performance.now();
  const started = Array.from({ length: sessions }, (_, index) => simulator.createSession({ script: { turns: turnsOf(`session-${index}`) } }));
  const reports = await Promise.all(started.map(async ({ finished }) => await finished));
  const seconds = (performance.now() - startedAtMs) / 1000;
  expect(
    reports.flatMap(({ failures }) => failures),
    worker.output(),
  ).toEqual([]);
  expect(started.map(answeredCalls)).toEqual(reports.map(({ calls }) => calls.map(({ id }) => id)));
  expect(reports.map(({ calls }) => calls.length)).toEqual(started.map(() => 5));
  await expect.poll(() => sandboxesOf(simulator), { timeout: 60_000 }).toEqual([]);
  worker.kill("SIGTERM");
  expect(await worker.ended).toEqual({ code: 0, signal: null });
  expect(readdirSync(join(runtimeDirectory.path, "glovebox"))).toEqual([]);
  // a session's first call waits for its sandbox
  const [first, later] = [true, false].map((isFirst) =>
    reports.flatMap(({ calls }) => calls.filter(({ turn }) => (turn === 0) === isFirst).map((call) => (call.settledAtMs ?? 0) - call.emittedAtMs)),
  );
  process.stdout.write(
    `${sessions} sessions with ${sessions * 5} calls in ${seconds.toFixed(1)} s; first calls ${percentiles(first)}, later ones ${percentiles(later)}; ` +
      `the worker's memory: ${memory.startMiB.toFixed(0)} MiB, at most ${memory.peakMiB.toFixed(0)} MiB\n`,
  );
  expect(memory.growthMiB).toBeLessThan(400);
}, 180_000);

function percentiles(times: readonly number[] = []): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number): string => `${(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0).toFixed(0)} ms`;
  return `p50 ${at(0.5)}, p99 ${at(0.99)}`;
}
