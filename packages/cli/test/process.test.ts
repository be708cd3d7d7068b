import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSimulator } from "@glovebox/simulator";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { CommandLine } from "./command-line.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "glovebox-cli-"));
});
afterEach(async () => await rm(directory, { recursive: true }));

const glovebox = (args: readonly string[], env: NodeJS.ProcessEnv = {}): CommandLine => new CommandLine(args, { cwd: directory, env });

describe("glovebox demo", () => {
  test("serves the whole session on the embedded provider and ends with 0", async () => {
    await using command = glovebox(["demo", "--provider", "virtual"]);
    expect(await command.end("")).toBe(0);
    expect(command.stderr).toBe("");
    expect(command.stdout).toContain("Runs on virtual: asked for by --provider\n");
    expect(command.stdout).toContain("FAIL median 9 10 100: expected 10, got 100");
    expect(command.stdout).toContain("run 2 passed");
    expect(command.stdout).toMatch(/^Everything went as scripted: 8 calls in .* on virtual; the sandbox is gone\.$/mu);
    expect(command.stdout).not.toContain("\u001b");
  });

  test("names the next commands as they are typed where it runs", async () => {
    await using inClone = glovebox(["demo", "--provider", "virtual"], { npm_package_name: "glovebox" });
    await inClone.end("");
    expect(inClone.stdout).toMatch(
      /^ {2}npx -y pnpm@12 glovebox exec --provider virtual -- bash -c 'pwd; ls -la' {2}one program in a sandbox of its own$/mu,
    );
    expect(inClone.stdout).toMatch(/^ {2}npx -y pnpm@12 glovebox worker --help +serve a real environment$/mu);
  });

  test("ends with 1 when an expectation fails, and says which", async () => {
    const script = 'turns:\n  - calls:\n      - { name: bash, input: { command: "echo two" }, expect: { contains: three } }\n';
    await writeFile(join(directory, "script.yaml"), script);
    await using command = glovebox(["demo", "--provider", "virtual", "--script", "script.yaml", "--json"]);
    expect(await command.end("")).toBe(1);
    expect(JSON.parse(command.stdout)).toMatchObject({
      passed: false,
      status: "completed",
      provider: "virtual",
      calls: [{ name: "bash", outcome: "result", result: { text: "two", isError: false } }],
      failures: [{ message: expect.stringContaining("three") }],
    });
  });

  test("what a program writes never reaches the terminal as it is", async () => {
    const hostile = String.raw`printf '\033]0;owned\007\302\2332J\342\200\256x'`;
    const script = { turns: [{ message: "\u001b[2J", calls: [{ name: "bash", input: { command: hostile } }] }] };
    await writeFile(join(directory, "script.yaml"), JSON.stringify(script));
    await using command = glovebox(["demo", "--provider", "virtual", "--script", "script.yaml"]);
    expect(await command.end("")).toBe(0);
    expect(command.stdout).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/u);
    expect(command.stdout).toContain(String.raw`agent  \x1b[2J`);
    expect(command.stdout).toContain(String.raw`\u202ex`);
  });

  test("a script with memory stores or skills is refused, since nothing here would serve them", async () => {
    await writeFile(join(directory, "script.yaml"), "skills: [{ name: pdf }]\nturns: []\n");
    await using command = glovebox(["demo", "--provider", "virtual", "--script", "script.yaml"]);
    expect(await command.end("")).toBe(2);
    expect(command.stderr).toContain("memory stores and skills are for glovebox simulator");
  });

  test("a script that is none is a usage error with its place", async () => {
    await writeFile(join(directory, "script.yaml"), "turns: [{ calls: 5 }]");
    await using command = glovebox(["demo", "--script", "script.yaml"]);
    expect(await command.end("")).toBe(2);
    expect(command.stderr).toMatch(/^glovebox demo: .*script\.yaml.*calls/u);
  });
});

describe("glovebox exec", () => {
  test("input, both outputs and the exit code pass through", async () => {
    await using command = glovebox(["exec", "--provider", "virtual", "-e", "WHO=me", "--", "bash", "-c", 'cat; echo "$WHO $PWD" >&2; exit 7']);
    expect(await command.end("one\ntwo\n")).toBe(7);
    expect([command.stdout, command.stderr]).toEqual(["one\ntwo\n", "me /workspace\n"]);
  });

  test.each([
    ["a program that is not there", ["-n", "--", "no-such-program"], 127],
    ["a program that takes too long", ["-n", "--timeout", "200ms", "--", "sleep", "60"], 124],
    ["a sandbox that is not there", ["-n", "--sandbox", "gb-none", "--", "true"], 125],
    ["an option that the provider lacks", ["-n", "--image", "x", "--", "true"], 125],
    ["a name that no sandbox has", ["-n", "--sandbox", "No Such", "--", "true"], 2],
  ])("%s", async (_, args, code) => {
    await using command = glovebox(["exec", "--provider", "virtual", ...args]);
    expect(await command.end("")).toBe(code);
    expect(command.stdout).toBe("");
  });

  test("a sandbox that is not there is named, with the command that lists them", async () => {
    await using command = glovebox(["exec", "--provider", "virtual", "--sandbox", "gb-none", "--", "true"]);
    await command.end("");
    expect(command.stderr).toBe("glovebox exec: [not_found] there is no sandbox gb-none; `glovebox ps` lists those that there are\n");
  });
});

describe("glovebox shell and ps", () => {
  test("no engine: 125 where a program's exit code is passed on, else 1", async () => {
    const env = { DOCKER_HOST: `unix://${directory}/none.sock` };
    await using shell = glovebox(["shell", "gb-none"], env);
    expect(await shell.end("true")).toBe(125);
    await using ps = glovebox(["ps"], env);
    expect(await ps.end("")).toBe(1);
    for (const { stderr } of [shell, ps]) expect(stderr).toContain(`[unavailable]`);
  });

  test("an engine's address that is none: 2", async () => {
    await using command = glovebox(["ps"], { DOCKER_HOST: "nonsense" });
    expect(await command.end("")).toBe(2);
    expect(command.stderr).toContain('DOCKER_HOST "nonsense" is no address that Glovebox can use');
  });
});

describe("glovebox worker", () => {
  test("a wrong key ends it with 1 and the variable's name, and never the key", async () => {
    await using simulator = await startSimulator();
    const key = "sk-ant-oat01-wrong-wrong-wrong";
    await using command = glovebox(["worker", "--provider", "virtual"], {
      ANTHROPIC_BASE_URL: simulator.url,
      ANTHROPIC_ENVIRONMENT_ID: simulator.environmentId,
      ANTHROPIC_ENVIRONMENT_KEY: key,
    });
    expect(await command.end("")).toBe(1);
    expect(command.stderr).toMatch(/^glovebox worker: \[unauthenticated\] .*ANTHROPIC_ENVIRONMENT_KEY/u);
    expect(command.stdout + command.stderr).not.toContain(key);
  });

  test("an option that the worker refuses ends it with 2, before anything", async () => {
    await using command = glovebox(["worker", "--provider", "virtual", "--base-url", "nope"], {
      ANTHROPIC_ENVIRONMENT_ID: "env_1",
      ANTHROPIC_ENVIRONMENT_KEY: "sk-ant-oat01-xxxxxxxx",
    });
    expect(await command.end("")).toBe(2);
    expect([command.stdout, command.stderr]).toEqual([
      "",
      "glovebox worker: [invalid_argument] worker options: baseUrl: give an http or https URL\n",
    ]);
  });

  test("an environment that is not there ends it with 1 and the variable's name", async () => {
    await using simulator = await startSimulator();
    await using command = glovebox(["worker", "--provider", "virtual"], {
      ANTHROPIC_BASE_URL: simulator.url,
      ANTHROPIC_ENVIRONMENT_ID: "env_nowhere",
      ANTHROPIC_ENVIRONMENT_KEY: simulator.environmentKey,
    });
    expect(await command.end("")).toBe(1);
    expect(command.stderr).toContain("ANTHROPIC_ENVIRONMENT_ID");
  });

  test("serves, logs JSON without content when stdout is no terminal, and stops in order on SIGTERM", async () => {
    await using simulator = await startSimulator();
    const session = simulator.createSession({
      script: { turns: [{ calls: [{ name: "bash", input: { command: "echo top-secret" }, expect: { equals: "top-secret" } }] }] },
    });
    await using command = glovebox(
      [
        "worker",
        "--provider",
        "virtual",
        "--worker-id",
        "w1",
        "--max-idle",
        "100ms",
        "--environment-key",
        simulator.environmentKey,
        "--allow-api-key",
      ],
      { ANTHROPIC_BASE_URL: simulator.url, ANTHROPIC_ENVIRONMENT_ID: simulator.environmentId, ANTHROPIC_API_KEY: "sk-ant-api03-planted-planted" },
    );
    const report = await session.finished;
    expect(report.failures).toEqual([]);
    await command.line((line) => line.includes('"item.ended"'));
    command.process.kill("SIGTERM");
    expect(await command.end("")).toBe(0);
    const lines = command.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines[0]).toMatchObject({ level: "warn", type: "cli.key_on_command_line" });
    expect(lines[1]).toMatchObject({ level: "info", type: "worker.started", workerId: "w1", provider: "virtual" });
    expect(lines.find(({ type }) => type === "call.finished")).toMatchObject({ tool: "bash", isError: false, textChars: 10 });
    expect(lines.at(-1)).toMatchObject({ type: "worker.stopped" });
    for (const secret of ["top-secret", simulator.environmentKey, "planted"]) expect(command.stdout + command.stderr).not.toContain(secret);
  });

  test("a second signal ends it at once", async () => {
    await using simulator = await startSimulator();
    simulator.createSession({ script: { turns: [{ calls: [{ name: "bash", input: { command: "sleep 600" } }] }] } });
    await using command = glovebox(["worker", "--provider", "virtual"], {
      ANTHROPIC_BASE_URL: simulator.url,
      ANTHROPIC_ENVIRONMENT_ID: simulator.environmentId,
      ANTHROPIC_ENVIRONMENT_KEY: simulator.environmentKey,
    });
    await command.line((line) => line.includes('"call.started"'));
    command.process.kill("SIGTERM");
    await command.line((line) => line.includes('"worker.stopping"'));
    command.process.kill("SIGTERM");
    expect(await command.end("")).toBe(143);
  });
});

describe("glovebox simulator", () => {
  test("prints what a worker needs, plays a script against it, and tells the end by its exit code", async () => {
    await writeFile(join(directory, "script.yaml"), 'turns:\n  - calls: [{ name: bash, input: { command: "exit 3" }, expect: { isError: true } }]\n');
    await using control = glovebox(["simulator", "--script", "script.yaml", "--json"]);
    const variables = JSON.parse(await control.line(() => true)) as NodeJS.ProcessEnv;
    expect(Object.keys(variables)).toEqual(["ANTHROPIC_BASE_URL", "ANTHROPIC_ENVIRONMENT_ID", "ANTHROPIC_ENVIRONMENT_KEY"]);
    await using command = glovebox(["worker", "--provider", "virtual"], variables);
    expect(await control.end("")).toBe(0);
    expect(JSON.parse(control.stdout.trim().split("\n")[1] ?? "")).toMatchObject({ passed: true, calls: [{ name: "bash" }] });
    expect(control.stderr).toBe("In another terminal: set these variables, then `glovebox worker`. Ctrl-C ends the simulator.\n");
    command.process.kill("SIGTERM");
    expect(await command.end("")).toBe(0);
  });

  test("without a script it serves until it is stopped, and names the application's key apart from the worker's variables", async () => {
    await using control = glovebox(["simulator"]);
    expect(await control.line(() => true)).toMatch(/^export ANTHROPIC_BASE_URL=http:\/\/127\.0\.0\.1:\d+$/u);
    control.process.kill("SIGINT");
    expect(await control.end("")).toBe(0);
    expect(control.stderr).toMatch(/^For an application .*, never for a worker: ANTHROPIC_API_KEY=sk-ant-api03-\S+ with agent agent_\w+$/mu);
    expect(control.stdout).not.toContain("sk-ant-api03-");
  });

  test("tells what happens on stderr, a line for each change, and nothing when it is quiet", async () => {
    await writeFile(join(directory, "script.yaml"), 'turns:\n  - calls: [{ name: bash, input: { command: "echo hi" } }]\n');
    for (const quiet of [false, true]) {
      await using control = glovebox(["simulator", "--script", "script.yaml", ...(quiet ? ["-q"] : [])]);
      const exported = async (name: string): Promise<string> =>
        (await control.line((line) => line.startsWith(`export ${name}=`))).split("=")[1] ?? "";
      const names = ["ANTHROPIC_BASE_URL", "ANTHROPIC_ENVIRONMENT_ID", "ANTHROPIC_ENVIRONMENT_KEY"];
      const variables = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await exported(name)])));
      await using worker = glovebox(["worker", "--provider", "virtual"], variables);
      expect(await control.end("")).toBe(0);
      expect(control.stdout).toMatch(/^bash: result, .*\ncompleted: 1 call, 0 failures/mu);
      if (quiet) expect(control.stderr).toBe("");
      else expect(control.stderr).toMatch(/^call +bash +result +\S+ m?s +echo hi$/mu);
      worker.process.kill("SIGTERM");
      await worker.end("");
    }
  });

  test("the files of directories are memory stores and skills of the script's session, and the stores are told at its end", async () => {
    await writeFile(join(directory, "script.yaml"), "memoryStores: [{ name: Own, memories: { /a: x } }]\nturns:\n  - message: done\n");
    await mkdir(join(directory, "notes/deep"), { recursive: true });
    await writeFile(join(directory, "notes/deep/b.md"), "b");
    await symlink("/etc/passwd", join(directory, "notes/link"));
    await mkdir(join(directory, "pdf"));
    await writeFile(join(directory, "pdf/run.sh"), "#!/bin/sh\n", { mode: 0o755 });
    await using control = glovebox(["simulator", "--script", "script.yaml", "--memory", "Notes=notes", "--skill", "pdf=pdf", "--json"]);
    const variables = JSON.parse(await control.line(() => true)) as Record<string, string>;
    const call = async (path: string, credential: string | undefined, body?: unknown): Promise<Record<string, unknown>> => {
      const response = await fetch(`${variables["ANTHROPIC_BASE_URL"]}/v1${path}`, {
        headers: { authorization: `Bearer ${credential}`, "anthropic-beta": "managed-agents-2026-04-01" },
        ...(body === undefined ? {} : { method: "POST", body: JSON.stringify(body) }),
      });
      return (await response.json()) as Record<string, unknown>;
    };
    // a worker that writes a memory when the session has long been over, and then lets go
    const queue = `/environments/${variables["ANTHROPIC_ENVIRONMENT_ID"]}/work`;
    const item = await call(`${queue}/poll`, variables["ANTHROPIC_ENVIRONMENT_KEY"]);
    const token = (JSON.parse(Buffer.from(String(item["secret"]), "base64url").toString()) as Record<string, string>)["sessions_token"];
    const session = await call(`/sessions/${(item["data"] as Record<string, string>)["id"]}`, token);
    const [store] = session["resources"] as readonly Record<string, string>[];
    expect((session["agent"] as Record<string, unknown>)["skills"]).toMatchObject([{ type: "custom", version: "latest" }]);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await call(`/memory_stores/${store?.["memory_store_id"]}/memories`, token, { path: "/late", content: "late" });
    await call(`${queue}/${String(item["id"])}/stop`, token, { force: true });
    expect(await control.end("")).toBe(0);
    const report = JSON.parse(control.stdout.trim().split("\n")[1] ?? "") as Record<string, unknown>;
    expect([report["status"], report["memoryStores"]]).toEqual([
      "completed",
      [
        { name: "Own", memories: { "/a": "x", "/late": "late" } },
        { name: "Notes", memories: { "/deep/b.md": "b" } },
      ],
    ]);
  });

  test.each([
    ["a memory directory that is not there", ["--script", "script.yaml", "--memory", "Notes=none"], "--memory Notes: no such directory"],
    ["a memory that is no text", ["--script", "script.yaml", "--memory", "Notes=binary"], "--memory Notes: x is no UTF-8 text"],
    ["a skill that is a file", ["--script", "script.yaml", "--skill", "pdf=script.yaml"], "--skill pdf: is no directory"],
    ["a memory that is too large", ["--script", "script.yaml", "--memory", "Notes=large"], "content: must have at most 102400 bytes"],
    ["fixtures without a session", ["--memory", "Notes=notes"], "--memory and --skill belong to the session of a --script"],
  ])("%s is a usage error", async (_, args, message) => {
    await writeFile(join(directory, "script.yaml"), "turns: []\n");
    for (const [name, content] of [
      ["binary", Buffer.from([0xff, 0xfe])],
      ["large", Buffer.alloc(102_401, "x")],
    ] as const) {
      await mkdir(join(directory, name));
      await writeFile(join(directory, name, "x"), content);
    }
    await using control = glovebox(["simulator", ...args]);
    expect(await control.end("")).toBe(2);
    expect(control.stderr).toContain(message);
  });
});
