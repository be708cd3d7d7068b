import type { Capabilities } from "../../src/capabilities.ts";
import { day, GiB, hour, KiB, MiB, minute, second } from "./shared.ts";

/**
 * Modal's own calls, without a guest, on the V2 backend. Source: reference/providers/modal.md; the numbers in comments are its sections.
 */
export const modal = {
  // 4.1: `images.fromRegistry`; 12: `images.fromName`, `fromId`
  image: { from: "any", templates: "native" },
  // 4.1: a request is a guarantee, `cpuLimit` a cap; in physical cores, so half of ours; no step is stated
  cpu: { bounds: ["min", "max"], smallest: 0.125, exceeded: "throttled" },
  // 4.1: MiB, request 128 at least
  memory: { bounds: ["min", "max"], step: MiB, smallest: 128 * MiB, exceeded: "process-killed" },
  // 4.1: not settable in the JS SDK
  disk: false,
  // 3: makes the sandbox a V1 one, so ids change their form
  gpu: { types: "any" },
  processes: false,
  // 4.1: names must match an identifier pattern
  env: { support: "native", names: "identifier" },
  // 4.2: `tags`, ANDed at the server; `setTags` replaces all
  labels: { support: "native", mutable: true, query: "all", consistency: "strong" },
  // 4.1: a soft placement list
  region: { chosenBy: "sandbox", names: "any", strict: false },
  // 12: programs run as root; another user only within a call
  user: false,
  // 4.1: a name is unique among the running ones of an app; 7: resume gives a new id
  identity: { unique: "native", attach: "id", refChanges: true },
  // 4.2: running ones only
  list: { support: "native", scope: "account", consistency: "strong" },
  expiry: {
    // 4.1: default 5 minutes, at most 24 hours, whole seconds
    lifetime: { support: "native", ends: "destroyed", defaultMs: 5 * minute, maxMs: 24 * hour, stepMs: second, extend: false },
    // 4.1: unset is none; 4.4: a running exec, stdin or a tunnel connection is activity
    idle: { support: "native", ends: "destroyed", stepMs: second, extend: true },
    orphaned: false,
  },
  exec: {
    streams: "separate",
    bytes: "exact",
    // 15, 3: with end of file, in writes of 4 MiB at most
    stdin: "native",
    // 5: `setpriv`, `runuser` or `su` inside
    user: "emulated",
    // 5: a pid file and a second exec; on the VM runtime each member of the group is signalled
    signal: { support: "emulated", names: "all", to: "group" },
    // 14, 8: a time-out gives 137, as a kill does
    exitSignal: false,
    timeout: "native",
    outputLimit: "emulated",
    // 5: the sum of the lengths of all arguments
    maxArgvBytes: 64 * KiB,
  },
  // 12: one exec of a shell with its stdin open
  shell: { support: "emulated", keeps: "state" },
  // 12: fixed at 80x24, resized by `stty`
  pty: { support: "native", resize: "emulated", exitCode: true },
  calls: false,
  files: {
    support: "native",
    // 12: at most 5 GiB
    read: 5 * GiB,
    write: "stream",
    ranges: "emulated",
    list: "native",
    // 12: `mv` through exec
    rename: "emulated",
    symlinks: "emulated",
    confined: "lexical",
  },
  text: "emulated",
  // 7: the platform has no paused state
  pause: false,
  // 7: a snapshot, an end, a create under a new id
  suspend: { support: "emulated", keeps: "disk" },
  // 7: while running; 30 days by the SDK's default, no end when asked
  snapshot: { support: "native", of: "disk", whileRunning: true },
  // 12: a snapshot and a create from it
  fork: { support: "emulated", of: "disk" },
  resize: false,
  // 8: tunnels are declared at create, TLS or in the clear
  ports: { connect: "native", url: "public", protocols: ["http", "tls", "tcp"], declared: true },
  egress: {
    // 8: `blockNetwork`
    denyAll: "native",
    rules: {
      support: "native",
      targets: [
        // 8: by TLS server name and on 443 only
        { kinds: ["host", "wildcard"], protocols: ["tls"], ports: [443], narrowedBy: [] },
        // 8: by address, any port
        { kinds: ["cidr"], protocols: ["http", "tls", "tcp", "udp"], ports: "all", narrowedBy: [] },
      ],
      // 8: `updateNetworkPolicy`, both lists each time
      live: true,
      // 8: cannot be combined with domain rules, so `capabilitiesFor` says `false` for a spec that has some
      inject: "headers",
      // 8: with lists DNS stays open
      leaks: ["dns"],
    },
  },
  excludes: [],
} satisfies Capabilities;

/** A sandbox made with `experimentalEnableSnapshot`. Source: 7. */
export const modalWithMemorySnapshot = {
  ...modal,
  // 7: ends the container, kept for 7 days
  snapshot: { support: "native", of: "disk+memory", whileRunning: true, endsSandbox: true, maxAgeMs: 7 * day },
  suspend: { support: "emulated", keeps: "disk+memory" },
} satisfies Capabilities;
