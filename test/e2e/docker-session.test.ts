import { startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { startWorker } from "../workers/start.ts";
import { removeSandboxes } from "../workers/sandboxes.ts";

test("a session runs its whole toolset in a Docker sandbox, through the command line's worker", async () => {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = startWorker(simulator, "docker");
  const program = "def total(numbers):\n    return sum(numbers[1:])\n\nassert total([1, 2, 3]) == 6\nprint('fine')\n";
  const report = await simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { name: "write", input: { file_path: "total.py", content: program }, expect: { equals: `wrote ${program.length} bytes to total.py` } },
          ],
        },
        { calls: [{ name: "bash", input: { command: "python3 total.py" }, expect: { isError: true, contains: "AssertionError" } }] },
        {
          calls: [
            {
              name: "edit",
              input: { file_path: "total.py", old_string: "numbers[1:]", new_string: "numbers" },
              expect: { equals: "edited total.py (1 replacement(s))" },
            },
          ],
        },
        {
          calls: [
            { name: "bash", input: { command: "cd /tmp && export GREETING=hello && python3 /workspace/total.py" }, expect: { equals: "fine" } },
            { name: "bash", input: { command: 'echo "$GREETING from $PWD as $(id -u)"' }, expect: { equals: "hello from /tmp as 1000" } },
            {
              name: "read",
              input: { file_path: "total.py", view_range: [1, 2] },
              expect: { equals: "def total(numbers):\n    return sum(numbers)" },
            },
            { name: "glob", input: { pattern: "**/*.py" }, expect: { equals: "/workspace/total.py" } },
            { name: "grep", input: { pattern: "sum\\(", path: "." }, expect: { contains: "total.py:2:    return sum(numbers)" } },
          ],
        },
        {
          calls: [
            {
              name: "read",
              input: { file_path: "../../etc/shadow" },
              expect: { isError: true, equals: `path "../../etc/shadow" is outside the session's working directory` },
            },
            { name: "bash", input: { command: "ln -s /etc/passwd /workspace/link; ln -s / /workspace/root" }, expect: { isError: false } },
            {
              name: "read",
              input: { file_path: "link" },
              expect: { isError: true, equals: `path "link" is outside the session's working directory` },
            },
            {
              name: "write",
              input: { file_path: "root/tmp/out", content: "x" },
              expect: { isError: true, equals: `path "root/tmp/out" is outside the session's working directory` },
            },
            { name: "read", input: { file_path: 7 }, expect: { isError: true } },
            {
              name: "bash",
              input: { command: "head -c 1073741824 /dev/zero | tr '\\0' x; echo; echo end" },
              expect: { matches: "^\\[output truncated\\]\n(.|\n)*end$" },
            },
            { name: "bash", input: { command: "exit 7" }, expect: { isError: true } },
            { name: "bash", input: { command: "echo 'unbalanced" }, expect: { isError: true } },
            { name: "bash", input: { command: "echo back" }, expect: { equals: "back" } },
          ],
        },
      ],
    },
  }).finished;
  expect(report.failures).toEqual([]);
  expect(report.calls).toHaveLength(17);
  worker.kill("SIGTERM");
  expect(await worker.ended).toEqual({ code: 0, signal: null });
}, 120_000);
