import { resolve } from "node:path";
import type { WorkerEvent } from "@glovebox/executor";
import type { Brain, Script, SessionReport, Turn } from "@glovebox/simulator";
import { type Command, type CommandContext, defineCommand } from "../command.ts";
import { demoScript } from "../demo-script.ts";
import { DemoView } from "../demo-view.ts";
import { formatDuration } from "../duration.ts";
import { CommandError, exitCodes, UsageError } from "../failure.ts";
import { plural } from "../plural.ts";
import { type Choice, chooseProvider, machineOwnerKey, providerFlag } from "../providers.ts";
import { safeJson, sanitiseLine, sanitiseText } from "../sanitise.ts";
import { type Terminal, terminal } from "../terminal.ts";
import { readScript } from "./simulator.ts";

const limitMs = 120_000;

export const demo: Command = defineCommand({
  name: "demo",
  summary: "Serve a scripted session from end to end, on this machine, with nothing to set up",
  usage: ["[FLAGS]"],
  details: [
    "Starts a simulated control plane and a worker, and serves one session: the agent writes a program with a bug and its tests, runs them, edits, runs " +
      "them again, searches and reports. The model's part is a script; files, commands and failures are real. No key and no network is needed.",
    "Runs in Docker when that can run a sandbox here, else embedded in this process, and says which and why. The exit code is 1 when a result was not as " +
      "the script expects it.",
  ],
  flags: {
    provider: { ...providerFlag, fallback: "docker where it works, else virtual" },
    script: { kind: "text", value: "FILE", text: "Play this YAML script instead; see `glovebox simulator --help`" },
    json: { kind: "switch", text: "Print one JSON object at the end and nothing before" },
  },
  positionals: { min: 0, max: 0, name: "" },
  run: async ({ flags }, context) => {
    const script = flags.script === undefined ? demoScript : await readScript(resolve(context.cwd, flags.script), flags.script);
    if (script.memoryStores !== undefined || script.skills !== undefined) {
      throw new UsageError("--script: memory stores and skills are for glovebox simulator; the demo has none");
    }
    const out = terminal(context.stdout, context.env);
    const choice = await chooseProvider(flags.provider, context.signal);
    if (!flags.json) out.line(`Runs on ${out.paint(choice.provider.name, "bold")}: ${sanitiseLine(choice.because)}`);
    const view = flags.json ? undefined : new DemoView(out);
    const report = await serve(script, choice, view, context);
    if (flags.json) {
      const { passed, status, calls, failures, durationMs } = report;
      context.stdout.write(
        `${safeJson({ passed, status, provider: choice.provider.name, because: choice.because, durationMs, calls, failures }, 2)}\n`,
      );
    } else {
      summarise(report, choice, out);
      suggestNext(choice, out, context.env);
    }
    return report.passed && report.status === "completed" ? exitCodes.done : exitCodes.failed;
  },
});

/** Serve one session to its end; whatever happens, simulator, worker and sandbox are gone afterwards. */
async function serve(script: Script, { provider }: Choice, view: DemoView | undefined, context: CommandContext): Promise<SessionReport> {
  const [{ Worker }, { startSimulator }] = await Promise.all([import("@glovebox/executor"), import("@glovebox/simulator")]);
  await using simulator = await startSimulator();
  // a session begins with its first message, so that of the first turn is sent here
  const [{ user: prompt = "Begin.", ...opening } = {}, ...later] = script.turns;
  const turns = [opening, ...later];
  const stop = new AbortController();
  const signal = AbortSignal.any([context.signal, stop.signal]);
  const worker = new Worker({
    environmentId: simulator.environmentId,
    environmentKey: simulator.environmentKey,
    baseUrl: simulator.url,
    provider,
    ownerKey: await machineOwnerKey(),
    afterItem: "destroy",
    atShutdown: "destroy",
    observer: (event: WorkerEvent) => view?.observe(event),
  });
  const session = simulator.createSession({ brain: speaking(turns, view), prompt, title: "glovebox demo" });
  view?.say("user", prompt);
  const running = worker.run(signal);
  try {
    const ended = running.then(() => {
      context.signal.throwIfAborted();
      throw new CommandError("the worker stopped before the session was over");
    });
    const late = AbortSignal.timeout(limitMs);
    return await Promise.race([session.finished, ended, rejection(late, `the session was not over after ${formatDuration(limitMs)}`)]);
  } finally {
    stop.abort();
    await running.catch(() => undefined); // told above, where it came first
  }
}

/** Plays the turns as they are, and tells what is said on the way. */
function speaking(turns: readonly Turn[], view: DemoView | undefined): Brain {
  return async function* speak() {
    for (const turn of turns) {
      if (turn.user !== undefined) view?.say("user", turn.user);
      if (turn.message !== undefined) view?.say("agent", turn.message);
      yield turn;
    }
  };
}

function rejection(signal: AbortSignal, message: string): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  signal.addEventListener("abort", () => reject(new CommandError(message)), { once: true });
  return promise;
}

function summarise({ passed, calls, failures, durationMs, status }: SessionReport, { provider }: Choice, { line, paint }: Terminal): void {
  line();
  for (const { message } of failures) line(paint(sanitiseText(message), "red"));
  if (failures.length > 0) line();
  const verdict =
    passed && status === "completed" ? paint("Everything went as scripted", "green") : paint(`It did not go as scripted (${status})`, "red");
  line(`${verdict}: ${plural(calls.length, "call")} in ${formatDuration(durationMs)} on ${provider.name}; the sandbox is gone.`);
}

function suggestNext({ provider }: Choice, { line }: Terminal, env: NodeJS.ProcessEnv): void {
  // in a clone of the repository the command is a script of its package
  const glovebox = env["npm_package_name"] === "glovebox" ? "npx -y pnpm@12 glovebox" : "glovebox";
  const isVirtual = provider.name === "virtual";
  const suggestions = [
    ...(isVirtual ? [["doctor", "what is missing for real containers"] as const] : []),
    [`exec ${isVirtual ? "--provider virtual " : ""}-- bash -c 'pwd; ls -la'`, "one program in a sandbox of its own"],
    ["simulator --script FILE", "your own session, for your own worker"],
    ["worker --help", "serve a real environment"],
  ] as const;
  const width = Math.max(...suggestions.map(([command]) => command.length));
  line();
  line("Next:");
  for (const [command, what] of suggestions) line(`  ${glovebox} ${command.padEnd(width)}  ${what}`);
}
