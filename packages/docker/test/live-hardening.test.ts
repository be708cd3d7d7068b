import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { type Sandbox } from "@glovebox/core";
import { docker } from "../src/index.ts";
import { create, engine, newId, output, python, refOf } from "./live-docker.ts";

const planted = "sk-planted-7f1c9a";
process.env["GLOVEBOX_TEST_PLANTED"] = planted;

let shared: Promise<Sandbox> | undefined;
const sandbox = (): Promise<Sandbox> => (shared ??= create());

afterAll(async () => {
  const made = await shared;
  if (made !== undefined) await docker().destroy(await refOf(made.id), { signal: AbortSignal.timeout(30_000) });
});

/** A system call by number, in the one program that every probe shares; prints `ok` or the errno's name. */
const call = (expression: string): readonly string[] =>
  python(`
import ctypes, errno, platform
libc = ctypes.CDLL(None, use_errno=True)
arm = platform.machine() == "aarch64"
def sys(x86, arm64, *args):
    return libc.syscall(arm64 if arm else x86, *[ctypes.c_long(a) for a in args])
result = ${expression}
print("ok" if result >= 0 else errno.errorcode[ctypes.get_errno()])
`);

test("the agent has no capability, gains none, and is filtered", async () => {
  const status = await output(await sandbox(), "grep -E '^(Cap(Inh|Prm|Eff|Amb)|NoNewPrivs|Seccomp):' /proc/self/status");
  expect(status.replaceAll("\t", " ")).toBe(
    [
      "CapInh: 0000000000000000",
      "CapPrm: 0000000000000000",
      "CapEff: 0000000000000000",
      "CapAmb: 0000000000000000",
      "NoNewPrivs: 1",
      "Seccomp: 2",
      "",
    ].join("\n"),
  );
});

test.each([
  ["AF_VSOCK", "libc.socket(40, 1, 0)", "EPERM"],
  ["AF_ALG", "libc.socket(38, 5, 0)", "EPERM"],
  ["AF_PACKET", "libc.socket(17, 3, 0)", "EPERM"],
  ["AF_INET", "libc.socket(2, 1, 0)", "ok"],
  ["io_uring_setup", "sys(425, 425, 1, 0)", "EPERM"],
  ["keyctl", "sys(250, 219, 0, -3, 0)", "EPERM"],
  ["bpf", "sys(321, 280, 0, 0, 0)", "EPERM"],
  ["userfaultfd", "sys(323, 282, 0)", "EPERM"],
  ["perf_event_open", "sys(298, 241, 0, 0, -1, -1, 0)", "EPERM"],
  ["unshare(CLONE_NEWUSER)", "sys(272, 97, 0x10000000)", "EPERM"],
  ["clone(CLONE_NEWUSER)", "sys(56, 220, 0x10000000 | 17, 0, 0, 0, 0)", "EPERM"],
  ["clone3", "sys(435, 435, 0, 0)", "ENOSYS"],
  ["mount", "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)", "EPERM"],
  ["setns", "sys(308, 268, 0, 0)", "EPERM"],
  ["personality(READ_IMPLIES_EXEC)", "libc.personality(0x0400000)", "EPERM"],
  ["memfd_create", "libc.memfd_create(b'm', 0)", "ok"],
])("%s", async (_name, expression, expected) => {
  expect(await output(await sandbox(), call(expression))).toBe(`${expected}\n`);
});

test.runIf(process.arch === "x64")("calls of 32-bit and x32 ABIs end the caller, socketcall among them", async () => {
  const x32 = await (await sandbox()).exec([...call("libc.syscall(0x40000000 + 39)")]);
  expect([x32.code, x32.signal]).toEqual([null, "SIGSYS"]);
  // mov eax, 102 (socketcall); int 0x80; ret
  const program = `
import ctypes, mmap
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex("b866000000cd80c3"))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))())
`;
  const legacy = await (await sandbox()).exec([...python(program)]);
  expect([legacy.code, legacy.signal]).toEqual([null, "SIGSYS"]);
});

test("there is no network but lo, no address answers, no name resolves", async () => {
  const box = await sandbox();
  expect(await output(box, "ls /sys/class/net")).toBe("lo\n");
  expect(await output(box, python("import socket\nfor a in ('1.1.1.1', '169.254.169.254'):\n  print(socket.socket().connect_ex((a, 80)))"))).toBe(
    "101\n101\n",
  ); // ENETUNREACH
  expect((await box.exec(["getent", "hosts", "example.com"])).code).toBe(2);
  expect(await output(box, "grep nameserver /etc/resolv.conf")).toBe("nameserver 127.0.0.1\n");
});

test("the guest cannot be seen, read, traced or killed", async () => {
  const box = await sandbox();
  expect(await output(box, "ls /.glovebox")).toContain("Permission denied");
  for (const file of ["environ", "mem", "maps", "root", "cwd", "exe", "fd"]) {
    expect(
      (await box.exec(["sh", "-c", `cat /proc/1/${file} 2>/dev/null || ls /proc/1/${file}/ 2>/dev/null || readlink /proc/1/${file}`])).code,
    ).not.toBe(0);
  }
  expect(await output(box, call("libc.ptrace(16, 1, 0, 0)"))).toBe("EPERM\n");
  expect(await output(box, call("libc.kill(1, 9)"))).toBe("EPERM\n");
  expect(await output(box, "echo alive")).toBe("alive\n");
});

test("nothing of the worker's environment is inside", async () => {
  const box = await sandbox();
  const found = await output(
    box,
    "env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'; grep -rlsF --exclude-dir=proc --exclude-dir=sys 'sk-plan''ted-7f1c9a' / 2>/dev/null; true",
  );
  expect(found).toContain("HOME=/home/agent");
  expect(found).not.toContain(planted);
  expect(found).not.toContain("GLOVEBOX_TEST_PLANTED");
});

test("a scratch image with one static program works, and so does its agent without an entry in passwd", async () => {
  const root = mkdtempSync(join(tmpdir(), "gb-scratch-"));
  const image = `glovebox-test/busybox:${newId()}`;
  try {
    // a static busybox out of Debian's package, which nothing is installed for
    execFileSync("sh", ["-c", "apt-get download -q busybox-static >&2 && dpkg-deb -x busybox-static_*.deb ."], {
      cwd: root,
      stdio: ["ignore", "ignore", "pipe"],
    });
    const busybox = join(root, execFileSync("sh", ["-c", "ls bin/busybox usr/bin/busybox 2>/dev/null | head -1"], { cwd: root }).toString().trim());
    execFileSync(
      "sh",
      ["-c", `mkdir -p image/bin && cp ${busybox} image/bin/busybox && ln -s busybox image/bin/sh && tar -C image -cf image.tar bin`],
      { cwd: root },
    );
    const [repo, tag] = image.split(":") as [string, string];
    await engine.bytes("POST", "/images/create", { query: { fromSrc: "-", repo, tag }, archive: readFileSync(join(root, "image.tar")) });
    for (const transport of ["socket", "exec"] as const) {
      const box = await create({ image, user: "2000:2001", workdir: "/work" }, { transport });
      expect(await output(box, "busybox id -u; busybox id -g; pwd; echo x > file; busybox cat file")).toBe("2000\n2001\n/work\nx\n");
      expect((await box.shell().run("cd /; pwd")).text).toBe("/\n");
      await box.destroy();
    }
  } finally {
    await engine.bytes("DELETE", `/images/${image}`, { query: { force: "1" } }).catch(() => undefined);
    rmSync(root, { recursive: true, force: true });
  }
});
