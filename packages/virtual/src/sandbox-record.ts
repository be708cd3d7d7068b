import type { CreateRequest, SandboxEntry } from "@glovebox/core";
import type { ResolvedOptions } from "./options.ts";
import { VirtualDisk } from "./disk.ts";
import { DiskError } from "./disk-error.ts";
import type { ShellState } from "./messages.ts";
import type { StartedProgram } from "./program.ts";

/** A shell between two commands, and the end of the last command that was asked of it. */
export interface ShellRecord {
  state: ShellState | undefined;
  last: Promise<void>;
  /** How often it was ended from outside; a command of before hands nothing on. */
  restarts: number;
  running: StartedProgram | undefined;
}

/** One sandbox: what stays when no program runs. */
export interface SandboxRecord {
  readonly id: string;
  readonly proof: string;
  readonly disk: VirtualDisk;
  readonly workdir: string;
  /** The environment of every program, before what the call adds. */
  readonly env: Readonly<Record<string, string>>;
  readonly shells: Map<string, ShellRecord>;
  readonly entry: SandboxEntry;
  /** Aborted when it is destroyed. */
  readonly ended: AbortController;
}

export const baseEnv: Readonly<Record<string, string>> = { PATH: "/usr/bin:/bin", HOME: "/home/user", USER: "user", LANG: "C.UTF-8" };

/** @param commands names of just-bash's commands; each needs a file, because the shell looks there before it runs one */
export function newRecord({ id, spec, ownership, proof }: CreateRequest, commands: readonly string[], options: ResolvedOptions): SandboxRecord {
  const disk = new VirtualDisk({ maxBytes: spec.diskBytes?.max ?? options.diskBytes, maxEntries: options.maxEntries });
  for (const directory of ["/bin", "/dev", "/home/user", "/tmp", "/usr/bin"]) disk.makeDirectory({ path: directory }, 0o755, true);
  disk.makeDirectory({ path: spec.workdir }, 0o755, true);
  const file = { createParents: false, parentMode: 0o755, exclusive: true };
  disk.write({ path: "/dev/null" }, new Uint8Array(), { ...file, mode: 0o666 });
  for (const name of commands) {
    const stub = new TextEncoder().encode(`#!/bin/bash\n# Built-in command: ${name}\n`);
    disk.write({ path: `/usr/bin/${name}` }, stub, { ...file, mode: 0o755 });
    disk.symlink({ path: `/bin/${name}` }, `/usr/bin/${name}`);
  }
  return {
    id,
    proof,
    disk,
    workdir: spec.workdir,
    env: { ...baseEnv, ...spec.env },
    shells: new Map(),
    entry: {
      ref: { provider: "virtual", id },
      state: "running",
      image: undefined,
      createdAt: new Date().toISOString(),
      ownership,
      labels: { ...spec.labels },
    },
    ended: new AbortController(),
  };
}

/**
 * Find the program that `argv[0]` means, as execvp(3) does.
 * @throws {DiskError} ENOENT: no such program or directory. EACCES: it may not be executed
 */
export function checkProgram(disk: VirtualDisk, name: string, cwd: string, path: string): void {
  if (disk.stat({ path: cwd }, true).type !== "directory") throw new DiskError("ENOTDIR", cwd);
  const places = name.includes("/") ? [name] : path.split(":").map((directory) => `${directory === "" ? "." : directory}/${name}`);
  let refused = false;
  for (const place of places) {
    try {
      const stat = disk.stat({ path: place.startsWith("/") ? place : `${cwd}/${place}` }, true);
      if (stat.type === "file" && (stat.mode & 0o111) !== 0) return;
      refused = true;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }
  throw new DiskError(refused ? "EACCES" : "ENOENT", name);
}
