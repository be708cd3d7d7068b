import type { ProcessExit, SandboxProcess } from "@glovebox/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ConnectedGuest } from "../src/connect.ts";
import { LiveGuest } from "./live-guest.ts";
import { collected, never, textOf } from "./peer.ts";

const signal = never;
let live: LiveGuest;
let guest: ConnectedGuest;

beforeAll(async () => {
  live = await LiveGuest.start();
  guest = await live.connect();
});

afterAll(async () => {
  guest[Symbol.dispose]();
  await live[Symbol.asyncDispose]();
});

interface Ran extends ProcessExit {
  readonly output: string;
}

/** Resolves once the command has its turn. */
function begin(shell: string, command: string, more: { timeoutMs?: number; signal?: AbortSignal } = {}): Promise<SandboxProcess> {
  const { signal: by = signal, ...limits } = more;
  return guest.shell.run(
    { shell, command, cwd: "/workspace", env: { FROM_START: "1" }, output: { maxBytes: 1_000_000, keep: "tail" }, ...limits },
    { signal: by },
  );
}

async function run(...command: Parameters<typeof begin>): Promise<Ran> {
  const program = await begin(...command);
  const [output, exit] = await Promise.all([collected(program.stdout), program.exit]);
  return { output: textOf(output), ...exit };
}

/** Commands of one shell in order, with what each prints and its code. Then the shell must still answer. */
const sessions: Readonly<Record<string, readonly (readonly [command: string, output: string | RegExp, code: number | null, kept?: boolean])[]>> = {
  "directory, variables, functions and options stay": [
    ["cd /usr; A=1; f() { echo f$A; }; set -o noglob", "", 0],
    ["pwd; f; echo *", "/usr\nf1\n*\n", 0],
  ],
  "starts where and with what it was told": [["pwd; echo $FROM_START", "/workspace\n1\n", 0]],
  "an unbalanced quote": [
    ['echo "open', /unexpected EOF|unterminated|syntax/iu, 2],
    ["echo next", "next\n", 0],
  ],
  "an unbalanced heredoc": [
    ["cat <<END\ntext", /text\n$/u, 0],
    ["echo next", "next\n", 0],
  ],
  "exit ends it with its own code": [
    ["exit 7", "", 7, false],
    ["echo fresh", "fresh\n", 0],
  ],
  "exit ends it, whatever a background subshell of it still holds": [
    ["(while :; do sleep 1; done) & exit 7", "", 7, false],
    ["echo fresh", "fresh\n", 0],
  ],
  "exec ends it with the program": [
    ["exec /bin/echo gone", "gone\n", 0, false],
    ["echo fresh", "fresh\n", 0],
  ],
  "set -e": [
    ["set -e; false; echo not", "", 1, false],
    ["echo fresh", "fresh\n", 0],
  ],
  "stdin is at its end": [["cat; read -r x; echo read $?", "read 1\n", 0]],
  "a background reader of stdin": [
    ["cat & sleep 0.02; echo on", "on\n", 0],
    ["echo next", "next\n", 0],
  ],
  "a background job that holds stdout": [
    ["sleep 1000 & echo on", "on\n", 0],
    ["jobs -r | wc -l", "1\n", 0],
  ],
  "stderr is in its place": [["echo a; echo b >&2; echo c", "a\nb\nc\n", 0]],
  "return and break at top level": [
    ["return 3 2>/dev/null; break; echo on", /on\n$/u, 0],
    ["echo next", "next\n", 0],
  ],
  "functions named as builtins": [
    ["printf() { :; }; eval() { :; }; builtin() { :; }; echo() { :; }", "", 0],
    ["/bin/echo next", "next\n", 0],
  ],
  "a changed IFS and a trap": [
    ["IFS=0123456789; trap 'true' EXIT DEBUG; false", "", 1],
    ["true", "", 0],
  ],
  "stdout sent elsewhere": [
    ["exec >/dev/null", "", 0],
    ["echo lost", "", 0],
  ],
  "killed by itself": [
    ["kill -KILL $$", "", null, false],
    ["echo fresh", "fresh\n", 0],
  ],
  "a large command": [[`: '${"x".repeat(200_000)}'; echo done`, "done\n", 0]],
  "bytes beyond ASCII": [["printf 'ä€😀'", "ä€😀", 0]],
};

test.each(Object.entries(sessions))("shell: %s", async (name, commands) => {
  const shell = name.replaceAll(/\W/gu, "_");
  for (const [command, output, code, kept = true] of commands) {
    const ran = await run(shell, command);
    expect({ code: ran.code, kept: ran.shellKept, output: typeof output === "string" ? ran.output : output.test(ran.output) || ran.output }).toEqual({
      code,
      kept,
      output: typeof output === "string" ? output : true,
    });
  }
  await guest.shell.restart(shell, { signal });
});

test("commands of one shell wait for one another, two shells do not", async () => {
  const slow = run("one", "sleep 0.2; echo slow >>/workspace/order");
  const next = run("one", "echo next >>/workspace/order");
  await run("two", "echo other >>/workspace/order");
  await Promise.all([slow, next]);
  expect((await run("two", "cat /workspace/order")).output).toBe("other\nslow\nnext\n");
});

test("a time-out takes the shell with it, and the next command gets a fresh one", async () => {
  await run("timed", "A=1");
  expect(await run("timed", "echo before; sleep 1000", { timeoutMs: 100 })).toMatchObject({ output: "before\n", timedOut: true, shellKept: false });
  expect(await run("timed", "echo [$A]")).toMatchObject({ output: "[]\n", code: 0 });
});

test("an abort takes the shell with it; one that still waits leaves it alone", async () => {
  await run("aborted", "A=1");
  const [first, second, reason] = [new AbortController(), new AbortController(), new Error("enough")];
  const running = await begin("aborted", "sleep 1000", { signal: first.signal });
  const waiting = run("aborted", "A=2", { signal: second.signal });
  second.abort(reason);
  await expect(waiting).rejects.toBe(reason);
  first.abort(reason);
  await expect(running.exit).rejects.toBe(reason);
  expect((await run("aborted", "echo [$A]")).output).toBe("[]\n");
});

test("restart ends everything in it", async () => {
  await run("again", "A=1; sleep 43210 &");
  await guest.shell.restart("again", { signal });
  expect((await run("again", "echo [$A]; pgrep -f 'sleep 4321[0]' || echo none")).output).toBe("[]\nnone\n");
});
