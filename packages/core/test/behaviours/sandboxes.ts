import {
  type SandboxDriver,
  Sandbox,
  SandboxError,
  checkSpec,
  destroySandbox,
  listSandboxes,
  newSandboxId,
  ownershipProof,
  requireCapabilities,
  settleOrDiscard,
} from "../../src/index.ts";
import { fakeProvider } from "../fake-provider.ts";
import { type Behaviours, equal, make, never, refused, thrown } from "./behave.ts";

/** Sandboxes from their creation to their end, with what only some can do. */
export const sandboxBehaviours: Behaviours = {
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
