import type { Capabilities } from "../../src/capabilities.ts";
import { GiB, minute } from "./shared.ts";

/**
 * Daytona's own calls, without a guest, for sandboxes of the container class that are made from an image.
 * Source: reference/providers/daytona.md; the numbers in comments are its sections.
 */
export const daytonaContainer = {
  // 4: a tag or digest is required, and the documentation refuses these; 4: templates are snapshots
  image: { from: "any", templates: "native", refusedTags: ["", "latest", "lts", "stable"] },
  // 4: whole cores; 11: at most 4
  cpu: { bounds: "allocation", step: 1, smallest: 1, largest: 4, exceeded: "throttled" },
  // 4: GiB; 11: at most 8
  memory: { bounds: "allocation", step: GiB, smallest: GiB, largest: 8 * GiB },
  // 4: GiB; 11: at most 10
  disk: { bounds: "allocation", step: GiB, smallest: GiB, largest: 10 * GiB, exceeded: "write-fails" },
  // 4: GPU sandboxes must be ephemeral, so `capabilitiesFor` gives `expiry.idle` the end `destroyed` with them
  gpu: { types: ["H100", "H200", "B300", "RTX-PRO-6000", "RTX-4090", "RTX-5090", "MI355X"] },
  // 13 names none
  processes: false,
  // 4: `envVars`, baked in at creation
  env: { support: "native", names: "any" },
  // 4: a string map, all pairs must match, list is eventually consistent; 3: `PUT .../labels`
  labels: { support: "native", mutable: true, query: "all", consistency: "eventual" },
  // 4: `target` of the client, so a client for each region
  region: { chosenBy: "provider", names: "any", strict: true },
  // Seen on the real daemon, 1: `user` is not honoured for containers
  user: false,
  // 4: `name` is unique in an organization (409); `get` takes id or name
  identity: { unique: "native", attach: "id", refChanges: false },
  list: { support: "native", scope: "account", consistency: "eventual" },
  expiry: {
    // 4: `ttlMinutes`
    lifetime: { support: "native", ends: "destroyed", stepMs: minute, extend: false },
    // 5: auto-stop, default 15 minutes; `refreshActivity` starts it anew
    idle: { support: "native", ends: "stopped", defaultMs: 15 * minute, stepMs: minute, extend: true },
    orphaned: false,
  },
  exec: {
    // 6.2: sessions and their log socket are the only source of two streams
    streams: "separate",
    // 6.2: text by lines; Seen, 3: invalid UTF-8 becomes U+FFFD
    bytes: "text",
    // 13: upload and redirect, so it must be there first
    stdin: "emulated",
    stdinWhileRunning: false,
    // 6.4, 5: `sudo` or `su` inside, if the image has one
    user: "emulated",
    // 6.4, 4: a pid and a second exec
    signal: { support: "emulated", names: "all", to: "group" },
    // 6.4, 2: the exit code comes by a status file, which says 128+n
    exitSignal: false,
    // 6.4, 6: an adapter's timer, the server's own holds for one-shot commands only
    timeout: "emulated",
    outputLimit: "emulated",
  },
  // 13: session or PTY; Seen, 5: `exit` ends it without a code
  shell: { support: "native", keeps: "state" },
  // 6.3: resize, and the exit code in a control frame
  pty: { support: "native", resize: "native", exitCode: true },
  calls: false,
  files: {
    support: "native",
    // 7: streams on Node
    read: "stream",
    write: "stream",
    ranges: "emulated",
    list: "native",
    rename: "native",
    // 13: `stat` follows links and tells no target, so a command does it
    symlinks: "emulated",
    confined: "lexical",
  },
  text: "emulated",
  // 5: a container gets 422, but stop and start keep the file system
  pause: { support: "native", keeps: "disk" },
  suspend: { support: "emulated", keeps: "disk" },
  // 5: a container may be started or stopped; unused for two weeks a snapshot becomes inactive and is activated again
  snapshot: { support: "native", of: "disk", whileRunning: true },
  // 5: 422 for containers; a snapshot and a create from it
  fork: { support: "emulated", of: "disk" },
  // 5: running, cpu and memory only grow; disk only when stopped and only upwards
  resize: {
    support: "native",
    cpu: { live: true, shrinks: false },
    memory: { live: true, shrinks: false },
    disk: { live: false, shrinks: false },
  },
  // 8: any port at any time, HTTP and WebSocket only, token in a header
  ports: { connect: false, url: "token", protocols: ["http"], declared: false },
  egress: {
    // 8: `networkBlockAll`
    denyAll: "native",
    rules: {
      support: "native",
      targets: [
        // 8: `domainAllowList`, at most 10
        { kinds: ["host", "wildcard"], protocols: ["http", "tls"], ports: "all", narrowedBy: [], maxCount: 10 },
        // 8: `networkAllowList`, IPv4 only, at most 10
        { kinds: ["cidr"], protocols: ["http", "tls", "tcp", "udp"], ports: "all", narrowedBy: [], ipv6: false, maxCount: 10 },
      ],
      live: true,
      // 8: a placeholder in the environment, replaced on the way out
      inject: "placeholder",
      // 8: a list of essential services is always reachable
      leaks: ["vendor-services"],
    },
  },
  excludes: [],
} satisfies Capabilities;

/**
 * Daytona's VM class, which starts only from the vendor's snapshots or from those taken of VMs.
 * Source: reference/providers/daytona.md, 5.
 */
export const daytonaVirtualMachine = {
  ...daytonaContainer,
  // 5: VM classes cannot be built from an image
  image: { from: "prepared", templates: "native" },
  // 4: sizes come from the snapshot, `resources` is not accepted
  cpu: { bounds: "fixed", exceeded: "throttled" },
  memory: { bounds: "fixed" },
  disk: { bounds: "fixed", exceeded: "write-fails" },
  gpu: false,
  // Seen, 1 is about containers; 4: the user of the whole sandbox
  user: { support: "native", names: "any" },
  expiry: {
    ...daytonaContainer.expiry,
    // 5: auto-pause in place of auto-stop, default 60 minutes
    idle: { support: "native", ends: "stopped", defaultMs: 60 * minute, stepMs: minute, extend: true },
  },
  // 5: memory kept
  pause: { support: "native", keeps: "disk+memory" },
  suspend: { support: "emulated", keeps: "disk+memory" },
  // 5: memory only while started, by the raw client
  snapshot: { support: "native", of: "disk+memory", whileRunning: true },
  // 5: a started VM, with memory
  fork: { support: "native", of: "disk+memory" },
} satisfies Capabilities;
