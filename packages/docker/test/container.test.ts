import { hostname } from "node:os";
import { expect, test } from "vitest";
import { type CreateRequest, SandboxError } from "@glovebox/core";
import { parseEngineAddress } from "../src/address.ts";
import { agentUser, containerBody } from "../src/container.ts";
import { ownershipOf, proves, specLabels, toLabels } from "../src/labels.ts";
import { resolveOptions } from "../src/options.ts";
import { markProcess, ownerIsGone } from "../src/owner.ts";
import { seccompProfile } from "../src/seccomp.ts";
import { tarArchive } from "../src/tar.ts";

const request: CreateRequest = {
  id: "gb-1",
  proof: "ab",
  ownership: { by: "session", session: "s" },
  spec: { workdir: "/work", env: { SECRET: "value", JAVA_HOME: "/mine" }, labels: { team: "a" } },
};
const facts = { engineId: "e", version: "1", cpus: 2, memoryBytes: 1e9, cpuLimit: true, local: true };
const image = { id: "sha256:1", name: "i", architecture: "amd64" as const, env: { PATH: "/opt/bin:/bin", JAVA_HOME: "/java", LC: "C" } };

interface Body {
  readonly Env: readonly string[];
  readonly Entrypoint: readonly string[];
  readonly Cmd: readonly string[];
  readonly Labels: Readonly<Record<string, string>>;
  readonly HostConfig: { readonly SecurityOpt: readonly string[]; readonly Mounts?: readonly unknown[] };
}

const bodyOf = (given: CreateRequest = request): Body =>
  containerBody({
    request: given,
    image,
    facts,
    options: resolveOptions({}, {}),
    creation: "c",
    owner: undefined,
    mounts: { binary: "/b", sockets: "/s" },
  }) as unknown as Body;

test("the environment of programs is the image's, then the spec's, and stands where the agent cannot read it", () => {
  const { Env, Entrypoint, Cmd } = bodyOf();
  const [variable] = Env;
  expect(Env).toHaveLength(1);
  expect(JSON.parse((variable ?? "").slice("GLOVEBOX_CONFIG=".length))).toEqual({
    listen: "/.glovebox/guest.sock",
    dialDirectory: "/.glovebox/run",
    stateDirectory: "/.glovebox/state",
    privateDirectory: "/.glovebox",
    user: { uid: 1000, gid: 1000 },
    workdir: "/work",
    env: { JAVA_HOME: "/mine", LC: "C", SECRET: "value" },
    path: "/opt/bin:/bin",
    orphanedMs: 86_400_000,
    disk: { maxBytes: 10 * 1024 ** 3, maxFiles: 2_621_440 },
  });
  expect([...Entrypoint, ...Cmd]).toEqual(["/.glovebox/guest", "serve", "--config-env", "GLOVEBOX_CONFIG"]);
});

test("an environment that execve would not take is refused", () => {
  const large = { ...request, spec: { ...request.spec, env: { LARGE: "x".repeat(121 * 1024) } } };
  expect(() => bodyOf(large)).toThrow(/spec\.env is too large/u);
});

test.each(["0", "0:0", "1000:0", "agent"])("user %s is refused", (user) => {
  expect(() => agentUser(user)).toThrow(SandboxError);
  expect(() => agentUser(user)).toThrow(/unsupported/u);
});

test("a user without a group has the group of its number", () => {
  expect([agentUser("1234"), agentUser("1234:5"), agentUser(undefined)]).toEqual([
    { uid: 1234, gid: 1234 },
    { uid: 1234, gid: 5 },
    { uid: 1000, gid: 1000 },
  ]);
});

test("the profile allows each call in one place, and none of the forbidden", () => {
  const names = seccompProfile.syscalls.filter(({ args }) => args === undefined).flatMap((rule) => rule.names);
  expect(new Set(names).size).toBe(names.length);
  const forbidden = [
    "socket",
    "socketcall",
    "clone",
    "unshare",
    "setns",
    "mount",
    "io_uring_setup",
    "keyctl",
    "bpf",
    "userfaultfd",
    "perf_event_open",
    "open_by_handle_at",
  ];
  expect(forbidden.filter((name) => names.includes(name))).toEqual([]);
});

test("a spec's labels cannot pass for Glovebox's own, and the proof is not among the labels", () => {
  const labels = toLabels({
    id: "gb-1",
    proof: "the proof",
    ownership: request.ownership,
    owner: undefined,
    creation: "c",
    image: "i",
    workdir: "/w",
    labels: { "glovebox.id": "forged", team: "a" },
  });
  expect(labels["glovebox.id"]).toBe("gb-1");
  expect(specLabels(labels)).toEqual({ "glovebox.id": "forged", team: "a" });
  expect(Object.values(labels)).not.toContain("the proof");
  expect([proves("the proof", labels), proves("another", labels), proves("", {})]).toEqual([true, false, false]);
  expect(ownershipOf(labels)).toEqual({ by: "session", session: "s" });
  expect([ownershipOf({ "glovebox.ownership": "{" }), ownershipOf({ "glovebox.ownership": '{"by":"process"}' })]).toEqual([undefined, undefined]);
});

test.runIf(process.platform === "linux")("an owner is gone when it certainly has ended, and only then", () => {
  const mine = { by: "process", host: hostname(), pid: process.pid } as const;
  const mark = markProcess(process.pid);
  if (mark === undefined) throw new Error("no start time of this process");
  const gone = [
    ownerIsGone(mine, mark),
    ownerIsGone(mine, { ...mark, started: "1" }), // the pid was used again
    ownerIsGone({ ...mine, pid: 2 ** 30 }, mark),
    ownerIsGone(mine, { ...mark, boot: "earlier" }),
    ownerIsGone(mine, { ...mark, machine: "another", boot: "earlier" }),
    ownerIsGone({ ...mine, pid: 2 ** 30 }, { ...mark, namespace: "pid:[1]" }),
    ownerIsGone({ ...mine, host: "another" }, { ...mark, started: "1" }),
    ownerIsGone({ by: "session", session: "s" }, { ...mark, started: "1" }),
    ownerIsGone({ ...mine, pid: 2 ** 30 }, undefined),
  ];
  expect(gone).toEqual([false, true, true, true, false, false, false, false, false]);
});

test.each([
  ["unix:///run/x.sock", {}, { socketPath: "/run/x.sock" }],
  ["tcp://engine.test:2375", {}, { host: "engine.test", port: 2375 }],
  ["tcp://engine.test", { DOCKER_TLS_VERIFY: "1" }, { host: "engine.test", port: 2376, tls: { rejectUnauthorized: true } }],
  ["tcp://[::1]:99", {}, { host: "::1", port: 99 }],
])("address %s", (name, environment, expected) => {
  expect(parseEngineAddress(name, environment)).toEqual({ name, ...expected });
});

test.each(["ssh://host", "nonsense", "unix://relative", "tcp://host/path"])("address %s is refused", (name) => {
  expect(() => parseEngineAddress(name, {})).toThrow(/invalid_argument/u);
});

test("certificates that are not there are named", () => {
  expect(() => parseEngineAddress("tcp://h", { DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: "/absent" })).toThrow(
    /DOCKER_CERT_PATH \/absent must hold/u,
  );
});

test("a tar archive has a header that sums up, and whole blocks", () => {
  const archive = Buffer.from(
    tarArchive([
      { name: "d/", mode: 0o700 },
      { name: "d/f", mode: 0o755, content: Buffer.from("content") },
    ]),
  );
  expect(archive.length).toBe(512 * 5);
  for (const at of [0, 512]) {
    const header = Buffer.from(archive.subarray(at, at + 512));
    const sum = Number.parseInt(header.toString("latin1", 148, 154), 8);
    header.fill(" ", 148, 156);
    expect(header.reduce((total, byte) => total + byte, 0)).toBe(sum);
  }
  expect(archive.toString("latin1", 1024, 1031)).toBe("content");
});
