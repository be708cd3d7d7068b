import { Anthropic } from "@anthropic-ai/sdk";
import { EnvironmentWorker } from "@anthropic-ai/sdk/lib/environments/worker";

/**
 * The official worker, unmodified, as a process of its own. Its tools run on this machine with this process's rights: feed it harmless commands only.
 * Environment: ANTHROPIC_ENVIRONMENT_ID, ANTHROPIC_ENVIRONMENT_KEY, ANTHROPIC_BASE_URL. Argument: the working directory.
 */
const [workdir] = process.argv.slice(2);
const environmentId = process.env["ANTHROPIC_ENVIRONMENT_ID"];
const environmentKey = process.env["ANTHROPIC_ENVIRONMENT_KEY"];
if (workdir === undefined || environmentId === undefined || environmentKey === undefined)
  throw new Error("usage: official.ts WORKDIR, with the ANTHROPIC_ variables set");

const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());
const client = new Anthropic({ apiKey: "unused", logLevel: "off" });
await new EnvironmentWorker({ client, environmentId, environmentKey, workdir, maxIdleMs: 500, signal: stop.signal }).run().catch((error: unknown) => {
  if (!stop.signal.aborted) throw error;
});
