import { expect, test } from "vitest";
import { customTool } from "../src/index.ts";
import { aborted } from "./fake-sandboxes.ts";
import { type Harness, startHarness } from "./harness.ts";

const bash = (command: string, thread?: string) => ({ name: "bash", input: { command }, ...(thread === undefined ? {} : { thread }) });
type Command = { readonly request: { readonly command: string; readonly shell: string }; readonly signal: AbortSignal };
/** Until so many commands run in their shells: a call is told as started before it got that far. */
async function begun(harness: Harness, commands: number): Promise<void> {
  while (harness.sandboxes.commands.length < commands) await new Promise((resolve) => setImmediate(resolve));
}

const slow = async ({ request, signal }: Command) => {
  if (request.command === "sleep") await aborted(signal);
  return { output: `${request.command} in ${request.shell === "main" ? "main" : "its own"}` };
};

test("two child threads and the primary one run at once, each in a shell of its own", async () => {
  const together = Promise.withResolvers<void>();
  const shells = new Set<string>();
  const shell = async ({ request }: Command) => {
    shells.add(request.shell);
    if (shells.size === 3) together.resolve();
    await together.promise;
    return { output: "together" };
  };
  await using harness = await startHarness({}, { shell });
  const session = harness.session({ script: { turns: [{ calls: [bash("one", "a"), bash("two", "b"), bash("three")] }] } });
  harness.work();
  expect((await session.finished).calls.map(({ result }) => result?.text)).toEqual(["together", "together", "together"]);
  expect(harness.sandboxes.fake.sandboxes.size).toBe(1);
});

test("files are shared by all threads", async () => {
  await using harness = await startHarness();
  const session = harness.session({
    script: {
      turns: [
        {
          calls: [
            { name: "write", input: { file_path: "shared.txt", content: "from a" }, thread: "a" },
            { name: "read", input: { file_path: "shared.txt" }, thread: "b" },
            { name: "edit", input: { file_path: "shared.txt", old_string: "a", new_string: "b" }, thread: "b" },
            { name: "read", input: { file_path: "shared.txt" } },
          ],
        },
      ],
    },
  });
  harness.work();
  const { calls } = await session.finished;
  expect(calls.map(({ result }) => result?.text)).toEqual([
    "wrote 6 bytes to shared.txt",
    "from a",
    "edited shared.txt (1 replacement(s))",
    "from b",
  ]);
});

test("an interrupt of one thread cancels its command and its waiting calls, and the other threads go on", async () => {
  await using harness = await startHarness({}, { shell: slow });
  const ran: unknown[] = [];
  const effect = customTool({ name: "effect", inputSchema: { type: "object" }, run: () => String(ran.push("effect")) });
  const session = harness.session({
    script: {
      turns: [
        {
          calls: [bash("sleep", "a"), { name: "effect", kind: "custom", thread: "a" }, bash("sleep", "b"), bash("main")],
        },
        { calls: [bash("again", "a")] },
      ],
    },
  });
  const worker = harness.work({ tools: [effect] });
  await worker.until("call.started", () => worker.ofType("call.started").length === 3);
  await begun(harness, 3);
  session.interrupt("a");
  await worker.until("call.finished", ({ text }) => text.startsWith("Tool execution was interrupted"));
  expect(worker.ofType("call.finished").filter(({ text }) => text.startsWith("sleep"))).toEqual([]);
  session.terminateThread("b");
  const { calls } = await session.finished;
  expect(calls.map(({ outcome }) => outcome)).toEqual(["interrupted", "interrupted", "dropped", "result", "result"]);
  expect(calls.at(-1)?.result?.text).toMatch(/^again in its own\nThe shell was ended with the command before this one/u);
  expect(calls[3]?.result?.text).toBe("main in main");
  expect(ran).toEqual([]);
});

test("an interrupt of one thread that the control plane does not close itself is answered, so that the thread is not stuck", async () => {
  await using harness = await startHarness({}, { shell: slow });
  const session = harness.session({ script: { turns: [{ calls: [bash("sleep", "a"), bash("waiting", "a")] }] } });
  const worker = harness.work();
  const { threadId } = await worker.until("call.started");
  await begun(harness, 1);
  session.emit({ type: "user.interrupt", session_thread_id: threadId });
  const { calls } = await session.finished;
  expect(calls.map(({ outcome, result }) => [outcome, result?.isError, result?.text.split("\n")[0]])).toEqual([
    ["result", true, "Tool execution was interrupted before completion. Please retry."],
    ["result", true, "Tool execution was interrupted before completion. Please retry."],
  ]);
  expect(harness.sandboxes.commands).toEqual(["sleep"]);
});

test("each thread is told once that its sandbox was replaced", async () => {
  await using harness = await startHarness();
  const session = harness.session({
    brain: async function* () {
      yield { calls: [bash("one"), bash("two", "a")] };
      harness.sandboxes.destroyAll();
      yield { calls: [bash("three"), bash("four", "a"), bash("five", "a"), bash("six")] };
    },
  });
  harness.work();
  const { calls } = await session.finished;
  const told = calls.map(({ result }) => result?.text.includes("Note: the sandbox was replaced by a new, empty one") === true);
  expect(told.slice(2)).toEqual([true, true, false, false]);
});
