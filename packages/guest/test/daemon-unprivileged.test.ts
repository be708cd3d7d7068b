import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DaemonContainer, type Json, type Peer } from "./daemon-harness.ts";
import { daemon, docker } from "./guest-container.ts";
import { image } from "./image.ts";

/** A guest that is not root has the agent's uid: what divides them is the secret, and that nothing may look into the guest. */
const secret = "a-secret-of-this-test";
const hello = { mode: "takeover", secret };
const write = { op: "file.write", mode: 0o644, createParents: true, parentMode: 0o755, exclusive: false };

let guest: DaemonContainer;
let peer: Peer;

beforeAll(async () => {
  guest = await DaemonContainer.start({ uid: 1000, config: { secret } });
  peer = await guest.join(hello);
}, 60_000);

afterAll(async () => {
  await guest[Symbol.asyncDispose]();
}, 60_000);

async function script(text: string): Promise<string> {
  const { output, errors } = await peer.exec(["sh", "-c", text]);
  return output.toString() + errors.toString();
}

describe("the hello", () => {
  test.each([
    ["no secret", undefined],
    ["another secret", "another"],
    ["a part of it", secret.slice(0, -1)],
  ])("with %s is refused", async (_name, tried) => {
    const stranger = await guest.connect();
    expect(await stranger.hello({ mode: "takeover", secret: tried })).toEqual({ reason: "secret", message: "" });
    await stranger.closed;
    expect(stranger.frames.map(({ type }) => type)).toEqual(["GOAWAY"]);
  });

  test("with the secret says whom the agent is", async () => {
    const other = await guest.connect();
    expect(await other.hello({ mode: "join", secret })).toMatchObject({ user: { uid: 1000, gid: 1000, home: "/home/agent" } });
  });

  test("the agent reaches the socket, and is refused without the secret", async () => {
    const greeting = JSON.stringify({ protocol: 1, mode: "takeover" });
    const program = `
import socket, struct
door = socket.socket(socket.AF_UNIX); door.connect("/run/glovebox/guest.sock")
body = b'${greeting}'
door.sendall(struct.pack(">IBI", 5 + len(body), 1, 0) + body)
answer = b""
while chunk := door.recv(4096): answer += chunk
print(answer[9:].decode())`;
    expect((await peer.exec(["python3", "-c", program])).output.toString()).toBe('{"message":"","reason":"secret"}\n');
  });
});

describe("a guest that is not root", () => {
  const config = { listen: "/tmp/guest.sock", stateDirectory: "/tmp/state", user: { uid: 1000, gid: 1000 }, workdir: "/tmp", env: {}, path: "/bin" };

  test.each<[string, Json, string]>([
    ["without a secret", config, 'member "secret": want a text, because the agent has the guest\'s uid and could connect'],
    ["with a secret that anybody sees", { ...config, secret }, "a secret on the command line is none; use --config-env or --config-fd"],
    ["for another user", { ...config, user: { uid: 1001, gid: 1001 } }, "config: user: only root can start programs as uid 1001"],
  ])("%s does not start", async (_name, members, message) => {
    const command = ["run", "--rm", "--user", "1000:1000", "--network", "none", ...daemon.mounts, image, "timeout", "10", ...daemon.program, "serve"];
    await expect(docker(...command, "--config-json", JSON.stringify(members))).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining(message) as string,
    });
  });

  test("runs programs with their whole contract", async () => {
    const { result, output, errors } = await peer.exec(["sh", "-c", "id -u; pwd; echo $A; cat; echo e >&2; exit 3"], {
      cwd: "/usr",
      env: { A: "x" },
    });
    expect([result.code, output.toString(), errors.toString()]).toEqual([3, "1000\n/usr\nx\n", "e\n"]);
    const piped = await peer.call({ op: "exec", argv: ["tr", "a-z", "A-Z"], cwd: "/", env: {}, stdin: "pipe" }, "given");
    expect(piped.output.toString()).toBe("GIVEN");
    expect((await peer.exec(["sleep", "60"], { timeoutMs: 100 })).result).toMatchObject({ signal: "SIGKILL", timedOut: true });
  });

  test("gives programs no rights, three descriptors, and a worse standing than its own when memory runs out", async () => {
    expect(
      await script(
        "ls /proc/self/fd | wc -l; grep -E 'Groups|CapEff|CapPrm|CapBnd|NoNewPrivs|SigIgn' /proc/self/status; umask; cat /proc/self/oom_score_adj /proc/1/oom_score_adj",
      ),
    ).toBe(
      "4\nGroups:\t1000 \nSigIgn:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nNoNewPrivs:\t1\n0022\n500\n0\n",
    );
  });

  test.each(["root", "0", "1001", "nobody"])("runs nothing as %s", async (user) => {
    expect((await peer.exec(["id"], { user })).error).toMatchObject({ code: "permission_denied", reason: "EPERM", effect: "none" });
  });

  test("runs what its own uid is, by that name", async () => {
    expect((await peer.exec(["id", "-un"], { user: "1000" })).output.toString()).toBe("agent\n");
  });

  test("keeps a shell", async () => {
    expect((await peer.shell("cd /usr; A=1; sleep 1000 &")).result).toMatchObject({ code: 0, shellKept: true });
    expect(await peer.shell('echo "$PWD$A"; exit 4')).toMatchObject({ text: "/usr1\n", result: { code: 4, shellKept: false } });
  });

  test("does files and text", async () => {
    const path = "/workspace/a/b";
    expect((await peer.call({ ...write, path }, "one\ntwo\n")).result).toEqual({ sizeBytes: 8 });
    expect((await peer.call({ op: "file.read", path })).output.toString()).toBe("one\ntwo\n");
    expect((await peer.call({ op: "file.stat", path, follow: true })).result).toMatchObject({ uid: 1000, gid: 1000, mode: 0o644 });
    expect((await peer.call({ op: "file.list", path: "/workspace/a", recursive: true })).output.toString()).toContain('"path":"b"');
    expect((await peer.call({ op: "text.glob", path: "/workspace", pattern: "**/b", maxResults: 9, maxEntries: 99 })).output.toString()).toBe(
      `"${path}"\n`,
    );
    expect((await peer.call({ op: "text.grep", path, pattern: "two", maxBytes: 99, timeoutMs: 9_000 })).output.toString()).toBe("2:two\n");
    expect((await peer.call({ op: "file.read", path: "/etc/shadow" })).error.reason).toBe("EACCES");
    expect((await peer.call({ ...write, path: "/etc/new" }, "x")).error.reason).toBe("EACCES");
  });

  test("cannot be looked into", async () => {
    const look = `
import os
for name in ["environ", "maps", "mem", "auxv", "io", "syscall", "stack", "pagemap", "task/1/environ"]:
  try: open("/proc/1/" + name, "rb").read(1); print(name)
  except PermissionError: pass
for name in ["fd", "fdinfo", "cwd/", "root/", "map_files"]:
  try: os.listdir("/proc/1/" + name); print(name)
  except PermissionError: pass
print(open("/proc/1/cmdline").read().split("\\0"))`;
    expect((await peer.exec(["python3", "-c", look])).output.toString()).toBe("['/glovebox-guest', 'serve', '--config-fd', '0', '']\n");
    const trace = "import ctypes, os; c = ctypes.CDLL(None, use_errno=True); print([c.ptrace(n, 1, 0, 0) for n in (16, 0x4206)], ctypes.get_errno())";
    expect((await peer.exec(["python3", "-c", trace])).output.toString()).toBe("[-1, -1] 1\n");
    const peek =
      "import ctypes; c = ctypes.CDLL(None, use_errno=True); b = (ctypes.c_char * 32)(); print(c.process_vm_readv(1, b, 1, b, 1, 0), ctypes.get_errno())";
    expect((await peer.exec(["python3", "-c", peek])).output.toString()).toMatch(/^-1 (?:1|14)\n$/u);
    for (const path of ["/proc/1/environ", "/proc/1/fd", "/proc/1/mem"]) {
      expect((await peer.call({ op: "file.read", path })).error, path).toMatchObject({ code: "permission_denied", reason: "EACCES" });
    }
  });

  test("outlives every signal of the agent but SIGTERM", { timeout: 20_000 }, async () => {
    await script(
      "for n in $(seq 1 64); do [ $n = 15 ] || kill -$n 1; done; for task in /proc/1/task/*; do kill -9 ${task##*/}; kill -19 ${task##*/}; done",
    );
    expect((await peer.call({ op: "call.status", id: "x" })).result).toEqual({ status: "unclaimed" });
    expect((await peer.shell("echo on", { shell: "signalled" })).text).toBe("on\n");
    expect((await guest.state()).Running).toBe(true);
  });
});

test("a guest that is not root is ended by the agent's SIGTERM, which ends the agent too", { timeout: 30_000 }, async () => {
  await using own = await DaemonContainer.start({ uid: 1000, config: { secret } });
  const worker = await own.join(hello);
  worker.open({ op: "exec", argv: ["sh", "-c", "setsid sleep 1000 & kill -TERM 1; sleep 1000"], cwd: "/", env: {}, stdin: "null" });
  await worker.closed;
  expect((await docker("wait", own.name)).trim()).toBe("0");
});
