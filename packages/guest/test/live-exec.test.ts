import type { ProcessExit, SpawnRequest } from "@glovebox/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ConnectedGuest } from "../src/connect.ts";
import { docker } from "./guest-container.ts";
import { LiveGuest } from "./live-guest.ts";
import { bytesOf, collected, never, textOf } from "./peer.ts";

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

type Case = Partial<Omit<SpawnRequest, "argv">> & {
  /** A shell script, or a program and its arguments. */
  readonly argv: string | readonly [string, ...string[]];
  /** Written to stdin, which is then closed. */
  readonly input?: string | Uint8Array;
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exit?: Partial<ProcessExit>;
};

const head = (maxBytes: number) => ({ output: { maxBytes, keep: "head" } }) as const;
const tail = (maxBytes: number) => ({ output: { maxBytes, keep: "tail" } }) as const;

const cases: Readonly<Record<string, Case>> = {
  "exit 0": { argv: ["/bin/true"] },
  "exit 1": { argv: ["/bin/false"], exit: { code: 1 } },
  "exit 255": { argv: "exit 255", exit: { code: 255 } },
  "exit 137 is no signal": { argv: "exit 137", exit: { code: 137 } },
  "ended by SIGKILL": { argv: "kill -KILL $$", exit: { code: null, signal: "SIGKILL" } },
  "ended by SIGTERM": { argv: "kill -TERM $$", exit: { code: null, signal: "SIGTERM" } },
  "ended by SIGSEGV": { argv: "kill -SEGV $$", exit: { code: null, signal: "SIGSEGV" } },
  "stdout alone": { argv: "printf out", stdout: "out" },
  "stderr alone": { argv: "printf err >&2", stderr: "err" },
  "stdout and stderr apart": { argv: "printf a; printf b >&2; printf c; printf d >&2", stdout: "ac", stderr: "bd" },
  "merged in the order written": { argv: "printf a; printf b >&2; printf c; printf d >&2", mergeStderr: true, stdout: "abcd" },
  "no output": { argv: ":" },
  "a line without end": { argv: "printf 'a\\nb'", stdout: "a\nb" },
  "NUL and every byte": {
    argv: ["python3", "-c", "import sys; sys.stdout.buffer.write(bytes(range(256)))"],
    stdout: Buffer.from([...Array.from({ length: 256 }).keys()]).toString("latin1"),
  },
  "arguments are data": {
    argv: ["printf", "%s|", "a b", "", "$HOME", "`id`", "'\"", "-n", "*", "ä\n"],
    stdout: "a b||$HOME|`id`|'\"|-n|*|\u00c3\u00a4\n|",
  },
  "a program found on PATH": { argv: ["expr", "1", "+", "2"], stdout: "3\n" },
  "PATH of env is the one searched": { argv: ["mine"], env: { PATH: "/tmp/glovebox-path" }, stdout: "mine\n" },
  cwd: { argv: ["pwd"], cwd: "/usr/lib", stdout: "/usr/lib\n" },
  "env is added": { argv: 'printf %s "$A"', env: { A: "x=y z\n" }, stdout: "x=y z\n" },
  "HOME, USER and LANG": { argv: 'printf "%s %s" "$HOME" "$LANG"', stdout: "/home/agent C.UTF-8" },
  "the guest's own environment is not passed on": {
    argv: ["env"],
    env: {},
    stdout: "HOME=/home/agent\nLANG=C.UTF-8\nPATH=/usr/local/bin:/usr/bin:/bin\nUSER=agent\n",
  },
  "the agent's user": { argv: "id -u; id -g", stdout: "1000\n1000\n" },
  "another user by number": { argv: "id -u; id -g", user: "1234:1235", stdout: "1234\n1235\n" },
  "another user by name": { argv: ["id", "-un"], user: "nobody", stdout: "nobody\n" },
  "no capabilities": { argv: "grep CapEff /proc/self/status", stdout: "CapEff:\t0000000000000000\n" },
  "no other descriptors": {
    argv: ["python3", "-c", "import os; print(sorted(set(os.listdir('/proc/self/fd')) - {'3'}))"],
    stdout: "['0', '1', '2']\n",
  },
  "signals are as by default": {
    argv: [
      "python3",
      "-c",
      "import signal; print(signal.getsignal(signal.SIGTERM) == signal.SIG_DFL, signal.pthread_sigmask(signal.SIG_BLOCK, []) == set())",
    ],
    stdout: "True True\n",
  },
  "its own process group": { argv: 'read -r _ _ _ _ group _ </proc/self/stat; test "$group" = $$ && printf own', stdout: "own" },
  "stdin null is at its end": { argv: ["cat"] },
  "stdin comes and ends": { argv: ["cat"], input: "abc\0def", stdout: "abc\0def" },
  "stdin empty": { argv: ["wc", "-c"], input: "", stdout: "0\n" },
  "stdin of many windows": { argv: ["wc", "-c"], input: new Uint8Array(3_000_000), stdout: "3000000\n" },
  "stdin that nobody reads": { argv: "exec <&-; sleep 0.05; printf done", input: new Uint8Array(100_000), stdout: "done" },
  "a background child that keeps stdout": { argv: "sleep 1000 & printf early", stdout: "early" },
  "a background child that keeps stderr": { argv: "sleep 1000 >/dev/null & printf early >&2", stderr: "early" },
  "time-out": { argv: "printf before; sleep 1000", timeoutMs: 100, stdout: "before", exit: { code: null, signal: "SIGKILL", timedOut: true } },
  "time-out takes the group": { argv: "sleep 1000 & trap '' TERM; wait", timeoutMs: 100, exit: { code: null, signal: "SIGKILL", timedOut: true } },
  "time-out not reached": { argv: "printf x", timeoutMs: 60_000, stdout: "x" },
  "the head is kept": {
    argv: "printf 0123456789; printf abcdef >&2",
    ...head(4),
    stdout: "0123",
    stderr: "abcd",
    exit: { droppedBytes: { stdout: 6, stderr: 2 } },
  },
  "the tail is kept": {
    argv: "printf 0123456789; printf abcdef >&2",
    ...tail(4),
    stdout: "6789",
    stderr: "cdef",
    exit: { droppedBytes: { stdout: 6, stderr: 2 } },
  },
  "output at the limit": { argv: "printf 0123", ...head(4), stdout: "0123" },
  "a flood is cut inside": {
    argv: "head -c 50000000 /dev/zero",
    ...tail(3),
    stdout: "\0\0\0",
    exit: { droppedBytes: { stdout: 49_999_997, stderr: 0 } },
  },
  "the status is not what a child prints": { argv: "echo 0; exit 3", stdout: "0\n", exit: { code: 3 } },
  "a program that ends by exec": { argv: "exec printf replaced", stdout: "replaced" },
};

const ok: ProcessExit = { code: 0, signal: null, timedOut: false, droppedBytes: { stdout: 0, stderr: 0 }, replayed: false };

test("there are at least 40 cases", () => expect(Object.keys(cases).length).toBeGreaterThanOrEqual(40));

test.each(Object.entries(cases))("exec: %s", async (name, { argv, input, stdout = "", stderr = "", exit, ...request }) => {
  if (name.startsWith("PATH"))
    await docker(
      "exec",
      live.name,
      "sh",
      "-c",
      "mkdir -p /tmp/glovebox-path && printf '#!/bin/sh\\necho mine\\n' >/tmp/glovebox-path/mine && chmod 755 /tmp/glovebox-path/mine",
    );
  const program = await guest.spawn(
    { cwd: "/", env: {}, ...request, argv: typeof argv === "string" ? ["/bin/sh", "-c", argv] : argv, stdin: input === undefined ? "null" : "pipe" },
    { signal },
  );
  const writer = program.stdin?.getWriter();
  const fed = writer?.write(typeof input === "string" ? bytesOf(input) : (input ?? new Uint8Array())).then(() => writer.close());
  const [out, err, end] = await Promise.all([collected(program.stdout), collected(program.stderr), program.exit, fed?.catch(() => undefined)]);
  const lines = Buffer.from(out).toString("latin1");
  expect({
    stdout: argv[0] === "env" ? lines.split("\n").toSorted().join("\n").replace(/^\n/u, "").concat("\n") : lines,
    stderr: Buffer.from(err).toString("latin1"),
    end,
  }).toEqual({
    stdout,
    stderr,
    end: { ...ok, ...exit },
  });
});

const refused: Readonly<Record<string, readonly [Partial<SpawnRequest>, object]>> = {
  "no such program": [{ argv: ["/absent"] }, { code: "not_found", effect: "none", reason: "ENOENT" }],
  "no such program on PATH": [{ argv: ["absent-program"] }, { code: "not_found", effect: "none", reason: "ENOENT" }],
  "no such directory": [{ cwd: "/absent" }, { code: "not_found", effect: "none", reason: "ENOENT" }],
  "not executable": [{ argv: ["/etc/passwd"] }, { code: "permission_denied", effect: "none", reason: "EACCES" }],
  "a NUL in an argument": [{ argv: ["printf", "a\0b"] }, { code: "invalid_argument", effect: "none" }],
  root: [{ user: "0" }, { effect: "none" }],
};

test.each(Object.entries(refused))("exec refused: %s", async (_name, [request, expected]) => {
  await expect(guest.spawn({ argv: ["/bin/true"], cwd: "/", env: {}, stdin: "null", ...request }, { signal })).rejects.toMatchObject(expected);
});

const start = (script: string, more: Partial<SpawnRequest> = {}, options: { signal: AbortSignal } = { signal }) =>
  guest.spawn({ argv: ["/bin/sh", "-c", script], cwd: "/", env: {}, stdin: "null", ...more }, options);

test("a signal goes to the whole group", async () => {
  const program = await start("trap 'echo got; exit 7' USR1; sleep 1000 & echo ready; wait");
  const reader = program.stdout.getReader();
  expect(textOf((await reader.read()).value ?? new Uint8Array())).toBe("ready\n");
  await program.signal("SIGUSR1", { signal });
  expect(textOf((await reader.read()).value ?? new Uint8Array())).toBe("got\n");
  expect(await program.exit).toEqual({ ...ok, code: 7 });
});

test("an abort kills the group and nothing of it stays", async () => {
  const [controller, reason] = [new AbortController(), new Error("enough")];
  const program = await start("echo $$; sleep 98765 & wait", {}, { signal: controller.signal });
  await program.stdout.getReader().read();
  controller.abort(reason);
  await expect(program.exit).rejects.toBe(reason);
  await expect
    .poll(
      async () =>
        textOf(await collected((await start("grep -l 98765 /proc/[0-9]*/cmdline 2>/dev/null | grep -v self; true")).stdout)).split("\n").length,
      { interval: 20 },
    )
    .toBeLessThan(4);
  await expect.poll(() => guest.openStreams, { interval: 10 }).toBe(0);
});

test("100 MiB of output arrive whole, read slowly at first", async () => {
  const program = await start("head -c 104857600 /dev/zero");
  let bytes = 0;
  for await (const chunk of program.stdout) bytes += chunk.length;
  expect([bytes, await program.exit]).toEqual([104_857_600, ok]);
});

test("a program waits for a reader, others go on, and its end is told before it is read", async () => {
  const flood = await start("head -c 10000000 /dev/zero; echo flooded >&2");
  expect(textOf(await collected((await start("echo meanwhile")).stdout))).toBe("meanwhile\n");
  const small = await start("head -c 300000 /dev/zero"); // more than a window, less than window and pipe
  expect(await small.exit).toEqual(ok);
  expect(await collected(small.stdout)).toHaveLength(300_000);
  let bytes = 0;
  for await (const chunk of flood.stdout) bytes += chunk.length;
  expect([bytes, textOf(await collected(flood.stderr))]).toEqual([10_000_000, "flooded\n"]);
});

test("50 at once each get their own", async () => {
  const outputs = await Promise.all(
    Array.from({ length: 50 }, async (_, index) => {
      const program = await start(`sleep 0.0${index % 10}; printf %s ${index}; exit ${index}`);
      const [out, exit] = await Promise.all([collected(program.stdout), program.exit]);
      return [textOf(out), exit.code];
    }),
  );
  expect(outputs).toEqual(Array.from({ length: 50 }, (_, index) => [String(index), index]));
  expect(guest.openStreams).toBe(0);
});
