import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WorkerConfig } from "@glovebox/cli";
import type { WorkerEvent } from "@glovebox/executor";
import { ownerKey } from "./sandboxes.ts";

/** A worker in a process of its own, serving the environment of a simulator. */
export interface WorkerProcess extends AsyncDisposable {
  readonly pid: number;
  /** What it wrote so far, both streams. */
  readonly output: () => string;
  /** What it logged of one type so far. */
  readonly logged: (type: WorkerEvent["type"]) => readonly Readonly<Record<string, unknown>>[];
  /** Resolves when the process has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  kill(signal: NodeJS.Signals): void;
}

export interface Environment {
  readonly url: string;
  readonly environmentId: string;
  readonly environmentKey: string;
}

const nodeArguments = ["--conditions=@glovebox/source"];

function start(
  arguments_: readonly string[],
  environment: Environment,
  extra: Readonly<Record<string, string>>,
  cleanUp: () => Promise<void>,
): WorkerProcess {
  const child: ChildProcess = spawn(process.execPath, [...nodeArguments, ...arguments_], {
    stdio: ["ignore", "pipe", "pipe"],
    env: {
      PATH: process.env["PATH"],
      HOME: process.env["HOME"],
      ANTHROPIC_ENVIRONMENT_ID: environment.environmentId,
      ANTHROPIC_ENVIRONMENT_KEY: environment.environmentKey,
      ANTHROPIC_BASE_URL: environment.url,
      GLOVEBOX_OWNER_KEY: Buffer.from(ownerKey).toString("hex"),
      ...extra,
    },
  });
  const chunks: Buffer[] = [];
  for (const stream of [child.stdout, child.stderr]) stream?.on("data", (chunk: Buffer) => chunks.push(chunk));
  const ended = once(child, "exit").then(([code, signal]) => ({ code: code as number | null, signal: signal as NodeJS.Signals | null }));
  const output = (): string => Buffer.concat(chunks).toString();
  return {
    pid: child.pid ?? -1,
    output,
    logged: (type) => parseLog(output()).filter((entry) => entry["type"] === type),
    ended,
    kill: (signal) => void child.kill(signal),
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        child.kill("SIGTERM");
        const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
        await ended;
        clearTimeout(timer);
      }
      await cleanUp();
    },
  };
}

/** The whole lines of a log in JSON. */
function parseLog(text: string): readonly Readonly<Record<string, unknown>>[] {
  const lines = text.split("\n").slice(0, -1);
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line) as Record<string, unknown>);
}

export interface WorkerStart {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** What a `glovebox.config.yaml` says. */
  readonly config?: Omit<WorkerConfig, "provider" | "tools" | "observer">;
}

/**
 * `glovebox worker`.
 * @param provider by name, or the path of a configuration that has one of its own
 */
export function startWorker(
  environment: Environment,
  provider: "docker" | "virtual" | `${string}/glovebox.config.ts`,
  { flags = [], env = {}, config = {} }: WorkerStart = {},
): WorkerProcess {
  const directory = mkdtempSync(join(tmpdir(), "glovebox-worker-"));
  const configPath = join(directory, "glovebox.config.yaml");
  writeFileSync(configPath, JSON.stringify(config)); // JSON is YAML
  const chosen = provider.endsWith(".ts") ? ["--config", provider] : ["--provider", provider, "--config", configPath];
  return start(["packages/cli/src/main.ts", "worker", ...chosen, ...flags], environment, env, () => rm(directory, { recursive: true }));
}

/** The SDK's `EnvironmentWorker`, its tools in process on this machine, in a directory of its own. */
export async function startOfficialWorker(environment: Environment): Promise<WorkerProcess> {
  const workdir = await mkdtemp(join(tmpdir(), "glovebox-official-"));
  return start(["test/workers/official.ts", workdir], environment, {}, () => rm(workdir, { recursive: true, force: true }));
}
