import {
  type SandboxDriver,
  type SandboxProcess,
  Sandbox,
  SandboxError,
  type TreeEntry,
  checkSpec,
  destroySandbox,
  globMatcher,
  listSandboxes,
  newSandboxId,
  ownershipProof,
  requireCapabilities,
  settleOrDiscard,
} from "../src/index.ts";
import { type FakeOptions, fakeCapabilities, fakeProvider } from "./fake-provider.ts";

/** What core does, without a test runner's words, so that the same runs in Node and inside workerd. A behaviour that fails throws. */
export type Behaviours = Readonly<Record<string, () => Promise<void>>>;

interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const shown = (value: unknown): string =>
  JSON.stringify(value, (_key, each: unknown) => (each instanceof Uint8Array ? [...each] : each === undefined ? "undefined" : each)) ?? "undefined";

function equal(actual: unknown, expected: unknown): void {
  if (shown(actual) !== shown(expected)) throw new Error(`expected ${shown(expected)}, got ${shown(actual)}`);
}

async function refused(call: Promise<unknown> | (() => unknown), code: string, message: string | RegExp, effect = "none"): Promise<void> {
  const error = await Promise.resolve(typeof call === "function" ? Promise.try(call) : call).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!SandboxError.is(error)) throw new Error(`expected ${code}, got ${String(error)}`);
  equal([error.code, error.effect], [code, effect]);
  if (typeof message === "string" ? error.message !== `[${code}] ${message}` : !message.test(error.message)) throw new Error(`got ${error.message}`);
}

async function thrown(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => Promise.reject(new Error("expected a failure")),
    (reason: unknown) => reason,
  );
}

const byName = ([a]: readonly unknown[], [b]: readonly unknown[]): number => (String(a) < String(b) ? -1 : 1);
const make = async (options: FakeOptions = {}): Promise<Sandbox> => await Sandbox.create(fakeProvider(options));
const text = async (stream: ReadableStream<Uint8Array>): Promise<string> => await new Response(stream).text();
const never = <T>(): Promise<T> => Promise.withResolvers<T>().promise;
const tree = (path: string, content: string, mode?: number): TreeEntry => ({
  type: "file",
  path,
  ...(mode === undefined ? {} : { mode }),
  open: async () => new Blob([content]).stream(),
});

/** A program that never ends and heeds nothing. */
const stuck = (log: string[]): SandboxProcess => ({
  stdin: null,
  stdout: new ReadableStream(),
  stderr: new ReadableStream(),
  exit: never(),
  signal: async (name) => void log.push(name),
});

export const behaviours: Behaviours = {
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
  "create: the id is valid and random, the request complete, disposing destroys once": async () => {
    const provider = fakeProvider();
    const sandbox = await Sandbox.create(provider, { image: { other: "x", fake: "y:1" }, cpu: { min: 0.3 } });
    const request = provider.sandboxes.get(sandbox.id);
    equal(/^gb-[0-9a-v]{20}$/u.test(sandbox.id), true);
    equal(request?.spec, { workdir: "/workspace", image: "y:1", cpu: { min: 0.5, max: 0.5 } });
    equal(/^[0-9a-f]{64}$/u.test(request?.proof ?? ""), true);
    await sandbox[Symbol.asyncDispose]();
    await sandbox[Symbol.asyncDispose]();
    equal(provider.log, [`create ${sandbox.id}`, `destroy ${sandbox.id}`]);
    await refused(sandbox.exec(["true"]), "failed_precondition", "exec while the sandbox is destroyed");
    equal(new Set(Array.from({ length: 100 }, () => newSandboxId())).size, 100);
  },
  "create: what arrives after the abort is destroyed": async () => {
    const creating = Promise.withResolvers<void>();
    const provider = fakeProvider({ creating: creating.promise });
    const controller = new AbortController();
    const call = Sandbox.create(provider, {}, { id: "late", signal: controller.signal });
    while (provider.log.length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    controller.abort("enough");
    equal(await thrown(call), "enough");
    creating.resolve();
    while (provider.log.length < 2) await new Promise((resolve) => setTimeout(resolve, 0));
    equal([provider.log, provider.sandboxes.size], [["create late", "destroy late"], 0]);
  },
  "create: what arrives after the abort is let go where a session owns it, since others find it by its id": async () => {
    const creating = Promise.withResolvers<void>();
    const closed = Promise.withResolvers<void>();
    const provider = fakeProvider({ creating: creating.promise, driver: () => ({ close: async () => closed.resolve() }) });
    const controller = new AbortController();
    const ownership = { by: "session", session: "s" } as const;
    const call = Sandbox.create(provider, {}, { id: "late", ownership, signal: controller.signal });
    while (provider.log.length === 0) await new Promise((resolve) => setTimeout(resolve, 0));
    controller.abort("enough");
    equal(await thrown(call), "enough");
    creating.resolve();
    await closed.promise;
    equal([provider.log, provider.sandboxes.size], [["create late"], 1]);
  },
  "create: a time-out holds over a driver that ignores it": async () => {
    const provider = fakeProvider({ creating: never() });
    await refused(
      Sandbox.create(provider, {}, { timeoutMs: 1 }),
      "deadline_exceeded",
      "fake create took longer than 1 ms; give a larger timeoutMs",
      "unknown",
    );
  },
  "create: a wrong spec names its path, an unsupported one its capability, and nothing is made": async () => {
    const provider = fakeProvider();
    await refused(Sandbox.create(provider, { cpu: { min: 2, max: 1 } }), "invalid_argument", "spec.cpu: min is above max");
    await refused(
      Sandbox.create(provider, { egress: { allow: [{ to: "" }] } }),
      "invalid_argument",
      /^\[invalid_argument\] spec\.egress\.allow\.0\.to: /u,
    );
    await refused(Sandbox.create(provider, { region: "eu" }), "unsupported", "fake has no choice of region (capability region)");
    await refused(Sandbox.create(provider, {}, { id: "Up" }), "invalid_argument", /sandbox id "Up"; give 1 to 63/u);
    await refused(Sandbox.create(provider, {}, { ownerKey: new Uint8Array(31) }), "invalid_argument", "the owner key has 31 bytes; give at least 32");
    equal(provider.log, []);
  },
  "attach: with the owner's key or the stored ref, borrowed, so disposing closes; another owner is refused": async () => {
    const provider = fakeProvider();
    const ownerKey = new Uint8Array(32).fill(7);
    const made = await Sandbox.create(provider, { workdir: "/w" }, { id: "one", ownerKey });
    const ref = { provider: "fake", id: "one" };
    await using attached = await Sandbox.attach(provider, ref, { ownerKey, mode: "takeover" });
    equal([attached.workdir, attached.ownership, attached.ref], ["/w", "borrowed", made.ref]);
    await (await Sandbox.attach(provider, made.ref))[Symbol.asyncDispose]();
    equal(provider.log, ["create one", "attach one takeover", "attach one join", "close one"]);
    await refused(Sandbox.attach(provider, ref), "permission_denied", "one: the proof is wrong");
    await refused(Sandbox.attach(provider, { ...ref, provider: "docker" }), "invalid_argument", /is one of provider "docker", not of fake/u);
    await refused(destroySandbox(provider, ref), "permission_denied", "one: the proof is wrong");
    await destroySandbox(provider, ref, { ownerKey });
    await destroySandbox(provider, ref, { ownerKey });
    equal(provider.sandboxes.size, 0);
  },
  "the proof is HMAC-SHA-256 over provider and id": async () => {
    const key = new Uint8Array(32).fill(1);
    const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["verify"]);
    const proof = Uint8Array.from((await ownershipProof(key, "p", "i")).match(/../gu) ?? [], (pair) => Number.parseInt(pair, 16));
    equal(await crypto.subtle.verify("HMAC", imported, proof, new TextEncoder().encode('["glovebox.owner.1","p","i"]')), true);
  },
  "list: what carries all labels": async () => {
    const provider = fakeProvider();
    await Sandbox.create(provider, { labels: { a: "1", b: "2" } }, { id: "both" });
    await Sandbox.create(provider, { labels: { a: "1" } }, { id: "first" });
    const ids = async (labels: Record<string, string>): Promise<string[]> =>
      (await Array.fromAsync(listSandboxes(provider, { labels }))).map(({ ref }) => ref.id);
    equal([await ids({}), await ids({ a: "1", b: "2" }), await ids({ b: "1" })], [["both", "first"], ["both"], []]);
  },
  "pause and resume: calls are refused between, either can be repeated": async () => {
    const provider = fakeProvider();
    await using sandbox = await Sandbox.create(provider);
    await Promise.all([sandbox.pause(), sandbox.pause()]);
    equal(sandbox.state, "paused");
    await refused(sandbox.exec(["true"]), "failed_precondition", "exec while the sandbox is paused");
    await refused(sandbox.files.read("x"), "failed_precondition", "files.read while the sandbox is paused");
    await sandbox.resume();
    await sandbox.resume();
    equal((await sandbox.exec(["true"])).code, 0);
    equal(
      provider.log.filter((each) => !each.startsWith("create")),
      ["pause", "resume", "spawn true"],
    );
  },
  "destroy: calls are refused from its beginning, a failed one can be repeated": async () => {
    let failures = 1;
    const destroy = async (): Promise<void> => {
      if (failures-- > 0) throw new SandboxError("unavailable", "engine", { effect: "unknown" });
    };
    const sandbox = await make({ driver: () => ({ destroy }) });
    await refused(sandbox.destroy(), "unavailable", "engine", "unknown");
    await refused(sandbox.exec(["true"]), "failed_precondition", "exec while the sandbox is ending");
    await sandbox[Symbol.asyncDispose]();
    await sandbox.destroy();
    equal([sandbox.state, failures], ["destroyed", -1]);
  },
  "every facet is reached with what was checked and rounded": async () => {
    const log: unknown[] = [];
    const noted = (...what: unknown[]): void => void log.push(what);
    const snapshot = { provider: "fake", snapshotId: "s", createdAt: "2026-01-01T00:00:00.000Z" };
    const facets = (driver: SandboxDriver): Partial<SandboxDriver> => ({
      suspending: { suspend: async () => ({ ref: driver.ref, spec: {}, snapshot }) },
      snapshots: { snapshot: async () => snapshot },
      forking: { fork: async (request) => (noted("fork", request.spec), { ...driver, ref: { ...driver.ref, id: request.id } }) },
      resizing: { resize: async (request) => noted("resize", request) },
      ports: {
        connect: async (port) => (noted("connect", port), new TransformStream<Uint8Array, Uint8Array>()),
        url: async (port) => new URL(`https://${port}.test/`),
      },
      egress: { set: async (policy) => noted("egress", policy) },
      expiry: { expiresAt: async () => undefined, extend: async (byMs) => (noted("extend", byMs), "2026-01-01T00:00:01.000Z") },
      labels: { get: async () => ({ a: "1" }), set: async (labels) => noted("labels", labels) },
    });
    const both = { live: true, shrinks: true };
    const capabilities = {
      suspend: { support: "native", keeps: "disk" },
      snapshot: { support: "native", of: "disk", whileRunning: true },
      fork: { support: "native", of: "disk" },
      resize: { support: "native", cpu: both, memory: both, disk: false },
      ports: { connect: "native", url: "token", protocols: ["tcp"], declared: false },
    } as const;
    const provider = fakeProvider({ driver: facets, capabilities });
    await using sandbox = await Sandbox.create(provider, { workdir: "/w" });
    equal(await sandbox.snapshot(), snapshot);
    const fork = await sandbox.fork({ cpu: { min: 0.3 } }, { id: "forked" });
    equal([fork.id, fork.ownership], ["forked", "owned"]);
    await sandbox.resize({ cpu: { max: 1.1 } });
    await refused(sandbox.resize({ diskBytes: { min: 1 } }), "unsupported", "fake cannot resize disk (capability resize.disk)");
    await refused(sandbox.resize({}), "invalid_argument", "nothing to resize; give cpu, memoryBytes or diskBytes");
    await (await sandbox.connect(80)).writable.abort();
    equal((await sandbox.url(81)).href, "https://81.test/");
    for (const port of [0, 65_536, 1.5]) await refused(sandbox.connect(port), "invalid_argument", `port is ${port}; give 1 to 65535`);
    await sandbox.setEgress({ allow: [] });
    await refused(sandbox.setEgress({ allow: [{ to: "a.b" }] }), "unsupported", /capability egress.rules/u);
    equal([await sandbox.expiresAt(), await sandbox.extend(5)], [undefined, "2026-01-01T00:00:01.000Z"]);
    await sandbox.setLabels({ b: "2" });
    await refused(sandbox.setLabels({ "glovebox.x": "" }), "invalid_argument", /label key "glovebox.x"/u);
    equal(await sandbox.labels(), { a: "1" });
    const quarter = { workdir: "/w", cpu: { min: 0.5, max: 0.5 } };
    equal(log, [
      ["fork", quarter],
      ["resize", { cpu: { min: 1, max: 1 } }],
      ["connect", 80],
      ["egress", { allow: [] }],
      ["extend", 5],
      ["labels", { b: "2" }],
    ]);
    const suspended = await sandbox.suspend();
    equal([sandbox.state, suspended.snapshot], ["suspended", snapshot]);
    await refused(sandbox.exec(["true"]), "failed_precondition", "exec while the sandbox is suspended");
    const driver = await provider.attach(suspended.ref, { mode: "takeover", signal: new AbortController().signal });
    const again = await Sandbox.resume({ ...provider, resume: async () => ({ driver, lost: ["memory"] }) }, suspended);
    equal([again.sandbox.id, again.sandbox.ownership, again.lost], [sandbox.id, "owned", ["memory"]]);
    await refused(Sandbox.resume(provider, suspended), "unsupported", "fake cannot resume what was suspended (capability suspend)");
    await sandbox[Symbol.asyncDispose]();
    equal(provider.sandboxes.has(sandbox.id), true);
  },
  "what the driver lacks is unsupported and named": async () => {
    await using sandbox = await make({ capabilities: { pause: false } });
    const refusals = {
      pause: () => sandbox.pause(),
      suspend: () => sandbox.suspend(),
      snapshot: () => sandbox.snapshot(),
      fork: () => sandbox.fork(),
      resize: () => sandbox.resize({ cpu: { min: 1 } }),
      ports: () => sandbox.connect(80),
      egress: () => sandbox.setEgress({ allow: [] }),
      expiry: () => sandbox.extend(1_000),
      labels: () => sandbox.labels(),
    };
    for (const [name, call] of Object.entries(refusals)) await refused(call(), "unsupported", `fake lacks capability ${name} for this sandbox`);
    await refused(() => sandbox.shell(), "unsupported", "fake has no persistent shell (capability shell)");
    await refused(sandbox.callStatus("k"), "unsupported", /capability calls/u);
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
  "files: bytes, ranges, text, streams, and any valid name": async () => {
    await using sandbox = await make();
    const { files } = sandbox;
    for (const name of ["-n", "a b", "'\"", "line\nbreak", "ünï/cøde", "..."]) {
      equal(await files.write(name, new Uint8Array([0, 255, 10])), { sizeBytes: 3 });
      equal(await files.read(`/workspace/${name}`), new Uint8Array([0, 255, 10]));
    }
    await files.write("text", "\ufeffhällo");
    equal([await files.readText("text"), await files.readText("text", { offset: 3, length: 1 })], ["\ufeffhällo", "h"]);
    equal(await text(await files.readStream("text", { offset: 4 })), "ällo");
    await refused(files.read("text", { maxBytes: 8 }), "resource_exhausted", "text has more than 8 bytes; use readStream, or a larger maxBytes");
    for (const path of ["", "a\0", "\udc00"]) await refused(files.read(path), "invalid_argument", /path/u);
    await refused(files.write("x", "x", { mode: 0o10000 }), "invalid_argument", /mode is 4096/u);
    await refused(files.write("text", "", { exclusive: true }), "already_exists", "/workspace/text: EEXIST");
  },
  "files: stat, exists, list, mkdir, remove, rename, symlink, chmod": async () => {
    await using sandbox = await make();
    const { files } = sandbox;
    await files.mkdir("d/e");
    await files.write("d/f", "1", { mode: 0o600 });
    await files.symlink("d/l", "nowhere");
    equal((await Array.fromAsync(files.list("d"), ({ path, type, mode }) => [path, type, mode])).toSorted(byName), [
      ["e", "directory", 0o755],
      ["f", "file", 0o600],
      ["l", "symlink", 0o777],
    ]);
    equal([await files.exists("d/l"), await files.exists("d/f/x"), await files.exists("none")], [true, false, false]);
    equal((await files.stat("d/l", { follow: false })).target, "nowhere");
    await files.chmod("d/f", 0o640);
    await files.rename("d/f", "g");
    equal((await files.stat("g")).mode, 0o640);
    await refused(files.remove("d"), "failed_precondition", "/workspace/d: ENOTEMPTY");
    await files.remove("d", { recursive: true });
    await files.remove("d", { missingOk: true });
    equal(await files.exists("d"), false);
  },
  "files: a listing that is left ends at the driver, and its signal fires": async () => {
    const ended: unknown[] = [];
    const list = async function* (_request: unknown, { signal }: { readonly signal: AbortSignal }): AsyncGenerator {
      signal.addEventListener("abort", () => ended.push("aborted"));
      try {
        for (;;) yield { path: "x", type: "file" };
      } finally {
        ended.push("returned");
      }
    };
    await using sandbox = await make({ driver: ({ files }) => ({ files: Object.assign(Object.create(files), { list }) as typeof files }) });
    for await (const { path } of sandbox.files.list(".")) {
      equal(path, "x");
      break;
    }
    for (let tick = 0; tick < 50; tick++) await Promise.resolve();
    equal(ended, ["aborted", "returned"]);
  },
  "files: roots go to the driver, which holds them against links": async () => {
    await using sandbox = await make();
    const { files } = sandbox;
    await files.write("/etc/shadow", "secret");
    await files.symlink("l", "/etc");
    const roots = [{ path: "/workspace", writable: false }];
    await refused(files.read("l/shadow", { roots }), "permission_denied", /outside_roots/u);
    await refused(files.write("x", "x", { roots }), "permission_denied", /read_only_root/u);
    await refused(files.read("x", { roots: [] }), "invalid_argument", /roots is empty/u);
    await refused(files.read("x", { roots: [{ path: "w", writable: true }] }), "invalid_argument", /give an absolute path/u);
    await using loose = await make({ capabilities: { files: { ...fakeCapabilities.files, confined: false } } });
    await refused(loose.files.read("x", { roots }), "unsupported", /capability files.confined/u);
  },
  "files: a stream of 64 MiB goes in and out in pieces": async () => {
    let [most, written] = [0, 0];
    const count = async (_: unknown, content: ReadableStream<Uint8Array>): Promise<{ sizeBytes: number }> => {
      for await (const chunk of content) [most, written] = [Math.max(most, chunk.byteLength), written + chunk.byteLength];
      return { sizeBytes: written };
    };
    await using sandbox = await make({ driver: ({ files }) => ({ files: Object.assign(Object.create(files), { write: count }) as typeof files }) });
    equal(await sandbox.files.write("big", new Uint8Array(67_108_864)), { sizeBytes: 67_108_864 });
    equal([most, written], [65_536, 67_108_864]);
  },
  "files: an abort reaches a stream that is being read, even of a driver that ignores it": async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const read = async (): Promise<{ sizeBytes: number; content: ReadableStream<Uint8Array> }> => ({
      sizeBytes: 1,
      content: new ReadableStream({ cancel: cancelled.resolve }),
    });
    await using sandbox = await make({ driver: ({ files }) => ({ files: Object.assign(Object.create(files), { read }) as typeof files }) });
    const controller = new AbortController();
    const reading = text(await sandbox.files.readStream("x", { signal: controller.signal }));
    controller.abort(new Error("enough"));
    equal(((await thrown(reading)) as Error).message, "enough");
    equal(((await cancelled.promise) as Error).message, "enough");
  },
  "upload and download: a tree comes back as it went, modes and links kept": async () => {
    await using sandbox = await make();
    const entries: TreeEntry[] = [
      { type: "directory", path: "d", mode: 0o555 },
      tree("d/run.sh", "#!/bin/sh\n", 0o755),
      tree("-a \n", ""),
      { type: "symlink", path: "l", target: "d/run.sh" },
    ];
    await sandbox.files.upload(entries, "to");
    const back = await Array.fromAsync(sandbox.files.download("to"), async (entry) =>
      entry.type === "file"
        ? [entry.path, entry.mode, await text(await entry.open())]
        : [entry.path, entry.type === "symlink" ? entry.target : entry.mode],
    );
    equal(back.toSorted(byName), [
      ["-a \n", 0o644, ""],
      ["d", 0o555],
      ["d/run.sh", 0o755, "#!/bin/sh\n"],
      ["l", "d/run.sh"],
    ]);
  },
  "upload: names that leave the tree, and paths below its own links, are refused": async () => {
    await using sandbox = await make();
    for (const path of ["../x", "/x", "a/../../x", "", "a//b", "."])
      await refused(sandbox.files.upload([tree(path, "")], "to"), "invalid_argument", /^.invalid/u);
    const through: TreeEntry[] = [{ type: "symlink", path: "l", target: "/etc" }, tree("l/x", "")];
    await refused(sandbox.files.upload(through, "to"), "invalid_argument", 'entry "l/x" lies below a link of this upload');
    const over: TreeEntry[] = [{ type: "symlink", path: "m", target: "/etc/m" }, tree("m", "")];
    await refused(sandbox.files.upload(over, "to"), "invalid_argument", 'entry "m" is a link of this upload already');
    await refused(sandbox.files.upload([tree("l/y", "")], "to"), "permission_denied", /outside_roots/u);
    equal(await sandbox.files.exists("/etc/y"), false);
  },
  "upload: the first failure is told and stops it": async () => {
    await using sandbox = await make();
    const failure = new Error("disk");
    const broken: TreeEntry = { type: "file", path: "b", open: () => Promise.reject(failure) };
    equal((await thrown(sandbox.files.upload([tree("a", "1"), broken], "to"))) === failure, true);
  },
  "download: a hostile name fails it": async () => {
    const list = async function* (): AsyncGenerator {
      yield { path: "../../.ssh/authorized_keys", type: "file", mode: 0o644, sizeBytes: 1 };
    };
    await using sandbox = await make({ driver: ({ files }) => ({ files: Object.assign(Object.create(files), { list }) as typeof files }) });
    await refused(Array.fromAsync(sandbox.files.download("x")), "invalid_argument", /give a relative path/u);
  },
  "text: lines, edits and globs over files": async () => {
    await using sandbox = await make();
    const { files } = sandbox;
    await files.write("f", "one\ntwo\r\nthree");
    const lines = async (start: number, end?: number, maxBytes = 100): Promise<string> =>
      new TextDecoder().decode((await files.readLines("f", { start, ...(end === undefined ? {} : { end }), maxBytes })).content);
    equal(
      [await lines(1), await lines(2, 2), await lines(2, 9), await lines(3), await lines(4)],
      ["one\ntwo\r\nthree", "two\r\n", "two\r\nthree", "three", ""],
    );
    await refused(lines(1, 2, 5), "resource_exhausted", /goes beyond 5 bytes/u);
    await refused(lines(2, 1), "invalid_argument", "end is 1; give a whole number from 2");
    await files.chmod("f", 0o755);
    equal(await files.edit("f", "two", "2$&"), { occurrences: 1, edited: true });
    equal([await files.readText("f"), (await files.stat("f")).mode], ["one\n2$&\r\nthree", 0o755]);
    equal(await files.edit("f", "e", "E"), { occurrences: 3, edited: false });
    equal(await files.edit("f", "e", "", { replaceAll: true }), { occurrences: 3, edited: true });
    equal(await files.edit("f", "zzz", "E"), { occurrences: 0, edited: false });
    await files.write("g", "aaaaa");
    equal(await files.edit("g", "aa", "b", { replaceAll: true }), { occurrences: 2, edited: true });
    equal(await files.readText("g"), "bba");
    await refused(files.edit("f", "", "E"), "invalid_argument", "oldString is empty; give the text to replace");
    for (const path of ["s/a.ts", "s/t/b.ts", "s/c.js", "node_modules/x.ts", ".git/y.ts"]) await files.write(path, "");
    equal(await files.glob("**/*.ts"), { paths: ["/workspace/s/t/b.ts", "/workspace/s/a.ts"], cut: false });
    equal(await files.glob("*.{ts,js}", { path: "s", maxResults: 1 }), { paths: ["/workspace/s/c.js"], cut: true });
  },
  "text: grep by ripgrep, else by grep, else unsupported; a pattern it refuses is told": async () => {
    const found = async ({ out }: Output): Promise<number> => (out("/workspace/f:1:hit\n"), 0);
    const bad = async ({ err }: Output): Promise<number> => (err("regex parse error"), 2);
    const missing = async (): Promise<number> => 127;
    for (const [programs, engine] of [
      [{ rg: missing, grep: found }, "builtin"],
      [{ rg: found }, "ripgrep"],
      [{ grep: found }, "builtin"],
    ] as const) {
      await using sandbox = await make({ programs });
      const { output, matched, cut, engine: by } = await sandbox.files.grep("hit");
      equal([new TextDecoder().decode(output), matched, cut, by], ["/workspace/f:1:hit\n", true, false, engine]);
    }
    await using without = await make();
    await refused(without.files.grep("x"), "unsupported", "the image has neither ripgrep nor grep");
    await using broken = await make({ programs: { rg: bad } });
    await refused(broken.files.grep("("), "invalid_argument", "the search failed: regex parse error");
  },
  "glob: stars stay in a segment, two do not, sets and braces": async () => {
    const cases: readonly (readonly [string, string, boolean])[] = [
      ["*.ts", "a.ts", true],
      ["*.ts", "d/a.ts", false],
      ["**/*.ts", "a.ts", true],
      ["**/*.ts", "d/e/a.ts", true],
      ["src/**", "src/a/b", true],
      ["a?c", "abc", true],
      ["[!a-c]x", "dx", true],
      ["[a-c]x", "dx", false],
      ["[]]", "]", true],
      ["{a,b{1,2}}.js", "b2.js", true],
      ["{a,b{1,2}}.js", "b.js", false],
      ["\\*", "*", true],
      ["\\*", "a", false],
      ["(a+)+", "(a+)+", true],
      [`${"*a".repeat(50)}b`, "a".repeat(5_000), false],
    ];
    for (const [pattern, path, expected] of cases) equal([pattern, globMatcher(pattern)(path)], [pattern, expected]);
    await refused(() => globMatcher("{a,b}".repeat(9)), "invalid_argument", /more than 256 alternatives/u);
  },
  "a value is returned or discarded by settleOrDiscard, and what discarding throws is reported": async () => {
    const late = Promise.withResolvers<string>();
    const fates: unknown[] = [];
    const reported = Promise.withResolvers<unknown>();
    const discard = async (value: string): Promise<void> => {
      fates.push(value);
      throw new Error("discard");
    };
    equal(await thrown(settleOrDiscard(late.promise, AbortSignal.abort("no"), discard, reported.resolve)), "no");
    late.resolve("late");
    equal([((await reported.promise) as Error).message, fates], ["discard", ["late"]]);
  },
  "requireCapabilities names all that is missing, and what excludes each other": async () => {
    const provider = fakeProvider({ capabilities: { excludes: [{ a: "cpu", b: "pause", because: "of the test" }] } });
    requireCapabilities(provider, {}, ["cpu", "exec"]);
    await refused(() => requireCapabilities(provider, {}, ["pause", "fork"]), "unsupported", "fake lacks fork for this spec");
    await refused(() => requireCapabilities(provider, {}, ["shell", "fork"]), "unsupported", "fake lacks shell, fork for this spec");
    await refused(() => requireCapabilities(provider, {}, ["pause", "cpu"]), "unsupported", "fake cannot combine cpu with pause: of the test");
  },
  "the spec's answer does not change what was asked": async () => {
    const spec = Object.freeze({ cpu: Object.freeze({ max: 0.6 }) });
    equal(checkSpec(fakeProvider(), spec), { workdir: "/workspace", cpu: { min: 0.5, max: 0.5 } });
  },
};
