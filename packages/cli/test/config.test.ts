import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { workerConfigSchema } from "../src/config.ts";
import { findConfigFile, loadConfigFile } from "../src/config-file.ts";
import { UsageError } from "../src/failure.ts";
import { runHere } from "./context.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "glovebox-config-"));
});
afterEach(async () => await rm(directory, { recursive: true }));

async function load(name: string, text: string) {
  await writeFile(join(directory, name), text);
  return await loadConfigFile(join(directory, name), workerConfigSchema, directory);
}

describe("finding", () => {
  test("none is fine, one is taken, two are refused, a named one must be there", async () => {
    expect(await findConfigFile(directory, undefined)).toBeUndefined();
    await writeFile(join(directory, "glovebox.config.yaml"), "");
    expect(await findConfigFile(directory, undefined)).toBe(join(directory, "glovebox.config.yaml"));
    await writeFile(join(directory, "glovebox.config.ts"), "");
    await expect(findConfigFile(directory, undefined)).rejects.toThrow(
      new UsageError(`${directory} holds glovebox.config.ts and glovebox.config.yaml; remove all but one, or name one with --config`),
    );
    expect(await findConfigFile(directory, "glovebox.config.ts")).toBe(join(directory, "glovebox.config.ts"));
    await expect(findConfigFile(directory, "other.yaml")).rejects.toThrow(new UsageError(`--config: there is no file ${directory}/other.yaml`));
  });
});

describe("what a file may say", () => {
  test("YAML", async () => {
    const text = "provider: virtual\nmaxSessions: 5\nsandbox:\n  env: { A: b }\n  cpu: { max: 2 }\ntimeouts:\n  byTool: { bash: 3600000 }\n";
    expect(await load("glovebox.config.yaml", text)).toEqual({
      provider: "virtual",
      maxSessions: 5,
      sandbox: { env: { A: "b" }, cpu: { max: 2 } },
      timeouts: { byTool: { bash: 3_600_000 } },
    });
    expect(await load("empty.yaml", "")).toEqual({});
  });

  test("TypeScript, with a tool and an observer", async () => {
    const config = await load(
      "glovebox.config.ts",
      `const name: string = "ticket";
       export default { maxSessions: 5 as number, tools: [{ name, inputSchema: { type: "object" }, run: () => "done" }], observer: () => {} };`,
    );
    expect(config).toEqual({
      maxSessions: 5,
      tools: [{ name: "ticket", inputSchema: { type: "object" }, run: expect.any(Function) }],
      observer: expect.any(Function),
    });
  });
});

describe("what is wrong is told with file, place, path and what was expected", () => {
  test.each([
    ["maxSessions: 0", ":1:14: maxSessions: expected 1 or more"],
    ["maxSessions: many", ":1:14: maxSessions: expected number, received string"],
    ["provider: dokcer", ':1:11: provider: expected one of docker, virtual, not "dokcer"; did you mean docker?'],
    ["sandbox:\n  cpu:\n    min: two", ":3:10: sandbox.cpu.min: expected number, received string"],
    ["sandbox:\n  workdir: here", ":2:12: sandbox.workdir: give an absolute path"],
    ["sandbox:\n  egress:\n    allow:\n      - to: a\n      - ports: [1]", ":5:9: sandbox.egress.allow[1].to: expected string, received undefined"],
    ["sandbox:\n  env:\n    A B: 1", ':3:10: sandbox.env["A B"]: expected string, received number'],
    ["timeouts: { bash: 5 }", ":1:19: timeouts.bash: no such option"],
    ["maxSession: 5", ":1:13: maxSession: no such option"],
    ["environmentKey: abc", ":1:17: environmentKey: a key does not belong into a file; set ANTHROPIC_ENVIRONMENT_KEY instead"],
    ["tools: [1]", ":1:9: tools[0]: expected a tool with name, inputSchema and run (TypeScript only)"],
    ["baseUrl: ftp://x", ":1:10: baseUrl: expected an http or https URL"],
    ["- a", ":1:1: the configuration: expected object, received array"],
  ])("%j", async (text, message) => {
    await expect(load("c.yaml", text)).rejects.toThrow(new UsageError(`c.yaml${message}`));
  });

  test("several at once, each on its line", async () => {
    await expect(load("c.yaml", "maxSessions: 0\nkeepMs: -1\n")).rejects.toThrow(
      new UsageError("c.yaml:1:14: maxSessions: expected 1 or more\nc.yaml:2:9: keepMs: expected 0 or more milliseconds"),
    );
  });

  test("files that are none", async () => {
    await expect(load("c.yaml", "a: [")).rejects.toThrow(
      new UsageError("c.yaml:1:5: Flow sequence in block collection must be sufficiently indented and end with a ]"),
    );
    await expect(load("c.ts", "export const x = 1;")).rejects.toThrow("c.ts has no default export; write `export default defineConfig({ … })`");
    await expect(load("d.ts", "export default {")).rejects.toThrow(/^d\.ts cannot be loaded: /u);
    await expect(load("e.ts", "export default { keepMs: 'x' }")).rejects.toThrow("e.ts: keepMs: expected number, received string");
  });
});

describe("glovebox worker refuses to start, exit code 2, and names what is missing", () => {
  const ready = { ANTHROPIC_ENVIRONMENT_ID: "env_1", ANTHROPIC_ENVIRONMENT_KEY: "sk-ant-oat01-secret" };

  test.each([
    ["no id", { ANTHROPIC_ENVIRONMENT_KEY: "k" }, [], "ANTHROPIC_ENVIRONMENT_ID is not set; set it, or give --environment-id"],
    [
      "no key",
      { ANTHROPIC_ENVIRONMENT_ID: "env_1", ANTHROPIC_ENVIRONMENT_KEY: "" },
      [],
      "ANTHROPIC_ENVIRONMENT_KEY is not set; set it to the environment's key (sk-ant-oat01-…)",
    ],
    [
      "an API key",
      { ...ready, ANTHROPIC_API_KEY: "sk-ant-api03-x" },
      [],
      "ANTHROPIC_API_KEY is set. A worker does not need it, and it should not be on a worker's host; unset it, or start with --allow-api-key",
    ],
    [
      "a relative work directory",
      ready,
      ["--workdir", "."],
      "--workdir is a directory inside the sandbox and not on this machine: give an absolute path such as /workspace",
    ],
    [
      "--on-work",
      ready,
      ["--on-work", "./spawn.sh"],
      "--on-work does not exist here: every session gets a sandbox of its own here without a script; choose it with --provider and --image, or `sandbox` in the configuration",
    ],
    [
      "a flag that ant has",
      ready,
      ["--unrestricted-paths"],
      "--unrestricted-paths does not exist here: file tools stay in the work directory, whose place is --workdir; commands of `bash` reach the whole sandbox anyway",
    ],
  ])("%s", async (_, env, args, message) => {
    const outcome = await runHere(["worker", "--log-format", "json", ...args], { env, cwd: directory });
    expect(outcome).toEqual({ code: 2, stdout: "", stderr: `glovebox worker: ${message}\nglovebox worker --help lists the flags\n` });
  });

  test("a wrong configuration", async () => {
    await writeFile(join(directory, "glovebox.config.yaml"), "maxSessions: lots\n");
    const { code, stderr } = await runHere(["worker"], { env: ready, cwd: directory });
    expect([code, stderr.split("\n")[0]]).toEqual([2, "glovebox worker: glovebox.config.yaml:1:14: maxSessions: expected number, received string"]);
  });
});
