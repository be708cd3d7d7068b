import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type RequirementName, requirements } from "./requirements.ts";
import { type Suite, suites } from "./suites.ts";

const usage = `Usage: pnpm test [--setup] [SUITE…]

Runs the suites, or those named: ${suites.map(({ name }) => name).join(", ")}.

  --setup   install and start what is missing (Debian, as root); CI=true does so too
  --help    this text

Exit code: 0 when every suite that ran passed; 1 otherwise, and under CI also when one could not run.
`;

interface Outcome {
  readonly suite: Suite;
  readonly result: "passed" | "failed" | "not run";
  readonly seconds: number;
  readonly passed: number;
  readonly failed: number;
  readonly why?: string;
}

const isCi = process.env["CI"] === "true" || process.env["CI"] === "1";

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({ options: { setup: { type: "boolean" }, help: { type: "boolean" } }, allowPositionals: true });
  if (values.help === true) {
    process.stdout.write(usage);
    return 0;
  }
  const unknown = positionals.filter((name) => !suites.some((suite) => suite.name === name));
  if (unknown.length > 0) {
    process.stderr.write(`no such suite: ${unknown.join(", ")}\n\n${usage}`);
    return 2;
  }
  const chosen = suites.filter(({ name }) => positionals.length === 0 || positionals.includes(name));
  await using cleanup = new AsyncDisposableStack();
  const lacking = await meet(new Set(chosen.flatMap(({ needs }) => needs)), isCi || values.setup === true, cleanup);

  const outcomes: Outcome[] = [];
  for (const suite of chosen) {
    const why = suite.needs.flatMap((need) => lacking.get(need) ?? []).join("; ");
    outcomes.push(why === "" ? await runSuite(suite) : { suite, result: "not run", seconds: 0, passed: 0, failed: 0, why });
  }
  return report(outcomes);
}

/** @returns why a requirement is not met, by its name */
async function meet(needs: ReadonlySet<RequirementName>, mayInstall: boolean, cleanup: AsyncDisposableStack): Promise<Map<RequirementName, string>> {
  const lacking = new Map<RequirementName, string>();
  for (const need of needs) {
    const requirement = requirements[need];
    let missing = await requirement.missing();
    if (missing === undefined) continue;
    if (mayInstall) {
      process.stdout.write(`\n=== setting up: ${need} (${missing})\n`);
      try {
        cleanup.defer(await requirement.setUp());
        missing = await requirement.missing();
      } catch (error) {
        missing = `${missing}; setting it up failed: ${error instanceof Error ? error.message : String(error)}`;
      }
    }
    if (missing !== undefined) lacking.set(need, `${missing}. To do: ${requirement.advice}${mayInstall ? "" : ", or run the tests with --setup"}`);
  }
  return lacking;
}

async function runSuite(suite: Suite): Promise<Outcome> {
  process.stdout.write(`\n=== ${suite.name} (budget ${suite.budgetSeconds} s)\n`);
  const directory = await mkdtemp(join(tmpdir(), "glovebox-suite-"));
  const started = performance.now();
  let [passed, failed, why] = [0, 0, ""];
  try {
    for (const [index, command] of suite.commands.entries()) {
      const countsFile = join(directory, `${index}.json`);
      const isVitest = command[0] === "vitest";
      const left = suite.budgetSeconds * 1000 - (performance.now() - started);
      why = await runCommand(isVitest ? [...command, `--outputFile.json=${countsFile}`] : command, suite.env, left);
      const counts = isVitest ? await readCounts(countsFile) : undefined;
      passed += counts?.passed ?? (why === "" ? 1 : 0);
      failed += Math.max(counts?.failed ?? 0, why === "" ? 0 : 1);
      if (isVitest && why === "" && (counts === undefined || counts.passed === 0)) [failed, why] = [failed + 1, "no test ran"];
      if (counts !== undefined && counts.skipped > 0) [failed, why] = [failed + 1, `${counts.skipped} tests were skipped`];
      if (why !== "") break;
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  const seconds = (performance.now() - started) / 1000;
  return { suite, result: why === "" ? "passed" : "failed", seconds, passed, failed, ...(why === "" ? {} : { why }) };
}

/** @returns what went wrong, or nothing */
function runCommand(command: readonly string[], env: Suite["env"], budgetMs: number): Promise<string> {
  const [program = "", ...arguments_] = command;
  return new Promise((resolve) => {
    const child = spawn(program, arguments_, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, ...env }, detached: true });
    const kill = (): void => {
      if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL");
    };
    const timer = setTimeout(() => {
      kill();
      resolve("ran out of its budget");
    }, budgetMs);
    process.once("exit", kill);
    const settle = (outcome: string): void => {
      clearTimeout(timer);
      process.removeListener("exit", kill);
      resolve(outcome);
    };
    child.on("error", (error) => settle(error.message));
    child.on("exit", (code, signal) => settle(code === 0 ? "" : `${program} ended with ${code ?? signal}`));
  });
}

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

async function readCounts(path: string): Promise<Counts | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const counts = JSON.parse(text) as {
    numPassedTests: number;
    numFailedTests: number;
    numFailedTestSuites: number;
    numPendingTests: number;
    numTodoTests: number;
  };
  return { passed: counts.numPassedTests, failed: counts.numFailedTests, skipped: counts.numPendingTests + counts.numTodoTests };
}

function report(outcomes: readonly Outcome[]): number {
  process.stdout.write("\n");
  for (const { suite, result, seconds, why } of outcomes) {
    process.stdout.write(
      `${suite.name.padEnd(10)} ${result.padEnd(8)} ${seconds.toFixed(1).padStart(6)} s of ${suite.budgetSeconds} s${why === undefined ? "" : `   ${why}`}\n`,
    );
  }
  const notRun = outcomes.filter(({ result }) => result === "not run").length;
  const passed = outcomes.reduce((sum, outcome) => sum + outcome.passed, 0);
  const failed = outcomes.reduce((sum, outcome) => sum + outcome.failed, 0) + (isCi ? notRun : 0);
  if (notRun > 0) process.stdout.write(`\n${notRun} of ${outcomes.length} suites did not run${isCi ? ", which is a failure in CI" : ""}.\n`);
  process.stdout.write(`\n${passed} passed, ${failed} failed\n`);
  return failed === 0 ? 0 : 1;
}

for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
process.exitCode = await main();
