import { access, statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { type Probe, Sandbox, SandboxError, type SandboxProvider } from "@glovebox/core";
import { formatDuration } from "./duration.ts";
import { machineOwnerKey, openProvider, probeEngine, type ProviderName } from "./providers.ts";

/** What one check found. */
export interface Finding {
  readonly check: string;
  readonly status: "ok" | "warn" | "fail";
  readonly found: string;
  /** What to do; present exactly when the status is not `ok`. */
  readonly advice?: string;
}

const GIB = 1024 ** 3;
const trialTimeoutMs = 60_000;
const neededNode = 24;

/** Run every check, each as soon as the one before has told. Never throws but for the signal. */
export async function* diagnose(env: NodeJS.ProcessEnv, signal: AbortSignal): AsyncGenerator<Finding, void, undefined> {
  yield checkNode(process.versions.node);
  yield await checkOwnerKey();
  const { finding, engine } = await checkEngine(signal);
  yield finding;
  if (engine !== undefined) yield* checkSandbox("docker", engine.docker, signal);
  yield* checkSandbox("virtual", await openProvider("virtual"), signal);
  yield* checkDisk(engine?.probe["local"] === true ? ["/var/lib/docker", tmpdir()] : [tmpdir()]);
  yield* checkVariables(env);
}

/** @param version such as `24.1.0` */
export function checkNode(version: string): Finding {
  const check = "node";
  if (Number(version.split(".")[0]) >= neededNode) return { check, status: "ok", found: `Node ${version}` };
  const advice = `install Node ${neededNode} or newer, or run Glovebox from its repository with \`npx -y pnpm@12 glovebox\`, which brings its own`;
  return { check, status: "fail", found: `Node ${version}`, advice };
}

async function checkOwnerKey(): Promise<Finding> {
  const check = "owner key";
  try {
    await machineOwnerKey();
    return { check, status: "ok", found: "readable by this user alone" };
  } catch (error) {
    return {
      check,
      status: "fail",
      found: messageOf(error),
      advice: "without it no command can reach the sandboxes of another; or set GLOVEBOX_OWNER_KEY",
    };
  }
}

/** An engine that answers. */
interface FoundEngine {
  readonly docker: SandboxProvider;
  readonly probe: Probe;
}

async function checkEngine(signal: AbortSignal): Promise<{ readonly finding: Finding; readonly engine?: FoundEngine }> {
  const check = "engine";
  try {
    const docker = await openProvider("docker");
    const probe = await probeEngine(docker, signal);
    const found = `Docker ${probe["version"]}, ${probe["cpus"]} cores, ${formatGib(Number(probe["memoryBytes"]))}${probe["local"] === true ? "" : ", remote"}`;
    return { finding: { check, status: "ok", found }, engine: { docker, probe } };
  } catch (error) {
    signal.throwIfAborted();
    const advice = "without an engine only `--provider virtual` works";
    return { finding: { check, status: "fail", found: messageOf(error), advice } };
  }
}

/** A sandbox is made, used and destroyed: image, guest and seccomp are seen to work and not only to be there. */
async function* checkSandbox(name: ProviderName, provider: SandboxProvider, signal: AbortSignal): AsyncGenerator<Finding, void, undefined> {
  const started = performance.now();
  try {
    await using sandbox = await Sandbox.create(provider, {}, { signal, timeoutMs: trialTimeoutMs });
    const made = formatDuration(performance.now() - started);
    const { stdoutText } = await sandbox.exec("cat /proc/self/status", { signal });
    yield { check: name, status: "ok", found: `made a sandbox in ${made} and ran a program in it` };
    if (name === "docker") yield seccompFinding(stdoutText);
  } catch (error) {
    signal.throwIfAborted();
    const noImage = SandboxError.is(error) && error.code === "not_found";
    const advice = noImage
      ? "or give `glovebox worker` another with --image, or as `sandbox.image` of its configuration"
      : name === "docker"
        ? "the engine answers but no sandbox can run; look at the engine's log"
        : "this is a bug of Glovebox, please report it";
    yield { check: name, status: "fail", found: messageOf(error), advice };
  }
}

/** @param status `/proc/self/status` of a program inside; see proc(5) */
export function seccompFinding(status: string): Finding {
  const check = "seccomp";
  const filtered = /^Seccomp:\s*2$/mu.test(status);
  const noNewPrivileges = /^NoNewPrivs:\s*1$/mu.test(status);
  if (filtered && noNewPrivileges) return { check, status: "ok", found: "system calls are filtered, privileges cannot grow" };
  const missing = [filtered ? [] : ["system calls are not filtered"], noNewPrivileges ? [] : ["privileges can grow (no_new_privs is off)"]].flat();
  return {
    check,
    status: "fail",
    found: missing.join(", "),
    advice: "run a kernel and an engine with seccomp; do not serve untrusted sessions here",
  };
}

async function* checkDisk(paths: readonly string[]): AsyncGenerator<Finding, void, undefined> {
  for (const path of paths) {
    const there = await access(path).then(
      () => true,
      () => false,
    );
    if (!there) continue;
    const { bavail, bsize } = await statfs(path);
    yield diskFinding(path, bavail * bsize);
  }
}

export function diskFinding(path: string, freeBytes: number): Finding {
  const found = `${formatGib(freeBytes)} free at ${path}`;
  if (freeBytes >= 5 * GIB) return { check: "disk", status: "ok", found };
  const advice = "free some space: a sandbox may write up to its disk limit, 10 GiB unless the configuration says otherwise";
  return { check: "disk", status: freeBytes < GIB / 2 ? "fail" : "warn", found, advice };
}

/** Only whether they are set: values are never shown. */
export function* checkVariables(env: NodeJS.ProcessEnv): Generator<Finding, void, undefined> {
  for (const name of ["ANTHROPIC_ENVIRONMENT_ID", "ANTHROPIC_ENVIRONMENT_KEY"]) {
    if ((env[name] ?? "") !== "") yield { check: "environment", status: "ok", found: `${name} is set` };
    else yield { check: "environment", status: "warn", found: `${name} is not set`, advice: "`glovebox worker` needs it; the demo does not" };
  }
  if ((env["ANTHROPIC_API_KEY"] ?? "") !== "") {
    const advice = "unset it on a worker's host: `glovebox worker` refuses to start with it";
    yield { check: "environment", status: "warn", found: "ANTHROPIC_API_KEY is set", advice };
  }
}

function formatGib(bytes: number): string {
  return `${(bytes / GIB).toFixed(1)} GiB`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
