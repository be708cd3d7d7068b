import { readFile } from "node:fs/promises";
import { type CallRecord, type Simulator, startSimulator, type ToolCall } from "@glovebox/simulator";
import { removeSandboxes } from "../workers/sandboxes.ts";
import { startOfficialWorker, startWorker, type WorkerProcess } from "../workers/start.ts";
import { median, percentile, type Row } from "./row.ts";

/** Whole sessions over the simulator: `glovebox worker` with its tools in Docker, beside the official worker with its tools in process on this machine. */
type Start = (simulator: Simulator) => WorkerProcess | Promise<WorkerProcess>;

const docker: Start = (simulator) => startWorker(simulator, "docker", { flags: ["--max-idle", "500ms"] });
const official: Start = (simulator) => startOfficialWorker(simulator);
const against = "official worker";

const latency = ({ emittedAtMs, settledAtMs }: CallRecord): number => (settledAtMs ?? Number.NaN) - emittedAtMs;

const noError = { isError: false };
const text = "0123456789abcdef".repeat(256);

/** 4 KiB files and a short command, each tool `rounds` times, after a round that warms up. */
function toolCalls(rounds: number): ToolCall[] {
  return Array.from({ length: rounds + 1 }, (_, round) => [
    { name: "bash", input: { command: "echo hi" }, expect: { equals: "hi" } },
    { name: "write", input: { file_path: "file.txt", content: `${round} ${text}` }, expect: noError },
    { name: "read", input: { file_path: "file.txt" }, expect: { equals: `${round} ${text}` } },
    { name: "edit", input: { file_path: "file.txt", old_string: `${round} `, new_string: "edited " }, expect: noError },
  ]).flat();
}

/** Median latency of each tool, from the event's emission to its result's receipt. */
async function warmCalls(start: Start): Promise<Map<string, number>> {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = await start(simulator);
  const calls = toolCalls(100);
  const report = await simulator.createSession({ script: { turns: calls.map((call) => ({ calls: [call] })) } }).finished;
  if (!report.passed) throw new Error(`a benchmark session failed: ${JSON.stringify(report.failures)}\n${worker.output()}`);
  const byTool = Map.groupBy(report.calls.slice(4), ({ name }) => name);
  return new Map([...byTool].map(([name, records]) => [name, median(records.map(latency))]));
}

/** Wall-clock of `sessions` sessions, each with three calls of 200 ms, created at once. */
async function tenSessions(start: Start): Promise<number> {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = await start(simulator);
  await warm(simulator);
  const call = { name: "bash", input: { command: "sleep 0.2; echo done" }, expect: { equals: "done" } };
  const started = performance.now();
  const reports = await Promise.all(
    Array.from(
      { length: 10 },
      () => simulator.createSession({ script: { turns: [{ calls: [call] }, { calls: [call] }, { calls: [call] }] } }).finished,
    ),
  );
  const elapsed = performance.now() - started;
  if (reports.some(({ passed }) => !passed)) throw new Error(`a benchmark session failed\n${worker.output()}`);
  return elapsed;
}

/** From a session's creation to the ack of its work item, by a worker that has been idle for some seconds and is anywhere in its rhythm. */
async function pickUps(start: Start): Promise<number[]> {
  const rounds = 20;
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using _worker = await start(simulator);
  await warm(simulator);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await new Promise((resolve) => setTimeout(resolve, 2_000 + Math.random() * 4_000));
    const deadline = AbortSignal.timeout(60_000);
    const started = performance.now();
    const session = simulator.createSession({ script: { turns: [{ message: "Nothing to do." }] } });
    await simulator.waitForRequest(({ endpoint, workId }) => endpoint === "work.ack" && session.work.some(({ id }) => id === workId), deadline);
    times.push(performance.now() - started);
    await simulator.waitForRequest(({ endpoint, workId }) => endpoint === "work.stop" && session.work.some(({ id }) => id === workId), deadline);
  }
  return times;
}

/** From a user's message to the receipt of the first result, for a session whose sandbox was kept when its last item was let go. */
async function wakeUps(start: Start): Promise<number[]> {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = await start(simulator);
  const call = { name: "bash", input: { command: "echo awake" }, expect: { equals: "awake" } };
  const rounds = 25;
  const turn = { calls: [call], idle: { type: "end_turn" as const } };
  const session = simulator.createSession({ prompt: null, script: { turns: Array.from({ length: rounds }, () => turn) } });
  const deadline = AbortSignal.timeout(240_000);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    await new Promise((resolve) => setTimeout(resolve, 200));
    const sentAtMs = performance.timeOrigin + performance.now();
    session.sendMessage("Wake up.");
    const item = session.work.at(-1)?.id;
    await simulator.waitForRequest(({ endpoint, workId }) => endpoint === "work.stop" && workId === item, deadline);
    times.push((session.report().calls.at(-1)?.settledAtMs ?? Number.NaN) - sentAtMs);
  }
  const { failures, calls } = session.report();
  if (failures.length > 0 || calls.length < rounds) throw new Error(`a benchmark session failed\n${worker.output()}`);
  return times.slice(5);
}

/** Until the worker has served a session and is polling again. */
async function warm(simulator: Simulator): Promise<void> {
  const session = simulator.createSession({ script: { turns: [{ calls: [{ name: "bash", input: { command: "true" } }] }] } });
  await session.finished;
  await simulator.waitForRequest(
    ({ endpoint, sessionId, workId }) => endpoint === "work.stop" && (sessionId === session.id || session.work.some(({ id }) => id === workId)),
    AbortSignal.timeout(60_000),
  );
}

/** 200 sessions open at once, one call a second each. */
async function manySessions(): Promise<{ readonly latencies: number[]; readonly rssMiB: number }> {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = startWorker(simulator, "virtual", { flags: ["--max-sessions", "200"] });
  const rounds = 20;
  const sessions = Array.from({ length: 200 }, (_, index) =>
    simulator.createSession({
      script: {
        turns: Array.from({ length: rounds }, (__, round) => ({
          pauseMs: round === 0 ? (index * 1_000) / 200 : 1_000,
          calls: [{ name: "bash", input: { command: `echo ${round}` }, expect: { equals: `${round}` } }],
        })),
      },
    }),
  );
  const reports = await Promise.all(sessions.map(({ finished }) => finished));
  if (reports.some(({ passed }) => !passed)) throw new Error(`a benchmark session failed\n${worker.output()}`);
  // the first two calls of each carry the making of its sandbox
  return { latencies: reports.flatMap(({ calls }) => calls.slice(2).map(latency)), rssMiB: await residentMiB(worker.pid) };
}

interface Load {
  readonly served: number;
  readonly elapsedMs: number;
  readonly latencies: readonly number[];
  readonly rssMiB: number;
}

/** 100 sessions of ten calls each, created at once; how many were served whole within `limitMs`. */
async function hundredSessions(start: Start, limitMs: number): Promise<Load> {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = await start(simulator);
  await warm(simulator);
  const turns = Array.from({ length: 10 }, (_, round) => ({
    calls: [{ name: "bash", input: { command: `echo ${round}` }, expect: { equals: `${round}` } }],
  }));
  const started = performance.now();
  const sessions = Array.from({ length: 100 }, () => simulator.createSession({ script: { turns } }));
  const all = Promise.all(sessions.map(({ finished }) => finished));
  await Promise.race([all, new Promise((resolve) => setTimeout(resolve, limitMs).unref())]);
  const elapsedMs = performance.now() - started;
  const reports = sessions.map((session) => session.report());
  if (reports.some(({ failures }) => failures.length > 0)) throw new Error(`a benchmark session failed\n${worker.output()}`);
  const served = reports.filter(({ calls }) => calls.length === 10 && calls.every(({ settledAtMs }) => settledAtMs !== null));
  const doubled = simulator.requests.filter(({ endpoint, status }) => endpoint === "events.send" && status !== 200).length;
  if (doubled > 0) throw new Error(`${doubled} results were refused`);
  return {
    served: served.length,
    elapsedMs,
    // the first call of each carries the making of its sandbox
    latencies: served.flatMap(({ calls }) => calls.slice(1).map(latency)),
    rssMiB: await residentMiB(worker.pid),
  };
}

async function residentMiB(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+) kB$/mu.exec(status)?.[1]) / 1024;
}

export async function run(): Promise<readonly Row[]> {
  const [calls, officialCalls] = [await warmCalls(docker), await warmCalls(official)];
  const ratioOf = "ours/theirs" as const;
  const callRows = ["bash", "read", "write", "edit"].map((tool): Row => {
    const [mine, theirs] = [calls.get(tool) ?? Number.NaN, officialCalls.get(tool) ?? Number.NaN];
    return {
      measure: `${tool}, event sent to result received`,
      unit: "ms p50",
      ours: mine,
      theirs,
      against,
      ratioOf,
      aim: tool === "bash" ? "<= 1.0, at most 1.25" : "<= 1.5",
    };
  });
  const [together, officialTogether] = [await tenSessions(docker), await tenSessions(official)];
  const [pickUp, officialPickUp] = [await pickUps(docker), await pickUps(official)];
  const [wakeUp, officialWakeUp] = [await wakeUps(docker), await wakeUps(official)];
  const many = await manySessions();
  const load = await hundredSessions(docker, 300_000);
  const officialLoad = await hundredSessions(official, load.elapsedMs);
  return [
    ...callRows,
    {
      measure: "10 sessions x 3 calls x 200 ms, sandboxes on demand",
      unit: "ms",
      ours: together,
      theirs: officialTogether,
      against,
      ratioOf: "theirs/ours",
      aim: ">= 3",
    },
    {
      measure: "idle pick-up, session created to ack",
      unit: "ms p50",
      ours: median(pickUp),
      theirs: median(officialPickUp),
      against,
      ratioOf: "theirs/ours",
      aim: ">= 20",
    },
    {
      measure: "message to first result, warm sandbox",
      unit: "ms p50",
      ours: median(wakeUp),
      theirs: median(officialWakeUp),
      against,
      ratioOf: "theirs/ours",
      aim: "<= 40 ms",
      note: `p90 ${percentile(wakeUp, 0.9).toFixed(1)} ms`,
    },
    {
      measure: "100 sessions x 10 calls at once, sandboxes on demand",
      unit: "sessions",
      ours: load.served,
      theirs: officialLoad.served,
      against: `${against}, same time`,
      ratioOf: "ours/theirs",
      aim: "100, nothing lost",
      note: `${(load.elapsedMs / 1_000).toFixed(1)} s, p99 of a call ${percentile(load.latencies, 0.99).toFixed(0)} ms, worker RSS ${load.rssMiB.toFixed(0)} MiB`,
    },
    {
      measure: "200 open sessions, a call a second each, embedded",
      unit: "ms p99",
      ours: percentile(many.latencies, 0.99),
      theirs: median(many.latencies),
      against: "its own p50",
      ratioOf,
      aim: "<= 5",
      note: `worker RSS ${many.rssMiB.toFixed(0)} MiB`,
    },
  ];
}
