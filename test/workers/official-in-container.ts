import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Environment } from "./start.ts";

const run = promisify(execFile);
const image = "glovebox/sandbox:latest";
const root = fileURLToPath(new URL("../..", import.meta.url));

/** The official worker in a container of the image, user, directory, umask and environment that a sandbox of `@glovebox/docker` has. */
export interface ContainedWorker extends AsyncDisposable {
  /** What it wrote so far. */
  output(): Promise<string>;
}

/**
 * Start it, with this Node and this checkout mounted read-only. It shares this machine's network, because the control plane listens on its loopback, and
 * nothing else: feed it harmless commands all the same.
 */
export async function startContainedOfficialWorker({ url, environmentId, environmentKey }: Environment): Promise<ContainedWorker> {
  const name = `glovebox-official-${randomBytes(6).toString("hex")}`;
  const environment = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    HOME: "/home/agent",
    USER: "agent",
    LANG: "C.UTF-8",
    ANTHROPIC_ENVIRONMENT_ID: environmentId,
    ANTHROPIC_ENVIRONMENT_KEY: environmentKey,
    ANTHROPIC_BASE_URL: url,
  };
  const variables = Object.entries(environment).map(([variable, value]) => `${variable}=${value}`);
  await run("docker", [
    ...["run", "-d", "--name", name, "--hostname", "sandbox", "--network", "host", "--user", "1000:1000", "--workdir", "/workspace"],
    ...["--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "512", "--memory", "1g", "--ulimit", "core=0:0"],
    ...["-v", `${process.execPath}:/usr/local/lib/node:ro`, "-v", `${root}:/checkout:ro`],
    // the engine adds variables of its own, so the worker gets its environment from `env -i`
    ...[image, "/usr/bin/env", "-i", ...variables, "/usr/local/lib/node", "/checkout/test/workers/official.ts", "/workspace"],
  ]);
  const output = async (): Promise<string> => {
    const { stdout, stderr } = await run("docker", ["logs", name]);
    return stdout + stderr;
  };
  return {
    output,
    [Symbol.asyncDispose]: async () => {
      await run("docker", ["rm", "-f", name]);
    },
  };
}
