import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { docker } from "@glovebox/docker";
import { expect, test } from "vitest";
import { checkNode, checkVariables, diskFinding, seccompFinding } from "../src/diagnosis.ts";
import { probeEngine } from "../src/providers.ts";
import { CommandLine } from "./command-line.ts";

test("without an engine it fails, and says what to do", async () => {
  const directory = await mkdtemp(join(tmpdir(), "glovebox-cli-"));
  await using command = new CommandLine(["doctor"], {
    cwd: directory,
    env: { DOCKER_HOST: `unix://${directory}/none.sock`, ANTHROPIC_API_KEY: "sk-ant-api03-planted" },
  });
  expect(await command.end("")).toBe(1);
  expect(command.stdout).toMatch(/^fail {2}engine {8}\[unavailable\] .*none\.sock/mu);
  expect(command.stdout).toContain("without an engine only `--provider virtual` works");
  expect(command.stdout).toMatch(/^ok {4}virtual {7}made a sandbox in .* and ran a program in it$/mu);
  expect(command.stdout).toContain("warn  environment   ANTHROPIC_API_KEY is set\n");
  expect(command.stdout + command.stderr).not.toContain("planted");
  await rm(directory, { recursive: true });
});

test("an engine's address that cannot be used is one failed check, and the demo goes on without Docker", async () => {
  const directory = await mkdtemp(join(tmpdir(), "glovebox-cli-"));
  const surroundings = { cwd: directory, env: { DOCKER_HOST: "ssh://host" } };
  await using doctor = new CommandLine(["doctor"], surroundings);
  expect(await doctor.end("")).toBe(1);
  expect(doctor.stderr).toBe("");
  expect(doctor.stdout).toMatch(/^fail {2}engine {8}\[invalid_argument\] DOCKER_HOST "ssh:\/\/host" is no address that Glovebox can use; /mu);
  expect(doctor.stdout).toMatch(/^ok {4}virtual /mu);
  await using demo = new CommandLine(["demo"], surroundings);
  expect(await demo.end("")).toBe(0);
  expect(demo.stdout).toMatch(/^Runs on virtual: Docker cannot be used here: \[invalid_argument\] DOCKER_HOST/u);
  await rm(directory, { recursive: true });
});

test("an engine that takes connections and says nothing is given up", async () => {
  await using silent = createServer(() => undefined).listen(0, "127.0.0.1");
  await once(silent, "listening");
  const { port } = silent.address() as AddressInfo;
  const provider = docker({ host: `tcp://127.0.0.1:${port}` });
  await expect(probeEngine(provider, new AbortController().signal, 50)).rejects.toMatchObject({
    message: "[unavailable] the docker engine gave no answer in 50 ms; look at its log, or name another in DOCKER_HOST",
  });
  silent.closeAllConnections();
});

test("Node, disk, seccomp and variables", () => {
  expect(checkNode("24.0.0")).toEqual({ check: "node", status: "ok", found: "Node 24.0.0" });
  expect(checkNode("22.20.0").status).toBe("fail");
  const GIB = 1024 ** 3;
  expect([5 * GIB, 5 * GIB - 1, GIB / 2, GIB / 2 - 1].map((free) => diskFinding("/x", free).status)).toEqual(["ok", "warn", "warn", "fail"]);
  expect(seccompFinding("NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n").status).toBe("ok");
  expect(seccompFinding("NoNewPrivs:\t1\nSeccomp:\t0\n")).toMatchObject({ status: "fail", found: "system calls are not filtered" });
  expect(seccompFinding("NoNewPrivs:\t0\nSeccomp:\t2\n")).toMatchObject({ status: "fail", found: "privileges can grow (no_new_privs is off)" });
  expect([...checkVariables({ ANTHROPIC_ENVIRONMENT_ID: "env_1" })].map(({ status, found }) => `${status}: ${found}`)).toEqual([
    "ok: ANTHROPIC_ENVIRONMENT_ID is set",
    "warn: ANTHROPIC_ENVIRONMENT_KEY is not set",
  ]);
});
