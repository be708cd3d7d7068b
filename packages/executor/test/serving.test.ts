import { expect, test } from "vitest";
import { startHarness } from "./harness.ts";

test("a session's calls run in its sandbox and are answered, each once", async () => {
  await using harness = await startHarness();
  const session = harness.session({
    script: {
      turns: [
        { calls: [{ name: "write", input: { file_path: "src/a.txt", content: "one\ntwo\n" } }, { name: "read", input: { file_path: "src/a.txt" } }] },
        { calls: [{ name: "bash", input: { command: "echo hello" } }] },
      ],
    },
  });
  const worker = harness.work();
  const report = await session.finished;
  expect(report.calls.map(({ result }) => [result?.text, result?.isError])).toEqual([
    ["wrote 8 bytes to src/a.txt", false],
    ["one\ntwo\n", false],
    ["echo hello", false],
  ]);
  expect(harness.sandboxes.commands).toEqual(["echo hello"]);
  expect(worker.ofType("sandbox.ready").map(({ how }) => how)).toEqual(["created"]);
  await worker.stop();
});
