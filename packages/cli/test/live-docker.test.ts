import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CommandLine } from "./command-line.ts";

// one home for all commands, so that they share an owner key as those of one user do
let home: string;
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), "glovebox-cli-"));
});
afterAll(async () => {
  const { code } = await finish(["rm", "--all"]);
  await rm(home, { recursive: true });
  if (code !== 0) throw new Error("glovebox rm --all failed");
});

const glovebox = (...args: string[]): CommandLine => new CommandLine(args, { cwd: home });

async function finish(
  args: readonly string[],
  input = "",
): Promise<{ readonly code: number | string; readonly stdout: string; readonly stderr: string }> {
  await using command = glovebox(...args);
  const code = await command.end(input);
  return { code, stdout: command.stdout, stderr: command.stderr };
}

describe("glovebox demo", () => {
  test("chooses Docker, says why, and ends with 0", async () => {
    const { code, stdout, stderr } = await finish(["demo"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("Runs on docker: a Docker engine answers and has the image\n");
    expect(stdout).toMatch(/^Everything went as scripted: 8 calls in .* on docker; the sandbox is gone\.$/mu);
  });
});

describe("glovebox exec", () => {
  test("streams both ways while the program runs, byte for byte", async () => {
    await using command = glovebox("exec", "--", "bash", "-c", 'read a; echo "got $a"; read b; printf "\\033[1m%s\\377" "$b"; echo err >&2');
    const bytes: Buffer[] = [];
    command.process.stdout.on("data", (chunk: Buffer) => bytes.push(chunk));
    command.process.stdin.write("one\n");
    expect(await command.line(() => true)).toBe("got one");
    expect(await command.end("two\n")).toBe(0);
    expect(Buffer.concat(bytes)).toEqual(Buffer.concat([Buffer.from("got one\n\u001b[1mtwo"), Buffer.from([0xff])]));
    expect(command.stderr).toBe("err\n");
  });

  test.each([
    ["a signal that ends the program", ["bash", "-c", "kill -SEGV $$"], 139],
    ["a program that may not be run", ["/etc/passwd"], 126],
    ["a program that is not there", ["no-such-program"], 127],
  ])("%s", async (_, argv, code) => {
    expect((await finish(["exec", "-n", "--", ...argv])).code).toBe(code);
  });

  test("no image: what to do, and 125", async () => {
    const { code, stderr } = await finish(["exec", "-n", "--image", "glovebox-test/no-such-image", "--", "true"]);
    expect(code).toBe(125);
    expect(stderr).toContain("[not_found]");
  });

  test("the first SIGTERM goes to the program, the second kills it", async () => {
    await using command = glovebox("exec", "-n", "--", "bash", "-c", 'trap "echo once" TERM; echo ready; while :; do sleep 0.05; done');
    await command.line((line) => line === "ready");
    command.process.kill("SIGTERM");
    await command.line((line) => line === "once");
    command.process.kill("SIGTERM");
    expect(await command.end()).toBe(137);
  });

  test("a reader that goes away ends the program", async () => {
    await using command = glovebox("exec", "-n", "--", "yes");
    await command.line(() => true);
    command.process.stdout.destroy();
    expect(await command.end()).toBe(141);
  });
});

test("ps, exec, shell and rm of one user reach a sandbox that another command left, and those of another user do not", async () => {
  const made = await finish(["exec", "-n", "--keep", "--", "bash", "-c", "echo kept > file"]);
  const id = made.stderr.trim();
  expect(made).toEqual({ code: 0, stdout: "", stderr: `${id}\n` });

  const entries = JSON.parse((await finish(["ps", "--json"])).stdout) as readonly { readonly ref: { readonly id: string } }[];
  expect(entries.find(({ ref }) => ref.id === id)).toMatchObject({ state: "running", ownership: { by: "session", session: "glovebox-cli" } });
  expect((await finish(["ps"])).stdout).toMatch(new RegExp(`^${id} +running +.* glovebox-cli +`, "mu"));

  expect(await finish(["exec", "--sandbox", id, "--", "cat", "file", "-"], "in\n")).toEqual({ code: 0, stdout: "kept\nin\n", stderr: "" });

  expect(await finish(["shell", id], "cd /tmp\nx=5; f() { echo f$x; }\n")).toMatchObject({ code: 0, stderr: "" });
  expect(await finish(["shell", id], "pwd; f; cat <<E\nhere\nE\n(exit 4)")).toMatchObject({ code: 4, stdout: "/tmp\nf5\nhere\n" });
  expect(await finish(["shell", "--name", "other", id], "pwd")).toMatchObject({ code: 0, stdout: "/workspace\n" });

  expect(await finish(["shell", "gb-none"], "true")).toMatchObject({ code: 125, stderr: expect.stringContaining("there is no sandbox gb-none") });

  await using stranger = new CommandLine(["rm", id], { cwd: home, env: { GLOVEBOX_OWNER_KEY: "ab".repeat(32) } });
  expect(await stranger.end("")).toBe(1);
  expect(stranger.stderr).toContain("[permission_denied]");

  expect(await finish(["rm", id])).toEqual({ code: 0, stdout: `${id}\n`, stderr: "" });
  expect(await finish(["rm", id])).toEqual({ code: 0, stdout: `${id}\n`, stderr: "" });
  const after = JSON.parse((await finish(["ps", "--json"])).stdout) as readonly { readonly ref: { readonly id: string } }[];
  expect(after.map(({ ref }) => ref.id)).not.toContain(id);
});

test("doctor finds engine, image, guest and seccomp in order", async () => {
  const { code, stdout } = await finish(["doctor", "--json"]);
  const findings = JSON.parse(stdout) as readonly { readonly check: string; readonly status: string }[];
  expect(code).toBe(0);
  for (const check of ["node", "owner key", "engine", "docker", "seccomp", "virtual"]) {
    expect(findings.find((finding) => finding.check === check)).toMatchObject({ status: "ok" });
  }
});
