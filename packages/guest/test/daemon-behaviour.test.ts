import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DaemonContainer, type Peer } from "./daemon-harness.ts";
import { docker } from "./guest-container.ts";

let guest: DaemonContainer;
let peer: Peer;
beforeAll(async () => {
  guest = await DaemonContainer.start({ docker: ["--pids-limit", "128"] });
  peer = await guest.join();
}, 60_000);
afterAll(async () => {
  await guest[Symbol.asyncDispose]();
}, 60_000);

const roots = [{ path: "/workspace", writable: true }];
const write = { op: "file.write", mode: 0o644, createParents: true, parentMode: 0o755, exclusive: false, roots };

describe("programs", () => {
  test("get their input whenever it comes", { timeout: 30_000 }, async () => {
    for (let time = 0; time < 30; time++) {
      const stream = peer.open({ op: "exec", argv: ["cat"], cwd: "/", env: {}, stdin: "pipe", timeoutMs: 5000 });
      await peer.event(stream, "started");
      peer.send("DATA", stream, Buffer.from("\0hi"));
      peer.send("END", stream, Buffer.of(0));
      const { result, output } = await peer.end(stream);
      expect([result.code, output.toString()]).toEqual([0, "hi"]);
    }
  });

  test("see three descriptors, no rights, and nothing of the guest", async () => {
    const { output } = await peer.exec([
      "sh",
      "-c",
      "ls /proc/self/fd | wc -l; grep -E 'CapEff|CapPrm|NoNewPrivs|SigIgn' /proc/self/status; umask; cat /proc/1/environ /proc/1/maps 2>/dev/null; ls /proc/1/fd 2>/dev/null",
    ]);
    expect(output.toString()).toBe("4\nSigIgn:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n0022\n");
  });

  test("cannot harm the guest or a thread of it", async () => {
    await peer.exec(["sh", "-c", "for task in /proc/1/task/*; do kill -9 ${task##*/}; done"]);
    expect((await peer.call({ op: "call.status", id: "x" })).result).toEqual({ status: "unclaimed" });
  });

  test("end in time, with what they wrote", async () => {
    const { result, output } = await peer.exec(["sh", "-c", "echo before; sleep 60"], { timeoutMs: 200 });
    expect([result.signal, result.timedOut, output.toString()]).toEqual(["SIGKILL", true, "before\n"]);
  });

  test("that nobody reads tell their end", async () => {
    const reader = await guest.join({ mode: "join" });
    reader.grants = false;
    const stream = reader.open({ op: "exec", argv: ["sh", "-c", "head -c 300000 /dev/zero; exit 3"], cwd: "/", env: {}, stdin: "null" });
    expect(await reader.event(stream, "exited")).toMatchObject({ code: 3, signal: null });
    expect(reader.frames.some((frame) => frame.type === "RESULT")).toBe(false);
    reader.grant(stream, 1, 300_000);
    expect((await reader.end(stream)).output).toHaveLength(300_000);
  });

  test("as root are refused", async () => {
    expect((await peer.exec(["id"], { user: "0" })).error).toMatchObject({ code: "permission_denied", effect: "none" });
  });
});

describe("the shell", () => {
  test.each([
    ["a wrong quote", "echo 'a", 2],
    ["a wrong syntax", "if then fi )", 2],
    ["digits in IFS", "IFS=0123456789:/; false", 1],
    ["traps on everything", "trap true EXIT DEBUG ERR; false", 1],
    ["tracing", "set -x; (exit 5)", 5],
    ["functions of builtins' names", "builtin() { :; }; eval() { :; }; printf() { :; }; read() { :; }; (exit 6)", 6],
    ["aliases of builtins' names", "shopt -s expand_aliases; alias builtin=true eval=true; (exit 7)", 7],
    ["output elsewhere", "exec >/dev/null; true", 0],
    ["a long command", `: ${"x".repeat(100_000)}; (exit 8)`, 8],
    ["a long command with everything exported", `set -a; : ${"x".repeat(200_000)}; /bin/true`, 0],
  ])("keeps in step after %s", { timeout: 20_000 }, async (name, command, code) => {
    const shell = `after-${name.replaceAll(/[^a-z]/gu, "-")}`;
    expect((await peer.shell(command, { shell, timeoutMs: 10_000 })).result).toMatchObject({ code, shellKept: true });
    expect((await peer.shell("kept=1; (exit 9)", { shell, timeoutMs: 10_000 })).result).toMatchObject({ code: 9, shellKept: true });
    expect((await peer.shell('exit "1$kept"', { shell, timeoutMs: 10_000 })).result).toMatchObject({ code: 11, shellKept: false });
  });

  test.each([
    ["set -n", { signal: "SIGKILL" }],
    ["set -e; false", { code: 1 }],
    ["exec sh -c 'exit 4'", { code: 4 }],
    ["kill -9 $$", { signal: "SIGKILL" }],
    ['for i in $(seq 3 255); do eval "exec $i>&-"; done', {}],
  ])("is replaced after %s", { timeout: 20_000 }, async (command, end) => {
    expect((await peer.shell(command, { shell: "replaced", timeoutMs: 10_000 })).result).toMatchObject({ ...end, timedOut: false, shellKept: false });
    expect(await peer.shell("echo alive", { shell: "replaced" })).toMatchObject({ text: "alive\n" });
  });

  test("words its errors as the official worker's does, line by line", async () => {
    const shell = "wording";
    expect((await peer.shell("nope", { shell })).text).toBe("/bin/bash: line 1: nope: command not found\n");
    expect((await peer.shell("\nnope", { shell })).text).toBe("/bin/bash: line 4: nope: command not found\n");
    expect((await peer.shell(`: ${"x".repeat(2000)}\nnope`, { shell })).text).toBe("/bin/bash: line 7: nope: command not found\n");
    expect((await peer.shell("nope", { shell })).text).toBe("/bin/bash: line 9: nope: command not found\n");
  });

  test("a time-out takes it along", async () => {
    expect((await peer.shell("sleep 60", { shell: "slow", timeoutMs: 100 })).result).toMatchObject({ timedOut: true, shellKept: false });
  });

  test("gives what the background wrote with the next command", { timeout: 20_000 }, async () => {
    await peer.shell("(sleep 0.1; echo late > /dev/stdout; touch /workspace/wrote) & :", { shell: "background" });
    await peer.exec(["sh", "-c", "until [ -e /workspace/wrote ]; do sleep 0.01; done"]);
    expect((await peer.shell("wait; echo own", { shell: "background" })).text).toBe("late\nown\n");
  });
});

describe("files", () => {
  test("stay within their roots", async () => {
    await peer.exec([
      "sh",
      "-c",
      "ln -s /etc /workspace/etc; ln -s loop /workspace/loop; mkfifo /workspace/fifo; ln -s /proc/self/environ /workspace/env",
    ]);
    const reason = async (path: string): Promise<unknown> => (await peer.call({ op: "file.read", path, roots })).error?.reason;
    expect(await reason("/workspace/etc/passwd")).toBe("outside_roots");
    expect(await reason("/workspace/../etc/shadow")).toBe("outside_roots");
    expect(await reason("/workspace/loop")).toBe("ELOOP");
    expect(await reason("/workspace/fifo")).toBe("not_regular_file");
    expect(await reason("/workspace/env")).toBe("outside_roots"); // nobody can say where a link of procfs leads
    expect((await peer.call({ op: "file.read", path: "/workspace/env" })).error.reason).toBe("ELOOP");
    expect((await peer.call({ op: "file.read", path: "/etc/shadow" })).error.reason).toBe("EACCES");
    expect((await peer.call({ op: "file.list", path: "/proc/1/fd", recursive: false })).error.reason).toBe("EACCES");
    expect((await peer.call({ ...write, path: "/workspace/x", roots: [{ path: "/workspace", writable: false }] }, "x")).error.reason).toBe(
      "read_only_root",
    );
  });

  test("are written whole or not at all", async () => {
    await peer.call({ ...write, path: "/workspace/whole/a" }, "old");
    const stream = peer.open({ ...write, path: "/workspace/whole/a" });
    peer.send("DATA", stream, Buffer.from("\0half"));
    peer.send("CANCEL", stream);
    expect((await peer.end(stream)).error).toMatchObject({ effect: "none" });
    expect((await peer.call({ op: "file.read", path: "/workspace/whole/a" })).output.toString()).toBe("old");
    expect((await peer.exec(["ls", "-A", "/workspace/whole"])).output.toString()).toBe("a\n");
  });

  test("a full disk is said, and leaves nothing", { timeout: 60_000 }, async () => {
    await using small = await DaemonContainer.start({ docker: ["--tmpfs", "/workspace:size=1m,uid=1000,gid=1000,mode=755"] });
    const other = await small.join();
    const stream = other.open({ ...write, path: "/workspace/big" });
    for (let part = 0; part < 4; part++) other.send("DATA", stream, Buffer.alloc(1 + 65_536));
    await other.until((frames) => frames.find((f) => f.type === "WINDOW"));
    for (let part = 0; part < 16; part++) {
      await other.until((frames) => {
        const granted = frames.filter((f) => f.type === "WINDOW").reduce((sum, f) => sum + f.payload.readUInt32BE(1), 262_144);
        return granted >= 65_536 * (5 + part) || frames.some((f) => f.type === "ERROR") ? true : undefined;
      });
      other.send("DATA", stream, Buffer.alloc(1 + 65_536));
    }
    other.send("END", stream, Buffer.of(0));
    expect((await other.end(stream)).error).toMatchObject({ code: "resource_exhausted", reason: "ENOSPC" });
    expect((await other.exec(["ls", "-A", "/workspace"])).output.toString()).toBe("");
  });

  test("a tree deeper than any path is removed", { timeout: 30_000 }, async () => {
    await peer.exec([
      "python3",
      "-c",
      "import os\nos.makedirs('/workspace/deep'); os.chdir('/workspace/deep')\nfor i in range(3000):\n os.mkdir('d'); os.chdir('d')",
    ]);
    expect((await peer.call({ op: "file.remove", path: "/workspace/deep", recursive: true, missingOk: false, roots })).result).toEqual({});
    expect((await peer.call({ op: "file.stat", path: "/workspace/deep", follow: true })).error.reason).toBe("ENOENT");
  });
});

describe("calls with a key", () => {
  const limit = { output: { maxBytes: 100, keep: "tail" } };

  test("happen once, whoever asks", { timeout: 20_000 }, async () => {
    const own = await guest.join();
    const request = {
      op: "exec",
      argv: ["sh", "-c", "echo x >> /workspace/once; sleep 0.3; cat /workspace/once"],
      cwd: "/",
      env: {},
      stdin: "null",
      call: "once",
      ...limit,
    };
    const first = own.open(request);
    await own.event(first, "started");
    const second = await own.call(request);
    expect([second.output.toString(), second.result.replayed]).toEqual(["x\n", false]);
    const third = await own.call(request);
    expect([third.output.toString(), third.result.replayed]).toEqual(["x\n", true]);
    expect((await own.call({ ...request, argv: ["true"] })).error).toMatchObject({ reason: "call_mismatch" });
    expect((await own.call({ op: "call.release", ids: ["once"] })).result).toEqual({});
    expect((await own.call(request)).error).toMatchObject({ reason: "call_released" });
  });

  test("survive their connection, and are fenced by a takeover", { timeout: 20_000 }, async () => {
    const old = await guest.join();
    const request = { op: "exec", argv: ["sh", "-c", "sleep 0.3; echo done"], cwd: "/", env: {}, stdin: "null", call: "survivor", ...limit };
    await old.event(old.open(request), "started");
    const fenced = await guest.connect();
    const generation = (await fenced.hello()).generation;
    old.close();
    const heir = await guest.connect();
    expect(await heir.hello({ mode: "takeover" })).toMatchObject({ generation: generation + 1, fenced: false });
    expect((await heir.call(request)).output.toString()).toBe("done\n");
    expect((await fenced.call({ ...request, call: "other" })).error).toMatchObject({ code: "aborted", reason: "fenced" });
    const late = await guest.connect();
    expect(await late.hello({ mode: "resume", generation })).toMatchObject({ fenced: true });
  });

  test("that did nothing leave no claim", async () => {
    const own = await guest.join();
    const request = { op: "exec", argv: ["/nope"], cwd: "/", env: {}, stdin: "null", call: "nothing", ...limit };
    expect((await own.call(request)).error).toMatchObject({ code: "not_found" });
    expect((await own.call({ op: "call.status", id: "nothing" })).result).toEqual({ status: "unclaimed" });
  });
});

test("at the limit of processes it answers, and ends everything", { timeout: 60_000 }, async () => {
  await using bombed = await DaemonContainer.start({ docker: ["--pids-limit", "128"] });
  const own = await bombed.join();
  const bomb = own.open({
    op: "exec",
    argv: ["bash", "-c", "bomb() { while :; do (bomb &) 2>/dev/null; done; }; bomb"],
    cwd: "/",
    env: {},
    stdin: "null",
    output: { maxBytes: 10, keep: "head" },
  });
  await own.event(bomb, "started");
  for (let refused = 0; refused < 3;) {
    const { error } = await own.exec(["/bin/true"]);
    if (error !== undefined) {
      expect(error).toMatchObject({ code: "resource_exhausted", reason: "EAGAIN", effect: "none" });
      refused++;
    }
  }
  expect((await own.call({ ...write, path: "/workspace/there" }, "x")).result).toEqual({ sizeBytes: 1 });
  await docker("kill", "-s", "TERM", bombed.name);
  expect((await docker("wait", bombed.name)).trim()).toBe("0");
});
