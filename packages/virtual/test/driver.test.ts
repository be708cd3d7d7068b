import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { Sandbox, SandboxError } from "@glovebox/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { virtual } from "../src/index.ts";

const provider = virtual({ threadMemoryBytes: 67_108_864, diskBytes: 4_194_304 });
let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await Sandbox.create(provider);
});
afterAll(async () => {
  await sandbox.destroy();
});

const failure = async (pending: Promise<unknown>): Promise<SandboxError> => {
  const error: unknown = await pending.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!SandboxError.is(error)) throw new Error("expected a SandboxError", { cause: error });
  return error;
};

test("output, errors, exit code, directory, environment and input reach where they belong", async () => {
  const result = await sandbox.exec('echo "$PWD $WHO"; cat; echo oops >&2; exit 3', { cwd: "/tmp", env: { WHO: "it's me" }, stdin: "in é" });
  expect([result.stdoutText, result.stderrText, result.code]).toEqual(["/tmp it's me\nin é", "oops\n", 3]);
});

test("arguments are not read by a shell", async () => {
  const words = ["$(echo no)", "`x`", "a b", "it's", "new\nline", "-n", "*", ""];
  const result = await sandbox.exec(["printf", "[%s]", ...words]);
  expect(result.stdoutText).toBe(words.map((word) => `[${word}]`).join(""));
});

test("a program or directory that is not there is refused before anything runs", async () => {
  expect(await failure(sandbox.exec(["git", "status"]))).toMatchObject({ code: "not_found", reason: "ENOENT", effect: "none" });
  expect(await failure(sandbox.exec(["true"], { cwd: "/none" }))).toMatchObject({ code: "not_found", reason: "ENOENT" });
  await sandbox.files.write("plain.sh", "echo hi");
  expect(await failure(sandbox.exec(["./plain.sh"]))).toMatchObject({ code: "permission_denied", reason: "EACCES" });
});

test("output beyond the limit is cut inside and counted", async () => {
  const head = await sandbox.exec("seq 1 1000", { maxOutputBytes: 10 });
  const tail = await sandbox.exec("seq 1 1000", { maxOutputBytes: 10, keep: "tail" });
  expect([head.stdoutText, head.droppedBytes.stdout]).toEqual(["1\n2\n3\n4\n5\n", 3883]);
  expect([tail.stdoutText, tail.droppedBytes.stdout]).toEqual(["\n999\n1000\n", 3883]);
});

test("a time-out ends a loop that never waits; files stay", async () => {
  const result = await sandbox.exec("echo kept > kept.txt; while :; do :; done", { timeoutMs: 300 });
  expect([result.code, result.signal, result.timedOut]).toEqual([null, "SIGKILL", true]);
  expect(await sandbox.files.readText("kept.txt")).toBe("kept\n");
});

test("a loop that never waits delays neither the abort, nor the event loop, nor another sandbox", async () => {
  const other = await Sandbox.create(provider);
  const controller = new AbortController();
  const reason = new Error("enough");
  const loop = sandbox.exec("while :; do :; done", { signal: controller.signal }).catch((error: unknown) => error);
  expect((await other.exec("echo fine")).stdoutText).toBe("fine\n"); // would never come if the loop had the thread
  controller.abort(reason);
  expect(await loop).toBe(reason);
  await other.destroy();
});

test("a program that eats memory ends with a code, and only it", async () => {
  const eater = sandbox.exec("i=0; x=$(printf '%1000000s' a); while :; do a[i++]=$x$i; done");
  expect(await failure(eater)).toMatchObject({ code: "resource_exhausted", reason: "ENOMEM", effect: "unknown" });
  expect((await sandbox.exec("echo on")).stdoutText).toBe("on\n");
});

test("a sandbox that takes all the threads it may does not keep another waiting", async () => {
  const few = virtual({ maxThreads: 5 });
  const [greedy, modest] = await Promise.all([Sandbox.create(few), Sandbox.create(few)]);
  const controller = new AbortController();
  const loops = Array.from({ length: 6 }, async () => await greedy.exec("while :; do :; done", { signal: controller.signal }).catch(() => "ended"));
  expect((await modest.exec("echo fine")).stdoutText).toBe("fine\n");
  controller.abort();
  expect(await Promise.all(loops)).toEqual(Array.from({ length: 6 }, () => "ended"));
  await Promise.all([greedy.destroy(), modest.destroy()]);
});

test.runIf(process.platform === "linux")(
  "many short programs are done by as many threads as there are cores",
  async () => {
    const threads = (): number => readdirSync("/proc/self/task").length;
    const own = virtual();
    const sandboxes = await Promise.all(Array.from({ length: 40 }, () => Sandbox.create(own)));
    const before = threads();
    let most = before;
    const watching = setInterval(() => (most = Math.max(most, threads())), 5);
    // far longer than a program's patience, were it counted from its own asking
    await Promise.all(sandboxes.map(async (each) => await Promise.all(Array.from({ length: 25 }, async () => await each.exec("echo short")))));
    clearInterval(watching);
    expect(most - before).toBeLessThanOrEqual(availableParallelism());
    await Promise.all(sandboxes.map((each) => each.destroy()));
  },
  60_000,
);

test("fifty sandboxes at once keep apart", async () => {
  const sandboxes = await Promise.all(Array.from({ length: 50 }, () => Sandbox.create(provider)));
  const said = await Promise.all(sandboxes.map(async (each, index) => (await each.exec(`echo ${index} > mine; cat mine`)).stdoutText));
  expect(said).toEqual(sandboxes.map((_, index) => `${index}\n`));
  await Promise.all(sandboxes.map((each) => each.destroy()));
});

test("a shell goes on where it was: directory, variables, functions", async () => {
  const shell = sandbox.shell("going-on");
  await shell.run(`mkdir -p deep; cd deep; plain="it's"; export SHOWN=2; greet() { echo "hi $1"; }`);
  const result = await shell.run(`pwd; greet you; echo "$plain"; sh -c 'echo "$SHOWN$plain"'; echo last >&2`);
  expect([result.text, result.code, result.shellKept]).toEqual(["/workspace/deep\nhi you\nit's\n2\nlast\n", 0, true]);
});

test("what a shell cannot parse leaves it as it was; exit and a time-out end it", async () => {
  const shell = sandbox.shell("ending");
  await shell.run("cd /tmp");
  expect(await shell.run("echo 'open")).toMatchObject({ code: 2, shellKept: true });
  expect((await shell.run("pwd")).text).toBe("/tmp\n");
  expect(await shell.run("exit 7")).toMatchObject({ code: 7, shellKept: false });
  expect((await shell.run("pwd; cd /tmp")).text).toBe("/workspace\n");
  expect(await shell.run("sleep 60", { timeoutMs: 100 })).toMatchObject({ timedOut: true, shellKept: false });
  expect((await shell.run("pwd; cat; cd /tmp")).text).toBe("/workspace\n");
  await shell.restart();
  expect((await shell.run("pwd")).text).toBe("/workspace\n");
});

test("there is no network inside, and nothing of the host's environment", async () => {
  const result = await sandbox.exec("curl http://127.0.0.1; wget http://127.0.0.1; env");
  expect(result.stderrText).toBe("bash: curl: command not found\nbash: wget: command not found\n");
  expect(result.stdoutText).not.toContain("VITEST");
});

test("a destroyed sandbox is gone for everyone, with its programs, and its id is free", async () => {
  const first = await Sandbox.create(provider, { labels: { kind: "short" } }, { id: "short-lived" });
  expect(await failure(Sandbox.create(provider, {}, { id: "short-lived" }))).toMatchObject({ code: "already_exists", effect: "none" });
  const second = await Sandbox.attach(provider, first.ref);
  const loop = failure(second.exec("while :; do :; done"));
  await first.destroy();
  expect(await loop).toMatchObject({ code: "not_found" });
  expect(await failure(second.exec("true"))).toMatchObject({ code: "unavailable", effect: "none" });
  expect(await failure(second.lost.then((error) => Promise.reject(error)))).toMatchObject({ code: "not_found" });
  expect(await failure(Sandbox.attach(provider, first.ref))).toMatchObject({ code: "not_found" });
  await provider.destroy(first.ref, { signal: new AbortController().signal });
});

test("a wrong proof is refused", async () => {
  const options = { signal: new AbortController().signal };
  const wrong = { ...sandbox.ref, proof: "0".repeat(sandbox.ref.proof.length) };
  expect(await failure(provider.attach(wrong, { ...options, mode: "join" }))).toMatchObject({ code: "permission_denied" });
  expect(await failure(provider.destroy(wrong, options))).toMatchObject({ code: "permission_denied" });
});

test("threads do not keep the process, whether the sandbox was destroyed or not", async () => {
  const program = `
    import { virtual } from ${JSON.stringify(fileURLToPath(new URL("../src/index.ts", import.meta.url)))};
    import { Sandbox } from "@glovebox/core";
    const sandbox = await Sandbox.create(virtual());
    process.stdout.write((await sandbox.exec("echo done")).stdoutText);`;
  const argv = ["--conditions=@glovebox/source", "--input-type=module", "--eval", program];
  const { stdout } = await promisify(execFile)(process.execPath, argv, { cwd: fileURLToPath(new URL("..", import.meta.url)) });
  expect(stdout).toBe("done\n");
});
