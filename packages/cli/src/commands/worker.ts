import { resolve } from "node:path";
import type { SandboxProvider } from "@glovebox/core";
import type { WorkerOptions } from "@glovebox/executor";
import { ownerKey } from "@glovebox/node";
import { type Command, type CommandContext, defineCommand } from "../command.ts";
import { type WorkerConfig, workerConfigSchema } from "../config.ts";
import { findConfigFile, loadConfigFile } from "../config-file.ts";
import { exitCodes, workerExitCodeTexts, UsageError } from "../failure.ts";
import type { FlagTable, FlagValues } from "../flags.ts";
import { logEvent, openLog } from "../log.ts";
import { machineOwnerKey, openProvider, providerFlag } from "../providers.ts";

const flags = {
  "environment-id": { kind: "text", value: "ID", env: "ANTHROPIC_ENVIRONMENT_ID", text: "The environment to serve" },
  "environment-key": {
    kind: "text",
    value: "KEY",
    env: "ANTHROPIC_ENVIRONMENT_KEY",
    text: "Its key. On the command line every user of the machine can read it: use the variable",
  },
  "base-url": { kind: "text", value: "URL", env: "ANTHROPIC_BASE_URL", fallback: "https://api.anthropic.com", text: "The control plane" },
  "allow-base-url": {
    kind: "text",
    value: "URL[,URL]",
    fallback: "nowhere else",
    text: "Where else a work item's secret may send its requests (`allowedBaseUrls`)",
  },
  config: { kind: "text", value: "FILE", fallback: "glovebox.config.ts, .js, .yaml or .yml in this directory, if there", text: "Configuration" },
  provider: providerFlag,
  image: { kind: "text", value: "IMAGE", text: "Image of every sandbox", fallback: "the provider's own" },
  workdir: { kind: "text", value: "PATH", text: "Absolute work directory inside every sandbox", fallback: "/workspace" },
  drain: { kind: "switch", text: "End when the queue is empty and everything that was claimed is done" },
  "max-sessions": { kind: "count", text: "Sessions served at once", fallback: "100" },
  "max-idle": { kind: "duration", text: "Let a session go when its turn is over and nothing came for this long; 0: never", fallback: "60s" },
  "worker-id": { kind: "text", value: "ID", text: "Name of this worker in the queue's statistics", fallback: "random" },
  "log-format": { kind: "choice", choices: ["text", "json"], text: "Format of the log on stdout", fallback: "text on a terminal, else json" },
  "allow-api-key": { kind: "switch", text: "Start although ANTHROPIC_API_KEY is set" },
  "on-work": {
    kind: "refused",
    text: "every session gets a sandbox of its own here without a script; choose it with --provider and --image, or `sandbox` in the configuration",
  },
  "unrestricted-paths": {
    kind: "refused",
    text: "file tools stay in the work directory, whose place is --workdir; commands of `bash` reach the whole sandbox anyway",
  },
} as const satisfies FlagTable;

export const worker: Command = defineCommand({
  name: "worker",
  summary: "Serve a self-hosted environment of Claude Managed Agents",
  usage: ["[FLAGS]"],
  details: [
    "Claims sessions of one environment and runs their tool calls, each session in a sandbox of its own. The key stays in this process; sandboxes have no " +
      "network. Only outbound HTTPS is needed.",
    "Flags come before variables, variables before the configuration file, which is checked before anything starts. In TypeScript: " +
      '`import { defineConfig } from "@glovebox/cli"` and export the result as default; it may bring custom tools and an observer.',
    "SIGTERM or Ctrl-C stops in order: nothing new is claimed, running calls get 10 s (`drainMs`), sandboxes are kept for the next worker. A second one " +
      "stops at once. A worker on a host that also holds ANTHROPIC_API_KEY is refused: that key can do everything, and nothing here needs it.",
  ],
  example: {
    title: "A glovebox.config.yaml, where all is optional and durations are milliseconds:",
    text: [
      "provider: docker",
      "sandbox: { memoryBytes: { max: 4294967296 }, cpu: { max: 2 } }",
      "timeouts: { byTool: { bash: 3600000 } }",
      "maxSessions: 50",
    ].join("\n"),
  },
  flags,
  positionals: { min: 0, max: 0, name: "" },
  exitCodes: workerExitCodeTexts,
  run: async ({ flags: given, given: spelled }, context) => {
    if ((context.env["ANTHROPIC_API_KEY"] ?? "") !== "" && !given["allow-api-key"]) {
      throw new UsageError(
        "ANTHROPIC_API_KEY is set. A worker does not need it, and it should not be on a worker's host; unset it, or start with --allow-api-key",
      );
    }
    const path = await findConfigFile(context.cwd, given.config);
    const config = path === undefined ? {} : await loadConfigFile(path, workerConfigSchema, context.cwd);
    const format = given["log-format"] ?? (context.stdout.isTTY === true ? "text" : "json");
    const log = openLog(context.stdout, format, context.env);
    if (spelled.has("environment-key")) {
      log("warn", "cli.key_on_command_line", {
        message: "other users of this machine can see --environment-key; set ANTHROPIC_ENVIRONMENT_KEY instead",
      });
    }
    const options = await workerOptions(given, config, context);
    const { Worker } = await import("@glovebox/executor");
    await new Worker({
      ...options,
      observer: (event) => {
        logEvent(log, event);
        config.observer?.(event);
      },
    }).run(context.signal);
    return exitCodes.done;
  },
});

/** Flags and variables first, then the file. What neither names is the executor's default. */
async function workerOptions(given: FlagValues<typeof flags>, config: WorkerConfig, context: CommandContext): Promise<WorkerOptions> {
  const { provider: _provider, sandbox, ownerKeyFile, environmentId: configured, observer: _observer, ...settings } = config;
  const environmentId = given["environment-id"] ?? configured;
  const environmentKey = given["environment-key"];
  if (environmentId === undefined) throw new UsageError("ANTHROPIC_ENVIRONMENT_ID is not set; set it, or give --environment-id");
  if (environmentKey === undefined) throw new UsageError("ANTHROPIC_ENVIRONMENT_KEY is not set; set it to the environment's key (sk-ant-oat01-…)");
  if (given.workdir !== undefined && !given.workdir.startsWith("/")) {
    throw new UsageError("--workdir is a directory inside the sandbox and not on this machine: give an absolute path such as /workspace");
  }
  return {
    ...settings,
    environmentId,
    environmentKey,
    provider: await providerOf(given, config),
    ownerKey: ownerKeyFile === undefined ? await machineOwnerKey() : await ownerKey({ path: resolve(context.cwd, ownerKeyFile) }),
    spec: {
      ...sandbox,
      ...(given.image === undefined ? {} : { image: given.image }),
      ...(given.workdir === undefined ? {} : { workdir: given.workdir }),
    },
    ...(given["base-url"] === undefined ? {} : { baseUrl: given["base-url"] }),
    ...(given["allow-base-url"] === undefined ? {} : { allowedBaseUrls: given["allow-base-url"].split(",") }),
    ...(given.drain ? { drain: true } : {}),
    ...(given["worker-id"] === undefined ? {} : { workerId: given["worker-id"] }),
    ...(given["max-sessions"] === undefined ? {} : { maxSessions: given["max-sessions"] }),
    ...(given["max-idle"] === undefined ? {} : { maxIdleMs: given["max-idle"] }),
  };
}

async function providerOf(given: FlagValues<typeof flags>, config: WorkerConfig): Promise<SandboxProvider> {
  const chosen = given.provider ?? config.provider ?? "docker";
  return typeof chosen === "string" ? await openProvider(chosen) : chosen;
}
