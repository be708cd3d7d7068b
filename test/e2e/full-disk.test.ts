import { type Brain, type CallRecord, type Expectation, startSimulator, type ToolCall, type Turn } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { removeSandboxes } from "../workers/sandboxes.ts";
import { startWorker, type WorkerStart } from "../workers/start.ts";

const MIB = 1024 ** 2;
const smallDisk = { config: { sandbox: { diskBytes: { max: 64 * MIB } } } };

const bash = (command: string, expected: Expectation): ToolCall => ({ name: "bash", input: { command }, expect: expected });
const write = (path: string, content: string, expected: Expectation): ToolCall => ({
  name: "write",
  input: { file_path: path, content },
  expect: expected,
});
const stopped = "it was stopped because its files took more than its disk limit";
const isBack =
  `Note: the sandbox was interrupted (${stopped}) and is back. Its files are kept; shell state and background processes may be gone. ` +
  "Remove what is not needed first, or it is stopped again.";

interface Played {
  readonly calls: readonly CallRecord[];
  /** With the worker's log, when there are any. */
  readonly failures: string;
}

async function play(brain: Brain, options: WorkerStart): Promise<Played> {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = startWorker(simulator, "docker", options);
  const { calls, failures } = await simulator.createSession({ brain }).finished;
  return { calls, failures: failures.length === 0 ? "" : [...failures.map(({ message }) => message), worker.output()].join("\n") };
}

const turn = (...calls: ToolCall[]): Turn => ({ calls });

test("a command fills the disk: the model reads why the sandbox was stopped, its files are kept, and it is of use again", async () => {
  const { failures } = await play(async function* () {
    yield turn(write("kept.txt", "kept\n", { isError: false }));
    const unknown = `bash: the sandbox was lost while this call ran (${stopped}). It is unknown whether the call's effect happened, in whole or in part. `;
    yield turn(
      bash("while :; do i=$((i + 1)); head -c 16M /dev/zero > fill-$i; sleep 0.1; done", {
        isError: true,
        equals: `${unknown}It was not run again; look before you repeat it.\n${isBack}`,
      }),
    );
    yield turn(bash("rm fill-*; cat kept.txt; ls", { isError: false, equals: "kept\nkept.txt" }));
    yield turn(write("more.txt", "more", { equals: "wrote 4 bytes to more.txt" }));
  }, smallDisk);
  expect(failures).toBe("");
}, 120_000);

test("the write tool fills the disk: the model reads why the sandbox was stopped, its files are kept, and it is of use again", async () => {
  const { calls, failures } = await play(async function* () {
    yield turn(write("kept.txt", "kept\n", { isError: false }));
    let told = false;
    // what others free on the same file system may hide for a minute what is written here
    for (let count = 0; count < 150 && !told; count++) {
      const [written] = yield { pauseMs: 500, ...turn(write(`fill-${count}`, "x".repeat(8 * MIB), {})) };
      told = written?.result?.text.includes(stopped) === true;
    }
    yield turn(bash("rm fill-*; cat kept.txt; ls", { isError: false, equals: "kept\nkept.txt" }));
    yield turn(write("more.txt", "more", { equals: "wrote 4 bytes to more.txt" }));
  }, smallDisk);
  expect(failures).toBe("");
  expect(calls.at(-3)?.result?.text).toContain(isBack);
}, 120_000);

test("one file larger than the whole limit: a command and the write tool are refused, and the sandbox goes on", async () => {
  const { failures } = await play(async function* () {
    yield turn(bash("truncate -s 65M large; echo $?; rm large", { contains: ["File size limit exceeded", "\n153"] }));
    yield turn(write("large", "x".repeat(65 * MIB), { isError: true, equals: "write: large: file too large" }));
    yield turn(bash("ls -A", { equals: "(no output)" }));
  }, smallDisk);
  expect(failures).toBe("");
}, 120_000);

test("no space left on a file system in memory: a command and the write tool say so, and the sandbox goes on", async () => {
  const { failures } = await play(
    async function* () {
      yield turn(write("first", "x".repeat(40 * MIB), { equals: `wrote ${40 * MIB} bytes to first` }));
      yield turn(bash("head -c 40M /dev/zero > second", { isError: true, equals: "head: error writing 'standard output': No space left on device" }));
      yield turn(write("third", "x".repeat(40 * MIB), { isError: true, equals: "write: third: no space left on device" }));
      yield turn(bash("rm second; ls", { equals: "first" }));
      yield turn(write("third", "x".repeat(10 * MIB), { equals: `wrote ${10 * MIB} bytes to third` }));
    },
    { flags: ["--workdir", "/dev/shm/work"] },
  );
  expect(failures).toBe("");
}, 120_000);
