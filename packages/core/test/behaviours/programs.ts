import { type SandboxDriver, type SandboxProcess, Sandbox } from "../../src/index.ts";
import { fakeCapabilities, fakeProvider } from "../fake-provider.ts";
import { type Behaviours, type Output, equal, make, never, refused, text, thrown } from "./behave.ts";

/** A program that never ends and heeds nothing. */
const stuck = (log: string[]): SandboxProcess => ({
  stdin: null,
  stdout: new ReadableStream(),
  stderr: new ReadableStream(),
  exit: never(),
  signal: async (name) => void log.push(name),
});

/** Programs, and the shell that lasts. */
export const programBehaviours: Behaviours = {
  "exec: argv as it is, a string through /bin/sh": async () => {
    const provider = fakeProvider();
    await using sandbox = await Sandbox.create(provider);
    const result = await sandbox.exec(["echo", "a b", "$c"]);
    equal(
      [result.stdoutText, result.stderrText, result.code, result.signal, result.timedOut, result.replayed],
      ["a b $c\n", "", 0, null, false, false],
    );
    equal((await sandbox.exec("echo hello")).stdoutText, "hello\n");
    equal(provider.log.slice(1), ["spawn echo a b $c", "spawn /bin/sh -c echo hello"]);
  },
  "exec: the driver's request is complete, relative directories start at the work directory": async () => {
    const requests: unknown[] = [];
    const options = { exec: { ...fakeCapabilities.exec, user: "native" as const } };
    const programs = { echo: async ({ request }: { readonly request: unknown }) => (requests.push(request), 0) };
    await using sandbox = await Sandbox.create(fakeProvider({ programs, capabilities: options }), { workdir: "/home/me" });
    await sandbox.exec(["echo"], { cwd: "sub/-d", env: { A: "=" }, user: "1:2", mergeStderr: true, timeoutMs: 5, maxOutputBytes: 0, keep: "tail" });
    const limit = { output: { maxBytes: 0, keep: "tail" }, timeoutMs: 5 };
    equal(requests, [{ argv: ["echo"], cwd: "/home/me/sub/-d", env: { A: "=" }, stdin: "null", user: "1:2", mergeStderr: true, ...limit }]);
  },
  "exec: stdin as text, bytes and stream reaches the program, binary-safe": async () => {
    await using sandbox = await make();
    equal((await sandbox.exec(["cat"], { stdin: "ü\n" })).stdoutText, "ü\n");
    equal((await sandbox.exec(["cat"], { stdin: new Uint8Array([0, 255, 10]) })).stdout, new Uint8Array([0, 255, 10]));
    equal((await sandbox.exec(["cat"], { stdin: new Blob(["from", " a stream"]).stream() })).stdoutText, "from a stream");
    equal((await sandbox.exec(["true"], { stdin: "x".repeat(1_000_000) })).code, 0);
  },
  "exec: a stdin source that fails ends the program with its own error": async () => {
    await using sandbox = await make();
    const failure = new Error("source");
    const source = (): ReadableStream<Uint8Array> => new ReadableStream<Uint8Array>({ pull: () => Promise.reject(failure) });
    equal((await thrown(sandbox.exec(["cat"], { stdin: source() }))) === failure, true);
    const killed = Promise.withResolvers<unknown>();
    const heedless = async ({ signal }: { readonly signal: AbortSignal }): Promise<number> => {
      signal.addEventListener("abort", () => killed.resolve(signal.reason));
      return await never<number>();
    };
    await using other = await make({ programs: { heedless } });
    equal((await thrown(other.exec(["heedless"], { stdin: source() }))) === failure, true);
    equal(await killed.promise, "SIGKILL");
  },
  "exec: output beyond the limit is counted, the head or the tail stays, also over a driver that does not limit": async () => {
    const programs = { flood: async ({ out, err }: Output) => (out("0123456789"), err("abc"), 0) };
    const deaf = (driver: SandboxDriver): Partial<SandboxDriver> => ({
      spawn: async ({ output: _output, ...request }, options) => await driver.spawn(request, options),
    });
    for (const options of [{ programs }, { programs, driver: deaf }]) {
      await using sandbox = await make(options);
      const head = await sandbox.exec(["flood"], { maxOutputBytes: 4 });
      equal([head.stdoutText, head.stderrText, head.droppedBytes], ["0123", "abc", { stdout: 6, stderr: 0 }]);
      const tail = await sandbox.exec(["flood"], { maxOutputBytes: 4, keep: "tail" });
      equal([tail.stdoutText, tail.droppedBytes], ["6789", { stdout: 6, stderr: 0 }]);
    }
  },
  "exec: a time-out is a result": async () => {
    await using sandbox = await make();
    const { code, signal, timedOut } = await sandbox.exec(["sleep"], { timeoutMs: 1 });
    equal([code, signal, timedOut], [null, "SIGKILL", true]);
  },
  "exec: an abort is thrown as it is, at once and over a driver that ignores it, and the group is killed": async () => {
    const log: string[] = [];
    await using sandbox = await make({ driver: () => ({ spawn: async () => stuck(log) }) });
    const [controller, reason] = [new AbortController(), { any: "thing" }];
    const call = sandbox.exec(["sleep"], { signal: controller.signal });
    for (let tick = 0; tick < 50; tick++) await Promise.resolve();
    controller.abort(reason);
    equal((await thrown(call)) === reason, true);
    equal(log[0], "SIGKILL");
    equal((await thrown(sandbox.exec(["true"], { signal: controller.signal }))) === reason, true);
  },
  "exec: a program that arrives after the abort is killed": async () => {
    const log: string[] = [];
    const late = Promise.withResolvers<SandboxProcess>();
    await using sandbox = await make({ driver: () => ({ spawn: async () => await late.promise }) });
    const controller = new AbortController();
    const call = sandbox.exec(["true"], { signal: controller.signal });
    controller.abort("gone");
    equal(await thrown(call), "gone");
    late.resolve(stuck(log));
    await late.promise;
    for (let tick = 0; tick < 50; tick++) await Promise.resolve();
    equal(log, ["SIGKILL"]);
  },
  "exec: a lost sandbox fails what runs, and everything after it": async () => {
    const lost = Promise.withResolvers<Error>();
    await using sandbox = await make({ driver: () => ({ lost: lost.promise, spawn: async () => stuck([]) }) });
    const call = sandbox.exec(["sleep"]);
    for (let tick = 0; tick < 50; tick++) await Promise.resolve();
    lost.resolve(new Error("engine died"));
    await refused(call, "unavailable", "the sandbox was lost while a program ran in it", "unknown");
    equal(sandbox.state, "lost");
    await refused(sandbox.exec(["true"]), "unavailable", "exec: the sandbox was lost; attach to it again");
  },
  "exec: what a driver throws that is no SandboxError is internal, with its cause": async () => {
    const cause = new TypeError("oops");
    await using sandbox = await make({ driver: () => ({ spawn: () => Promise.reject(cause) }) });
    await refused(sandbox.exec(["true"]), "internal", /^\[internal\] fake exec failed/u, "unknown");
    equal(((await thrown(sandbox.exec(["true"]))) as Error).cause === cause, true);
  },
  "exec: wrong arguments never reach the driver": async () => {
    const provider = fakeProvider();
    await using sandbox = await Sandbox.create(provider);
    await refused(sandbox.exec([]), "invalid_argument", "the command names no program");
    await refused(sandbox.exec(["a\0"]), "invalid_argument", "an argument holds a NUL character");
    await refused(sandbox.exec("\ud800"), "invalid_argument", "an argument holds a lone surrogate, which UTF-8 cannot say");
    await refused(sandbox.exec(["a"], { env: { "A=": "" } }), "invalid_argument", 'environment name "A=" is empty or holds =');
    await refused(sandbox.exec(["a"], { stdin: "\udfff" }), "invalid_argument", "stdin holds a lone surrogate, which UTF-8 cannot say");
    for (const timeoutMs of [0, -1, 0.5, NaN, Infinity]) await refused(sandbox.exec(["a"], { timeoutMs }), "invalid_argument", /timeoutMs is/u);
    await refused(sandbox.exec(["a"], { maxOutputBytes: -1 }), "invalid_argument", /maxOutputBytes is -1/u);
    await refused(sandbox.exec(["a"], { user: "root" }), "unsupported", "fake cannot choose the user of one call (capability exec.user)");
    await refused(sandbox.exec(["a"], { call: "k" }), "unsupported", "fake cannot run a call at most once; leave call out");
    await refused(sandbox.spawn(["a"], { pty: { columns: 1, rows: 1 } }), "unsupported", "fake has no terminals (capability pty)");
    equal(provider.log.length, 1);
  },
  "spawn: streams, signals and the end; disposing kills": async () => {
    await using sandbox = await make();
    const cat = await sandbox.spawn(["cat"], { stdin: "pipe" });
    const writer = cat.stdin?.getWriter();
    await writer?.write(new Uint8Array([104, 105]));
    void writer?.close();
    equal(await text(cat.stdout), "hi");
    equal((await cat.exit).code, 0);
    const sleeper = await sandbox.spawn(["sleep"]);
    await sleeper.signal("SIGTERM");
    equal((await sleeper.exit).signal, "SIGTERM");
    await refused(sleeper.signal("TERM"), "invalid_argument", 'signal "TERM"; give a name such as SIGTERM');
    const left = await sandbox.spawn(["sleep"]);
    await left[Symbol.asyncDispose]();
    equal((await left.exit).signal, "SIGKILL");
  },
  "shell: one request a command, its end with whether the shell lives on; names are checked": async () => {
    const log: unknown[] = [];
    const shell = (driver: SandboxDriver): Partial<SandboxDriver> => ({
      shell: {
        run: async (request, options) => {
          log.push(request);
          const process = await driver.spawn({ argv: ["exit", "3"], cwd: "/", env: {}, stdin: "null" }, options);
          return { ...process, exit: process.exit.then((exit) => ({ ...exit, shellKept: false })) };
        },
        restart: async (name) => void log.push(`restart ${name}`),
      },
    });
    await using sandbox = await make({ driver: shell, capabilities: { shell: { support: "native", keeps: "state" } } });
    const { code, shellKept, text: output, droppedBytes } = await sandbox.shell().run('echo "', { env: { A: "1" } });
    equal([code, shellKept, output, droppedBytes], [3, false, "", 0]);
    await sandbox.shell("b").restart();
    const request = {
      shell: "main",
      command: 'echo "',
      cwd: "/workspace",
      env: { A: "1" },
      output: { maxBytes: 1_048_576, keep: "head" },
      timeoutMs: 120_000,
    };
    equal(log, [request, "restart b"]);
    await refused(sandbox.shell().run("\ud800"), "invalid_argument", "the command holds a lone surrogate, which UTF-8 cannot say");
    await refused(() => sandbox.shell("a b"), "invalid_argument", /shell name "a b"; give 1 to 128/u);
  },
};
