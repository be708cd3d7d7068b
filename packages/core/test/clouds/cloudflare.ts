import type { Capabilities } from "../../src/capabilities.ts";
import { day, GB, GiB, hour, MiB } from "./shared.ts";

/**
 * A Worker of ours over the native container API (`ctx.container`) with the `durable_object` scheduling policy, without a guest.
 * Source: reference/providers/cloudflare.md; the numbers in comments are its sections.
 */
export const cloudflareWorker = {
  // 5: a map of up to 100 images that were deployed; 7: snapshots are bound to their image
  image: { from: "prepared", templates: false },
  cpu: { bounds: "allocation", exceeded: "throttled" },
  // 9: out of memory restarts, no swap
  memory: { bounds: "allocation", exceeded: "sandbox-stopped" },
  disk: { bounds: "allocation", exceeded: "write-fails" },
  // 9: the named sizes; custom ones (1 to 4 vCPU, 3 GiB and more a vCPU, 2 GB of disk a GiB at most) lie between them
  sizes: [
    { name: "lite", cpu: 0.0625, memoryBytes: 256 * MiB, diskBytes: 2 * GB },
    { name: "basic", cpu: 0.25, memoryBytes: GiB, diskBytes: 4 * GB },
    { name: "standard-1", cpu: 0.5, memoryBytes: 4 * GiB, diskBytes: 8 * GB },
    { name: "standard-2", cpu: 1, memoryBytes: 6 * GiB, diskBytes: 12 * GB },
    { name: "standard-3", cpu: 2, memoryBytes: 8 * GiB, diskBytes: 16 * GB },
    { name: "standard-4", cpu: 4, memoryBytes: 12 * GiB, diskBytes: 20 * GB },
  ],
  gpu: false,
  processes: false,
  // 5: given to `start` and again to every `exec`, which does not inherit it
  env: { support: "native", names: "any" },
  // 14: a registry that the Worker keeps
  labels: { support: "emulated", mutable: true, query: "all", consistency: "strong" },
  // 14: one container application for each region, at deploy time
  region: { chosenBy: "deployment", names: ["ENAM", "WNAM", "EEUR", "WEUR", "APAC", "SAM", "ME", "OC", "AFR"], strict: true },
  // 5: each exec is given `uid:gid`
  user: { support: "emulated", names: "numeric" },
  // 14: `idFromName`; the Worker's registry makes it atomic, since unknown ids start containers
  identity: { unique: "emulated", attach: "id", refChanges: false },
  list: { support: "emulated", scope: "account", consistency: "strong" },
  expiry: {
    // 14: an alarm of the Durable Object
    lifetime: { support: "emulated", ends: "destroyed", stepMs: 1, extend: true },
    // 5: `setInactivityTimeout`, up to 6 h; 7: the disk is thrown away
    idle: { support: "native", ends: "destroyed", maxMs: 6 * hour, stepMs: 1, extend: true },
    orphaned: false,
  },
  exec: {
    // 5
    streams: "separate",
    bytes: "exact",
    stdin: "native",
    user: "native",
    // 5: `kill`, 1 to 64
    signal: { support: "native", names: "all", to: "process" },
    // 5: 137 after `kill(9)`
    exitSignal: false,
    // 5: none built in
    timeout: "emulated",
    outputLimit: "emulated",
  },
  // 14: an exec of a shell with its stdin open
  shell: { support: "emulated", keeps: "state" },
  // 14: exit code by a protocol of our own
  pty: { support: "native", resize: "native", exitCode: true },
  calls: false,
  files: {
    // 14: through exec
    support: "emulated",
    read: "stream",
    write: "stream",
    ranges: "emulated",
    list: "emulated",
    rename: "emulated",
    symlinks: "emulated",
    confined: "lexical",
  },
  text: "emulated",
  // 7: does not exist
  pause: false,
  // 14: snapshot, stop and restore keep files
  suspend: { support: "emulated", keeps: "disk" },
  // 5: keeps running; 30 days, renewed by each restore
  snapshot: { support: "native", of: "disk", whileRunning: true, maxAgeMs: 30 * day },
  fork: { support: "emulated", of: "disk" },
  resize: false,
  // 14: a route of the Worker; 8: HTTP and WebSocket only from outside, bytes travel in a WebSocket
  ports: { connect: "emulated", url: "token", protocols: ["http", "tcp"], declared: false },
  egress: {
    // 14: `enableInternet: false`; 6.3: other TCP is dropped then, DNS goes to the vendor's resolvers only
    denyAll: "native",
    rules: {
      support: "native",
      targets: [
        // 6.3: only ports 80 and 443 reach handlers, which are plain code
        { kinds: ["host", "wildcard"], protocols: ["http", "tls"], ports: [80, 443], narrowedBy: ["method", "path"] },
        // 14: HTTP targets by CIDR, raw TCP has no stable call
        { kinds: ["cidr"], protocols: ["http"], ports: [80], narrowedBy: ["method", "path"] },
      ],
      // 6.2: registering again replaces the handler
      live: true,
      inject: "handler",
      leaks: ["dns"],
    },
  },
  excludes: [],
} satisfies Capabilities;

const { sizes: _, ...withoutSizes } = cloudflareWorker;

/** The stock bridge of 0.x, from Node. Source: the first column of 14. */
export const cloudflareBridge = {
  ...withoutSizes,
  image: false,
  cpu: { bounds: "fixed", exceeded: "throttled" },
  memory: { bounds: "fixed", exceeded: "sandbox-stopped" },
  disk: { bounds: "fixed", exceeded: "write-fails" },
  // a session with env
  env: { support: "emulated", names: "any" },
  labels: false,
  region: false,
  user: false,
  // 4: the server makes ids of 26 characters, unknown ones start containers
  identity: { unique: false, attach: "ref", refChanges: false },
  list: false,
  expiry: false,
  exec: {
    ...cloudflareWorker.exec,
    bytes: "text",
    // a file and a redirect, 32 MiB at most
    stdin: "emulated",
    stdinWhileRunning: false,
    user: "emulated",
    // 16, 10: a signal is ignored, so another exec kills by a pid file
    signal: { support: "emulated", names: "all", to: "group" },
    // 16, 7: does not cover a container that stalls
    timeout: "emulated",
  },
  shell: { support: "native", keeps: "state" },
  pty: { support: "native", resize: "native", exitCode: false },
  files: { ...cloudflareWorker.files, support: "native", write: 32 * MiB, only: "/workspace" },
  // 7: a tar of `/workspace` within 32 MiB is no snapshot of a sandbox
  suspend: false,
  snapshot: false,
  fork: false,
  // 14: a quick tunnel
  ports: { connect: false, url: "public", protocols: ["http"], declared: false },
  // 14: a setting of the deployment, which a client cannot see
  egress: { denyAll: false, rules: false },
} satisfies Capabilities;
