import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseScript } from "@glovebox/simulator";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commands } from "../src/commands/index.ts";
import { workerConfigSchema } from "../src/config.ts";
import { loadConfigFile } from "../src/config-file.ts";
import { parseDuration } from "../src/duration.ts";
import { UsageError } from "../src/failure.ts";
import { parseFlags } from "../src/flags.ts";
import { commandHelp } from "../src/help.ts";
import { runHere } from "./context.ts";

const table = {
  verbose: { kind: "switch", short: "v", text: "Say more" },
  name: { kind: "text", short: "n", env: "THE_NAME", text: "A name" },
  mode: { kind: "choice", choices: ["fast", "slow"], text: "How" },
  wait: { kind: "duration", text: "How long" },
  count: { kind: "count", text: "How many" },
  env: { kind: "pairs", short: "e", text: "Variables" },
  "on-work": { kind: "refused", text: "use --name" },
} as const;

const parse = (...args: string[]) => parseFlags(table, args, {});

describe("flags", () => {
  test("every kind, in both spellings, with positionals and what follows --", () => {
    const parsed = parse(
      "-v",
      "one",
      "--name=a=b",
      "--mode",
      "slow",
      "--wait",
      "1m30s",
      "--count=7",
      "-e",
      "A=1",
      "--env",
      "B=x=y",
      "two",
      "--",
      "--name",
      "-v",
    );
    expect(parsed.values).toEqual({ verbose: true, name: "a=b", mode: "slow", wait: 90_000, count: 7, env: { A: "1", B: "x=y" } });
    expect(parsed.positionals).toEqual(["one", "two"]);
    expect(parsed.rest).toEqual(["--name", "-v"]);
    expect([...parsed.given]).toEqual(["verbose", "name", "mode", "wait", "count", "env"]);
  });

  test("a variable stands in for an absent flag, and an empty one does not", () => {
    expect(parseFlags(table, [], { THE_NAME: "x" }).values["name"]).toBe("x");
    expect(parseFlags(table, [], { THE_NAME: "x" }).given.has("name")).toBe(false);
    expect(parseFlags(table, ["--name", "y"], { THE_NAME: "x" }).values["name"]).toBe("y");
    expect(parseFlags(table, [], { THE_NAME: "" }).values["name"]).toBeUndefined();
  });

  test.each([
    [["--nmae", "x"], "unknown flag --nmae; did you mean --name?"],
    [["-x"], "unknown flag -x"],
    [["--__proto__"], "unknown flag --__proto__"],
    [["--on-work", "x"], "--on-work does not exist here: use --name"],
    [["--verbose=yes"], "--verbose takes no value"],
    [["--name"], "--name needs a value: --name TEXT"],
    [["--name", "--"], "--name needs a value: --name TEXT"],
    [["--name="], "--name is empty; give TEXT"],
    [["--name", "a", "-n", "b"], "-n is given twice"],
    [["--mode", "fats"], '--mode: "fats" is none of fast, slow; did you mean fast?'],
    [["--wait", "60"], '--wait: "60" is no duration; write 500ms, 60s, 10m or 2h'],
    [["--count", "0"], '--count: "0" is no positive whole number'],
    [["--env", "=x"], '--env: "=x" is not KEY=VALUE'],
  ])("%j is refused", (args, message) => {
    expect(() => parse(...args)).toThrow(new UsageError(message));
  });

  test("any arguments parse or are a usage error, and nothing else happens", () => {
    const words = fc.oneof(fc.string(), fc.constantFrom("--", "-", "-v", "--name", "--env", "--wait=1s", "--toString", "--constructor=x"));
    fc.assert(
      fc.property(fc.array(words), (args) => {
        try {
          parse(...args);
        } catch (error) {
          expect(error).toBeInstanceOf(UsageError);
        }
      }),
    );
  });
});

describe("durations", () => {
  test.each([
    ["500ms", 500],
    ["60s", 60_000],
    ["1.5s", 1500],
    ["1h30m", 5_400_000],
    ["0", 0],
    ["60", undefined],
    ["-1s", undefined],
    ["1s ", undefined],
    ["1d", undefined],
    ["", undefined],
    ["600h", undefined],
  ])("%j is %j", (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });
});

describe("help", () => {
  test.each(commands.map((command) => [command.name, command] as const))(
    "%s --help lists every flag, variable and choice of its table",
    async (name, command) => {
      const { code, stdout, stderr } = await runHere([name, "--help"]);
      expect([code, stderr]).toEqual([0, ""]);
      expect(stdout).toBe(commandHelp(command));
      const joined = stdout.replaceAll(/\s+/gu, " ");
      for (const [flag, spec] of Object.entries(command.flags)) {
        expect(joined).toContain(`--${flag}`);
        expect(joined).toContain(spec.text);
        if (spec.kind !== "refused" && spec.short !== undefined) expect(joined).toContain(`-${spec.short}, --${flag}`);
        if (spec.kind !== "refused" && spec.env !== undefined) expect(joined).toContain(spec.env);
        if (spec.kind === "choice") expect(joined).toContain(spec.choices.join("|"));
      }
      expect(stdout.split("\n").every((line) => line.length <= 110)).toBe(true);
    },
  );

  test("glovebox, --help and help list every command", async () => {
    for (const args of [[], ["--help"], ["-h"], ["help"]]) {
      const { code, stdout } = await runHere(args);
      expect(code).toBe(0);
      for (const { name, summary } of commands) expect(stdout).toContain(`${name.padEnd(9)}  ${summary}`);
    }
    expect((await runHere(["help", "exec"])).stdout).toBe((await runHere(["exec", "-h"])).stdout);
  });

  test("the files that help shows are taken as they are", async () => {
    const example = (name: string): string => commands.find((command) => command.name === name)?.example?.text ?? "";
    expect(parseScript(example("simulator")).turns).toHaveLength(2);
    const directory = await mkdtemp(join(tmpdir(), "glovebox-help-"));
    await writeFile(join(directory, "glovebox.config.yaml"), example("worker"));
    const config = await loadConfigFile(join(directory, "glovebox.config.yaml"), workerConfigSchema, directory);
    expect(config).toMatchObject({ maxSessions: 50, sandbox: { cpu: { max: 2 } } });
    await rm(directory, { recursive: true });
  });

  test("--help behind -- belongs to the program", async () => {
    const { code, stderr } = await runHere(["ps", "--", "--help"]);
    expect([code, stderr]).toEqual([2, "glovebox ps: nothing may follow --\nglovebox ps --help lists the flags\n"]);
  });
});

describe("what is wrong is told with exit code 2", () => {
  test.each([
    [["wroker"], "glovebox: unknown command wroker; did you mean glovebox worker?\nglovebox --help lists the commands\n"],
    [["--provider"], "glovebox: unknown flag --provider\nglovebox --help lists the commands\n"],
    [["help", "x\u001b[2J"], String.raw`glovebox: unknown command x\x1b[2J` + "\nglovebox --help lists the commands\n"],
    [["exec", "-l"], "glovebox exec: unknown flag -l\nglovebox exec --help lists the flags\n"],
    [
      ["exec", "-n", "ls", "-la", "/"],
      'glovebox exec: unexpected argument "ls"; put -- before the program: glovebox exec -- ls -la /\nglovebox exec --help lists the flags\n',
    ],
    [["exec"], "glovebox exec: no program; write it after --: glovebox exec -- ls -l\nglovebox exec --help lists the flags\n"],
    [
      ["exec", "--sandbox", "a", "--image", "b", "--", "ls"],
      "glovebox exec: --image is for a new sandbox, --sandbox names one that runs; give one of the two\nglovebox exec --help lists the flags\n",
    ],
    [["shell"], "glovebox shell: ID is missing\nglovebox shell --help lists the flags\n"],
    [["rm"], "glovebox rm: name sandboxes by their ids, or give --all\nglovebox rm --help lists the flags\n"],
    [["rm", "--all", "x"], "glovebox rm: give ids or --all, not both\nglovebox rm --help lists the flags\n"],
  ])("%j", async (args, message) => {
    expect(await runHere(args)).toEqual({ code: 2, stdout: "", stderr: message });
  });

  test("a key that strays into the arguments is not shown", async () => {
    const { stderr } = await runHere(["worker", "sk-ant-oat01-abcdef_-1"]);
    expect(stderr).toBe('glovebox worker: unexpected argument "[key]"\nglovebox worker --help lists the flags\n');
    expect((await runHere(["ps", "hunter2hunter2"], { env: { ANTHROPIC_ENVIRONMENT_KEY: "hunter2hunter2" } })).stderr).not.toContain("hunter2");
  });
});
