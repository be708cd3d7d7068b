import { readFileSync } from "node:fs";
import { hostname, release } from "node:os";
import { type Probe, SandboxError } from "@glovebox/core";
import type { Engine } from "./engine.ts";
import { rethrow } from "./errors.ts";
import type { Transport } from "./options.ts";

/** What matters of an engine. */
export interface EngineFacts extends Probe {
  readonly engineId: string;
  readonly version: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly cpuLimit: boolean;
  /** Whether it runs on this machine and sees this machine's files. */
  readonly local: boolean;
}

/** The part of `GET /info` that is read. */
interface Info {
  readonly ID: string;
  readonly Name: string;
  readonly ServerVersion: string;
  readonly OSType: string;
  readonly KernelVersion: string;
  readonly OperatingSystem: string;
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly MemoryLimit: boolean;
  readonly PidsLimit: boolean;
  readonly CpuCfsQuota: boolean;
  readonly SecurityOptions?: readonly string[] | null;
}

/**
 * Look at the engine.
 * @throws {SandboxError} `unavailable`, `permission_denied`: it cannot be reached. `unsupported`: it cannot hold a sandbox safely
 */
export async function engineFacts(engine: Engine, signal: AbortSignal): Promise<EngineFacts> {
  const info = await engine.json<Info>("GET", "/info", { signal }).catch(rethrow("probe", "none"));
  const missing = [
    info.OSType !== "linux" && "Linux containers",
    !info.MemoryLimit && "a memory limit",
    !info.PidsLimit && "a limit of processes",
    !(info.SecurityOptions ?? []).some((option) => option.startsWith("name=seccomp")) && "seccomp",
  ].filter((lack) => lack !== false);
  if (missing.length > 0) {
    const message = `the engine at ${engine.address.name} lacks ${missing.join(", ")}, without which a sandbox is not safe; enable the memory and pids cgroup controllers and seccomp there`;
    throw new SandboxError("unsupported", message, { effect: "none" });
  }
  return {
    engineId: info.ID,
    version: info.ServerVersion,
    cpus: info.NCPU,
    memoryBytes: info.MemTotal,
    cpuLimit: info.CpuCfsQuota,
    local: isLocal(engine, info),
  };
}

/** A unix socket may lead elsewhere: to the VM of Docker Desktop, through ssh, or out of the container in which the worker runs. */
function isLocal(engine: Engine, info: Info): boolean {
  const name = readLine("/proc/sys/kernel/hostname") ?? hostname();
  return engine.address.socketPath !== undefined && process.platform === "linux" && info.KernelVersion === release() && info.Name === name;
}

function readLine(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** Which way to the guest, unless an option pins it. */
export function transportFor(facts: EngineFacts, pinned: Transport | undefined): Transport {
  return pinned ?? (facts.local ? "socket" : "exec");
}
