import { expect, test } from "vitest";
import { attach, create, destroyAfterEach, engine, output, python } from "./live-docker.ts";

destroyAfterEach();

const MIB = 1024 ** 2;

test("limits are those that the spec asks for", async () => {
  const sandbox = await create({ memoryBytes: { max: 256 * MIB }, cpu: { max: 0.5 }, processes: { max: 128 } });
  const { HostConfig: host } = await engine.json<{ HostConfig: Record<string, unknown> }>("GET", `/containers/glovebox-${sandbox.id}/json`);
  expect([host["Memory"], host["MemorySwap"], host["NanoCpus"], host["PidsLimit"]]).toEqual([256 * MIB, 256 * MIB, 500_000_000, 128]);
  expect(host).toMatchObject({
    NetworkMode: "none",
    LogConfig: { Type: "none" },
    CapDrop: ["ALL"],
    IpcMode: "private",
    RestartPolicy: { Name: "no" },
  });
});

test("a fork bomb meets the limit of processes; the guest answers meanwhile and the sandbox works afterwards", async () => {
  const sandbox = await create({ processes: { max: 128 }, memoryBytes: { max: 512 * MIB } });
  const bomb = await sandbox.spawn(["python3", "-c", "import os, time\nwhile True:\n  try:\n    os.fork()\n  except OSError:\n    time.sleep(0.05)"]);
  const pidsAtLimit = async (): Promise<boolean> =>
    (await sandbox.files.readText("/sys/fs/cgroup/pids/pids.current").catch(() => "128")).trim() === "128";
  while (!(await pidsAtLimit())) await sandbox.files.exists("/workspace");
  await sandbox.files.write("/workspace/during", "answered");
  expect(await sandbox.files.readText("/workspace/during")).toBe("answered");
  await bomb.signal("SIGKILL");
  await bomb.exit;
  expect(await output(sandbox, "echo alive")).toBe("alive\n");
});

test("a memory hog is killed, and the guest is not", async () => {
  const sandbox = await create({ memoryBytes: { max: 128 * MIB } });
  const hog = await sandbox.exec([...python("x = b'x' * 1024 * 1024 * 1024")]);
  expect([hog.code, hog.signal]).toEqual([null, "SIGKILL"]);
  expect(await output(sandbox, "echo alive")).toBe("alive\n");
});

test("who writes more than the disk limit stops the sandbox with a coded error; attached again it can be tidied up", async () => {
  const sandbox = await create({ diskBytes: { max: 64 * MIB } });
  // several files, because one alone meets RLIMIT_FSIZE
  void sandbox.exec("i=0; while :; do i=$((i + 1)); head -c 16M /dev/zero > /tmp/$i; done", { timeoutMs: 60_000 }).catch(() => undefined);
  const reason = await sandbox.lost;
  expect(reason).toMatchObject({ code: "resource_exhausted", reason: "disk_limit" });
  const again = await attach(sandbox.id);
  expect(await output(again, "rm /tmp/*; ls /tmp; echo tidy")).toBe("tidy\n");
  await again.close();
});

test("files without a name, in directories that nobody may read, and of no size count too", async () => {
  for (const program of [
    "import os\nfs = []\nwhile True:\n  f = open('/tmp/x', 'wb'); os.unlink('/tmp/x'); f.write(bytes(16 << 20)); f.flush(); fs.append(f)",
    "import os\nos.mkdir('/tmp/d'); os.chdir('/tmp/d'); n = 0\nwhile True:\n  n += 1; os.chmod('/tmp/d', 0o700); f = open(f'/tmp/d/{n}', 'wb'); f.write(bytes(16 << 20)); f.close(); os.chmod('/tmp/d', 0)",
    "n = 0\nwhile True:\n  n += 1; open(f'/tmp/{n}', 'w').close()",
  ]) {
    const sandbox = await create({ diskBytes: { max: 64 * MIB } });
    void sandbox.exec([...python(program)], { timeoutMs: 60_000 }).catch(() => undefined);
    expect(await sandbox.lost).toMatchObject({ code: "resource_exhausted", reason: "disk_limit" });
    await sandbox.destroy();
  }
});

test("one file larger than the disk limit fails to be written", async () => {
  const sandbox = await create({ diskBytes: { max: 64 * MIB } });
  const { code, signal } = await sandbox.exec(["truncate", "-s", "65M", "/tmp/large"]);
  expect(signal ?? code).not.toBe(0);
  expect(await output(sandbox, "ls /tmp; echo alive")).toContain("alive");
});

test("/dev/shm has its own bound", async () => {
  const sandbox = await create();
  expect(await output(sandbox, "head -c 65M /dev/zero > /dev/shm/x")).toContain("No space left on device");
});
