import { type Probe, Sandbox, SandboxError, type SandboxProvider } from "@glovebox/core";
import { ownerKey } from "@glovebox/node";
import { formatDuration } from "./duration.ts";

/** Every provider that the command knows. */
export type ProviderName = "docker" | "virtual";
export const providerNames: readonly ["docker", "virtual"] = ["docker", "virtual"];

const trialTimeoutMs = 60_000;

/** The `--provider` flag of commands that need sandboxes which outlive them. */
export const providerFlag: {
  readonly kind: "choice";
  readonly choices: readonly ["docker", "virtual"];
  readonly fallback: string;
  readonly text: string;
} = {
  kind: "choice",
  choices: providerNames,
  fallback: "docker",
  text: "Where sandboxes run: containers of a Docker engine, or embedded in this process (no isolation from it to rely on, nothing to install)",
};

/** The provider of that name. Its vendor's code is loaded now, and nothing is asked of an engine yet. */
export async function openProvider(name: ProviderName): Promise<SandboxProvider> {
  if (name === "virtual") return (await import("@glovebox/virtual")).virtual();
  return (await import("@glovebox/docker")).docker();
}

/**
 * What the engine says of itself.
 * @throws {SandboxError} as the provider's `probe`; `unavailable` when there is no answer in time
 */
export async function probeEngine(provider: SandboxProvider, signal: AbortSignal, timeoutMs = 15_000): Promise<Probe> {
  const late = new AbortController();
  const told = `the ${provider.name} engine gave no answer in ${formatDuration(timeoutMs)}; look at its log, or name another in DOCKER_HOST`;
  const timer = setTimeout(() => late.abort(new SandboxError("unavailable", told, { effect: "none" })), timeoutMs);
  try {
    return (await provider.probe?.({ signal: AbortSignal.any([signal, late.signal]) })) ?? {};
  } finally {
    clearTimeout(timer);
  }
}

export interface Choice {
  readonly provider: SandboxProvider;
  /** Why this one, in a few words. */
  readonly because: string;
}

/**
 * The provider that was asked for; else Docker when it can really run a sandbox here, which is tried; else the embedded one.
 */
export async function chooseProvider(wanted: ProviderName | undefined, signal: AbortSignal): Promise<Choice> {
  if (wanted !== undefined) return { provider: await openProvider(wanted), because: "asked for by --provider" };
  try {
    const docker = await openProvider("docker");
    await probeEngine(docker, signal);
    await using sandbox = await Sandbox.create(docker, {}, { signal, timeoutMs: trialTimeoutMs });
    await sandbox.exec(["true"], { signal });
    return { provider: docker, because: "a Docker engine answers and has the image" };
  } catch (error) {
    signal.throwIfAborted();
    if (!SandboxError.is(error)) throw error;
    return { provider: await openProvider("virtual"), because: `Docker cannot be used here: ${error.message}` };
  }
}

/** The key that proves to sandboxes on this machine that they are ours; every command of one user shares it. */
export async function machineOwnerKey(): Promise<Uint8Array> {
  return ownerKey();
}

/**
 * A sandbox that is there, to look at and to use. Borrowed: its disposal leaves it.
 * @throws {SandboxError} `not_found`, `permission_denied`: another user's
 */
export async function attachSandbox(provider: SandboxProvider, id: string, signal: AbortSignal): Promise<Sandbox> {
  try {
    return await Sandbox.attach(provider, { provider: provider.name, id }, { ownerKey: await machineOwnerKey(), mode: "join", signal });
  } catch (error) {
    if (!SandboxError.is(error) || error.code !== "not_found") throw error;
    throw new SandboxError("not_found", `there is no sandbox ${id}; \`glovebox ps\` lists those that there are`, { effect: "none" });
  }
}
