import type { ProcessExit, SandboxProcess } from "@glovebox/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ConnectedGuest } from "../src/connect.ts";
import { LiveGuest } from "./live-guest.ts";
import { PlainImage } from "./plain-image.ts";
import { collected, never, textOf } from "./peer.ts";

const signal = never;
let guest: ConnectedGuest;

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

type Sessions = Readonly<Record<string, readonly (readonly [command: string, output: string | RegExp, code: number | null, kept?: boolean])[]>>;

/** Commands of one shell in order, with what each prints and its code. Whatever shell the image has. */
const sessions: Sessions = {
  "directory, variables, functions and options stay": [
    ["cd /usr; A=1; f() { echo f$A; }; set -f; export B=2", "", 0],
    ["pwd; f; echo *; env | grep ^B=", "/usr\nf1\n*\nB=2\n", 0],
  ],
  "starts where and with what it was told": [["pwd; echo $FROM_START", "/workspace\n1\n", 0]],
  "a status": [
    ["(exit 5)", "", 5],
    ["nope", /not found\n$/u, 127],
    ["true", "", 0],
  ],
  "a command that takes its time": [
    ["sleep 0.3; echo slow; (exit 5)", "slow\n", 5],
    ["sleep 0.3 & wait; echo waited", "waited\n", 0],
  ],
  "an unbalanced quote": [
    ['A=1; echo "open', /unexpected EOF|unterminated|syntax/iu, 2],
    ["A=2", "", 0],
    ['echo "open', /unexpected EOF|unterminated|syntax/iu, 2],
    ["echo $A", "2\n", 0],
  ],
  "a wrong syntax": [
    ["if then fi )", /syntax/iu, 2],
    ["echo next", "next\n", 0],
  ],
  "an unbalanced heredoc": [
    ["cat <<END\ntext", /text\n?$/u, 0],
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
    ["kill -0 $! && echo runs", "runs\n", 0],
  ],
  "stderr is in its place": [["echo a; echo b >&2; echo c", "a\nb\nc\n", 0]],
  "break at top level": [
    ["break 2>/dev/null; echo on", "on\n", 0],
    ["echo next", "next\n", 0],
  ],
  "functions named as the commands that it is run by": [
    ["printf() { :; }; echo() { :; }; command() { :; }; builtin() { :; }; true() { :; }", "", 0],
    ["/bin/echo next; (exit 6)", "next\n", 6],
    ["printf x; /bin/echo", "\n", 0],
  ],
  "aliases for every word that it is run by": [
    ["alias eval=: command=: builtin=: unset=: if=: then=: fi=: printf=:", "", 0],
    ["/bin/echo next; (exit 7)", "next\n", 7],
  ],
  "digits in IFS and a trap": [
    ["IFS=0123456789:/; trap : EXIT; false", "", 1],
    ["true", "", 0],
  ],
  tracing: [
    ["set -x; (exit 5)", /\+ exit 5\n/u, 5],
    ["(exit 6)", /\+ exit 6\n/u, 6],
  ],
  "stdout sent elsewhere": [
    ["exec >/dev/null", "", 0],
    ["echo lost", "", 0],
  ],
  "killed by itself": [
    ["kill -KILL $$", "", null, false],
    ["echo fresh", "fresh\n", 0],
  ],
  "a shell that takes commands and runs none": [
    ["set -n", "", null, false],
    ["echo fresh", "fresh\n", 0],
  ],
  "a command above a block of a pipe": [[`: '${"x".repeat(1_100)}\n'; echo done; (exit 3)`, "done\n", 3]],
  "a command above a whole pipe, with quotes and lines": [
    [`: "${"it's\n".repeat(40_000)}"; echo done; (exit 4)`, "done\n", 4],
    ["sleep 0.1; echo next", "next\n", 0],
  ],
  "bytes beyond ASCII": [["printf 'ä€😀'", "ä€😀", 0]],
};

const bashSessions: Sessions = {
  "functions named as special built-ins": [
    ["eval() { :; }; unset() { :; }", "", 0],
    ["echo next; (exit 6)", "next\n", 6],
  ],
  "jobs are its own": [["sleep 1000 & jobs -r | wc -l; kill %1", "1\n", 0]],
  "return at top level": [
    ["return 3 2>/dev/null; echo on", /on\n$/u, 0],
    ["echo next", "next\n", 0],
  ],
  "traps on everything": [
    ["trap true EXIT DEBUG ERR; false", "", 1],
    ["true", "", 0],
  ],
};

const plainSessions: Sessions = {
  "functions named as special built-ins are refused": [
    ["eval() { :; }", /bad function name/iu, 2],
    ["echo next; (exit 6)", "next\n", 6],
  ],
  "an error that ends a shell by the book": [
    ["set -u; echo $nope", /parameter not set/u, 2],
    ["set +u; readonly r=1; r=2", /read only/u, 2],
    [". /nope", /nope/u, 2],
    ["echo $r", "1\n", 0],
  ],
  "return at top level ends it": [
    ["return 3; echo not", "", 3, false],
    ["echo fresh", "fresh\n", 0],
  ],
  "a function named command is gone with the next": [
    ["command() { echo own; }; command", "own\n", 0],
    ["command echo the shell\\'s", "the shell's\n", 0],
  ],
  "descriptor 8 is not the agent's for longer than a command": [
    ["exec 8>&1; echo x >&8", "x\n", 0],
    ["echo y >&8", /8: Bad file descriptor/iu, 2],
  ],
};

const shells = [
  { program: "bash", plain: false, own: bashSessions },
  { program: "sh", plain: true, own: plainSessions },
];

describe.each(shells)("$program", ({ program, plain, own }) => {
  let opened: AsyncDisposable;

  beforeAll(async () => {
    await using stack = new AsyncDisposableStack();
    const image = plain ? stack.use(await PlainImage.make()).tag : undefined;
    const live = stack.use(await LiveGuest.start({ image }));
    guest = stack.use(await live.connect());
    opened = stack.move();
  });

  afterAll(async () => {
    await opened[Symbol.asyncDispose]();
  });

  test("is the shell", async () => {
    expect((await run("which", "echo $0")).output).toBe(`/bin/${program}\n`);
  });

  test.each(Object.entries({ ...sessions, ...own }))("shell: %s", async (name, commands) => {
    const shell = name.replaceAll(/\W/gu, "_");
    for (const [command, output, code, kept = true] of commands) {
      const ran = await run(shell, command);
      expect({
        code: ran.code,
        kept: ran.shellKept,
        output: typeof output === "string" ? ran.output : output.test(ran.output) || ran.output,
      }).toEqual({
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
});
