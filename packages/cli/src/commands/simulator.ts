import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Script, SessionReport } from "@glovebox/simulator";
import { type Command, defineCommand } from "../command.ts";
import { formatDuration } from "../duration.ts";
import { exitCodes, UsageError } from "../failure.ts";
import { plural } from "../plural.ts";
import { safeJson, sanitiseLine, sanitiseText } from "../sanitise.ts";

export const simulator: Command = defineCommand({
  name: "simulator",
  summary: "Run a control plane on this machine to try a worker against",
  usage: ["[FLAGS]", "[FLAGS] --script FILE"],
  details: [
    "Prints the variables that a worker needs, then serves until it is stopped. It speaks the protocol of self-hosted environments; no model is behind it.",
    "With --script a session is queued that makes the tool calls of a YAML file and checks their results. When it is over, the failures are printed, and " +
      "the exit code is 0 when every expectation held, else 1.",
  ],
  example: {
    title: "A script (all fields are in the README of @glovebox/simulator):",
    text: [
      "turns:",
      "  - message: Looking around.",
      "    calls:",
      "      - { name: bash, input: { command: echo hello }, expect: { equals: hello } }",
      "      - { name: read, input: { file_path: none.txt }, expect: { isError: true } }",
      "  - message: Done.",
    ].join("\n"),
  },
  flags: {
    script: { kind: "text", value: "FILE", text: "YAML file with the turns of one session" },
    port: { kind: "count", text: "Port on 127.0.0.1", fallback: "any free one" },
    json: { kind: "switch", text: "Print JSON: one object with the variables and, with --script, one with the report" },
  },
  positionals: { min: 0, max: 0, name: "" },
  run: async ({ flags }, context) => {
    if (flags.port !== undefined && flags.port > 65_535) throw new UsageError("--port: give 1 to 65535");
    const script = flags.script === undefined ? undefined : await readScript(resolve(context.cwd, flags.script), flags.script);
    const { startSimulator } = await import("@glovebox/simulator");
    await using running = await startSimulator(flags.port === undefined ? {} : { port: flags.port });
    const variables = {
      ANTHROPIC_BASE_URL: running.url,
      ANTHROPIC_ENVIRONMENT_ID: running.environmentId,
      ANTHROPIC_ENVIRONMENT_KEY: running.environmentKey,
    };
    const session = script === undefined ? undefined : running.createSession({ script });
    const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${value}\n`);
    context.stdout.write(flags.json ? `${JSON.stringify(variables)}\n` : exports.join(""));
    context.stderr.write(`In another terminal: set these variables, then \`glovebox worker\`. Ctrl-C ends the simulator.\n`);
    if (session === undefined) {
      await interrupted(context.signal);
      return exitCodes.done;
    }
    const report = await Promise.race([session.finished, interrupted(context.signal)]);
    if (report === undefined) return exitCodes.failed;
    context.stdout.write(flags.json ? `${safeJson(report)}\n` : summary(report));
    return report.passed && report.status !== "abandoned" ? exitCodes.done : exitCodes.failed;
  },
});

/**
 * Read and check a script.
 * @param name as the user gave it
 * @throws {UsageError} no such file, or what is wrong in it
 */
export async function readScript(path: string, name: string): Promise<Script> {
  const text = await readFile(path, "utf8").catch((cause: NodeJS.ErrnoException) => {
    throw new UsageError(`--script ${name}: ${cause.code === "ENOENT" ? "no such file" : cause.message}`, { cause });
  });
  const { parseScript, ScriptError } = await import("@glovebox/simulator");
  try {
    return parseScript(text, { file: name });
  } catch (error) {
    if (error instanceof ScriptError) throw new UsageError(error.message, { cause: error });
    throw error;
  }
}

function interrupted(signal: AbortSignal): Promise<void> {
  const { promise, resolve: stop } = Promise.withResolvers<void>();
  if (signal.aborted) stop();
  else signal.addEventListener("abort", () => stop(), { once: true });
  return promise;
}

function summary({ calls, failures, durationMs, status }: SessionReport): string {
  const lines = calls.map((call) => {
    const took = call.settledAtMs === null ? "open" : formatDuration(call.settledAtMs - call.emittedAtMs);
    return sanitiseLine(`${call.name}: ${call.outcome}${call.result?.isError === true ? " (error)" : ""}, ${took}`);
  });
  const failed = failures.map(({ message }) => sanitiseText(message));
  return `${[...lines, ...failed, `${status}: ${plural(calls.length, "call")}, ${plural(failures.length, "failure")}, ${formatDuration(durationMs)}`].join("\n")}\n`;
}
