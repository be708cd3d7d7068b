import { readFileSync, readlinkSync } from "node:fs";
import { hostname } from "node:os";
import type { Ownership } from "@glovebox/core";

/** Tells one process from every other, also from a later one with the same pid. */
export interface ProcessMark {
  /** The installation; empty where it has none. */
  readonly machine: string;
  /** New at each boot of the kernel. */
  readonly boot: string;
  /** The pid namespace in which `pid` counts. */
  readonly namespace: string;
  /** When the process began, in clock ticks since the boot. */
  readonly started: string;
}

/** @returns `undefined` where there is no such process, or the system does not tell (only Linux does) */
export function markProcess(pid: number): ProcessMark | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // field 22, counted behind the name, which may hold anything; see proc(5)
    const started = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    const state = stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3);
    if (started === undefined || state === "Z" || state === "X") return undefined;
    return { ...here(), started };
  } catch {
    return undefined;
  }
}

function here(): Omit<ProcessMark, "started"> {
  return {
    machine: readFileSync("/etc/machine-id", "latin1").trim(),
    boot: readFileSync("/proc/sys/kernel/random/boot_id", "latin1").trim(),
    namespace: readlinkSync("/proc/self/ns/pid"),
  };
}

/**
 * Whether the process that owns a sandbox has certainly ended. What cannot be known (another host, another container, no mark) is `false`: such a sandbox ends
 * by its own expiry.
 */
export function ownerIsGone(ownership: Ownership | undefined, mark: ProcessMark | undefined): boolean {
  if (ownership?.by !== "process" || ownership.host !== hostname() || mark === undefined || mark.machine === "") return false;
  const self = markProcess(process.pid);
  if (self === undefined || self.machine !== mark.machine) return false;
  if (self.boot !== mark.boot) return true;
  if (self.namespace !== mark.namespace) return false;
  return markProcess(ownership.pid)?.started !== mark.started;
}
