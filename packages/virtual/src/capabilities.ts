import type { Capabilities } from "@glovebox/core";
import type { ResolvedOptions } from "./options.ts";

/** Programs of one sandbox at once; more wait, so that one sandbox cannot take every thread. */
export const maxConcurrent = 4;

/** What an embedded sandbox can do, whatever its spec. Facts about just-bash are those of its 3.4.2. */
export function virtualCapabilities(options: ResolvedOptions): Capabilities {
  return {
    image: false,
    cpu: false,
    // a heap limit for each running program, the same for all
    memory: { bounds: "fixed", largest: options.threadMemoryBytes, exceeded: "process-killed" },
    disk: { bounds: ["max"], step: 1, largest: options.diskBytes, exceeded: "write-fails" },
    gpu: false,
    processes: false,
    env: { support: "native", names: "identifier" },
    labels: { support: "native", mutable: false, query: "all", consistency: "strong" },
    region: false,
    user: false,
    identity: { unique: "native", attach: "id", refChanges: false },
    list: { support: "native", scope: "process", consistency: "strong" },
    expiry: false,
    exec: {
      streams: "separate",
      bytes: "text", // just-bash gives strings that do not tell the byte 0xff from U+00FF
      stdin: "native",
      stdinWhileRunning: false,
      user: false,
      signal: { support: "emulated", names: ["SIGKILL"], to: "group" },
      exitSignal: false,
      timeout: "native",
      outputLimit: "native",
      maxConcurrent,
    },
    // not "state": arrays, options, traps, aliases and functions from `eval` or `source` are lost, and there are no jobs
    shell: { support: "emulated", keeps: "files" },
    pty: false,
    calls: false,
    files: {
      support: "native",
      read: "stream",
      write: "stream",
      ranges: "native",
      list: "native",
      rename: "native",
      symlinks: "native",
      confined: "resolved",
    },
    text: "emulated",
    pause: false,
    suspend: false,
    snapshot: false,
    fork: false,
    resize: false,
    ports: false,
    // just-bash has no curl and no fetch unless it is given a network
    egress: { denyAll: "native", rules: false },
    excludes: [],
  };
}
