import { startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { MemoryWatch } from "../workers/memory.ts";
import { removeSandboxes } from "../workers/sandboxes.ts";
import { startWorker } from "../workers/start.ts";

const call = (command: string, equals: string) => ({ name: "bash", input: { command }, expect: { equals, isError: false } });

test.each([
  ["in one line", "head -c 1073741824 /dev/zero | tr '\\0' x; echo; echo end"],
  ["in lines, half of them on stderr", "yes out | head -c 536870912; yes err | head -c 536870912 >&2; echo end"],
  ["from the background", "(yes | head -c 1073741824) & wait; echo end"],
])(
  "a gibibyte of output %s: its end is kept, other sessions are served meanwhile, the worker's memory stays bounded",
  async (_, command) => {
    await using simulator = await startSimulator();
    await using _sandboxes = removeSandboxes(simulator);
    await using worker = startWorker(simulator, "docker");
    const ready = Promise.withResolvers<void>();
    const over = new AbortController();
    const other = simulator.createSession({
      brain: async function* () {
        yield { calls: [call("echo ready", "ready")] };
        ready.resolve();
        for (let count = 0; !over.signal.aborted; count++) yield { calls: [call(`echo ${count}`, String(count))] };
      },
    });
    await ready.promise;
    using memory = new MemoryWatch(worker.pid);
    const flood = await simulator.createSession({
      script: { turns: [{ calls: [{ name: "bash", input: { command }, expect: { matches: /^\[output truncated\]\n[^]{100000,102400}\nend$/u } }] }] },
    }).finished;
    over.abort();
    expect([...flood.failures, ...(await other.finished).failures], worker.output()).toEqual([]);
    const [{ emittedAtMs, settledAtMs }] = flood.calls as [(typeof flood.calls)[number]];
    const meanwhile = other.report().calls.filter((each) => each.emittedAtMs > emittedAtMs && (each.settledAtMs ?? Infinity) < (settledAtMs ?? 0));
    process.stdout.write(
      `1 GiB in ${Math.round((settledAtMs ?? 0) - emittedAtMs)} ms, ${meanwhile.length} calls of another session meanwhile; ` +
        `the worker's memory: ${memory.startMiB.toFixed(0)} MiB, at most ${memory.peakMiB.toFixed(0)} MiB\n`,
    );
    expect(meanwhile.length).toBeGreaterThan(1);
    expect(memory.growthMiB).toBeLessThan(400);
  },
  120_000,
);
