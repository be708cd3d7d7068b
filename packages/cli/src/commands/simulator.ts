import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import type { Script, SessionHandle, SessionReport, Simulator } from "@glovebox/simulator";
import { type Command, type CommandContext, defineCommand } from "../command.ts";
import { formatDuration } from "../duration.ts";
import { exitCodes, UsageError } from "../failure.ts";
import { withFixtures } from "../fixtures.ts";
import { plural } from "../plural.ts";
import { safeJson, sanitiseLine, sanitiseText } from "../sanitise.ts";
import { SimulatorView } from "../simulator-view.ts";

/** As long as a worker may idle before it lets go and writes memories back. */
const lastSyncLimitMs = 120_000;

export const simulator: Command = defineCommand({
  name: "simulator",
  summary: "Run a control plane on this machine to try a worker against",
  usage: ["[FLAGS]", "[FLAGS] --script FILE"],
  details: [
    "Prints the variables that a worker needs, then serves until it is stopped. It speaks the protocol of self-hosted environments; no model is behind it. " +
      "What happens is told on stderr: requests by endpoint, sessions with their state, calls with their outcome.",
    "With --script a session is queued that makes the tool calls of a YAML file and checks their results. When it is over, the failures are printed, and " +
      "the exit code is 0 when every expectation held, else 1. A script can bring memory stores and skills; --memory and --skill add the files of a directory. " +
      "With memory stores it waits until the worker let go of the session, and says what is in them then.",
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
    memory: { kind: "pairs", value: "NAME=DIR", text: "Attach a memory store with the files of DIR, mounted by NAME" },
    skill: { kind: "pairs", value: "NAME=DIR", text: "Give the agent a skill with the files of DIR" },
    port: { kind: "count", text: "Port on 127.0.0.1", fallback: "any free one" },
    quiet: { kind: "switch", short: "q", text: "Tell nothing on stderr" },
    json: { kind: "switch", text: "Print JSON: one object with the variables and, with --script, one with the report. Tells nothing on stderr" },
  },
  positionals: { min: 0, max: 0, name: "" },
  run: async ({ flags }, context) => {
    if (flags.port !== undefined && flags.port > 65_535) throw new UsageError("--port: give 1 to 65535");
    const fixtures = { memory: flags.memory, skill: flags.skill, cwd: context.cwd };
    if (flags.script === undefined && Object.keys({ ...flags.memory, ...flags.skill }).length > 0) {
      throw new UsageError("--memory and --skill belong to the session of a --script");
    }
    const script =
      flags.script === undefined ? undefined : await withFixtures(await readScript(resolve(context.cwd, flags.script), flags.script), fixtures);
    const { startSimulator } = await import("@glovebox/simulator");
    const view = flags.json || flags.quiet ? undefined : new SimulatorView(context.stderr, context.env);
    await using running = await startSimulator({
      ...(flags.port === undefined ? {} : { port: flags.port }),
      observer: (observation) => view?.observe(observation),
    });
    const variables = {
      ANTHROPIC_BASE_URL: running.url,
      ANTHROPIC_ENVIRONMENT_ID: running.environmentId,
      ANTHROPIC_ENVIRONMENT_KEY: running.environmentKey,
    };
    const exports = Object.entries(variables).map(([name, value]) => `export ${name}=${value}\n`);
    context.stdout.write(flags.json ? `${JSON.stringify(variables)}\n` : exports.join(""));
    if (!flags.quiet) context.stderr.write("In another terminal: set these variables, then `glovebox worker`. Ctrl-C ends the simulator.\n");
    if (view !== undefined && script === undefined) {
      context.stderr.write(
        `For an application that creates sessions, never for a worker: ANTHROPIC_API_KEY=${running.apiKey} with agent ${running.agentId}\n`,
      );
    }
    const session = script === undefined ? undefined : await createSession(running, script);
    if (session === undefined) {
      await interrupted(context.signal);
      view?.end();
      return exitCodes.done;
    }
    const report = await Promise.race([session.finished, interrupted(context.signal)]);
    if (report !== undefined && session.memoryStores.length > 0) await lastSync(running, session, context);
    view?.end();
    if (report === undefined) return exitCodes.failed;
    const memoryStores = session.memoryStores.map(({ name, memories }) => ({ name, memories }));
    context.stdout.write(flags.json ? `${safeJson({ ...report, memoryStores })}\n` : summary(report, session));
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

/** @throws {UsageError} a memory store or skill that the API would refuse */
async function createSession(running: Simulator, script: Script): Promise<SessionHandle> {
  const { ApiFailure } = await import("@glovebox/simulator");
  try {
    return running.createSession({ script });
  } catch (error) {
    if (error instanceof ApiFailure) throw new UsageError(`the script's memory stores and skills: ${error.message}`, { cause: error });
    throw error;
  }
}

/** Until the worker let go of the session, which writes memories back first. */
async function lastSync(running: Simulator, { work }: SessionHandle, { signal }: CommandContext): Promise<void> {
  const { id } = work.at(-1) ?? {};
  const end = AbortSignal.any([signal, AbortSignal.timeout(lastSyncLimitMs)]);
  await running
    .waitForRequest(({ endpoint, workId, status }) => endpoint === "work.stop" && workId === id && status === 200, end)
    .catch(() => undefined); // a worker that does not let go has written what it has written
}

function interrupted(signal: AbortSignal): Promise<void> {
  const { promise, resolve: stop } = Promise.withResolvers<void>();
  if (signal.aborted) stop();
  else signal.addEventListener("abort", () => stop(), { once: true });
  return promise;
}

function summary({ calls, failures, durationMs, status }: SessionReport, { memoryStores }: SessionHandle): string {
  const lines = calls.map((call) => {
    const took = call.settledAtMs === null ? "open" : formatDuration(call.settledAtMs - call.emittedAtMs);
    return sanitiseLine(`${call.name}: ${call.outcome}${call.result?.isError === true ? " (error)" : ""}, ${took}`);
  });
  const stores = memoryStores.map(({ name, memories }) => sanitiseLine(`memory ${name}: ${Object.keys(memories).join(" ") || "empty"}`));
  const failed = failures.map(({ message }) => sanitiseText(message));
  const counts = `${plural(calls.length, "call")}, ${plural(failures.length, "failure")}, ${formatDuration(durationMs)}`;
  return `${[...lines, ...stores, ...failed, `${status}: ${counts}`].join("\n")}\n`;
}
