import type { Capabilities } from "../../src/capabilities.ts";
import { day, GiB, hour, KiB, minute, oneOrEven, second } from "./shared.ts";

/**
 * Vercel Sandbox's own calls, without a guest, on an Enterprise plan; a probe of the plan lowers the maxima.
 * Source: reference/providers/vercel.md; the numbers in comments are its sections.
 */
export const vercel = {
  // 5.1: Vercel's own or those in its registry; 12: a template is a snapshot id
  image: { from: "prepared", templates: "emulated" },
  // 5.1: 1 or an even number; 9: at most 4, 8 or 32 by plan
  cpu: { bounds: "allocation", values: oneOrEven(32), exceeded: "throttled" },
  // 5.1: 2048 MB a vCPU, not settable
  memory: { bounds: "allocation", perCore: 2 * GiB },
  // 9: no option for either
  disk: false,
  gpu: false,
  processes: false,
  env: { support: "native", names: "any" },
  // 5.1: 5 tags, of which Glovebox uses 2 for ownership and proof; 14, 21: only one can be given to `list`; 5.5: `update`
  labels: { support: "native", maxCount: 3, mutable: true, query: "one", consistency: "strong" },
  // 9
  region: {
    chosenBy: "sandbox",
    names: "iad1 sfo1 cle1 cdg1 fra1 arn1 sin1 pdx1 lhr1 icn1 bom1 cpt1 dub1 gru1 hkg1 syd1 yul1 hnd1 kix1".split(" "),
    strict: true,
  },
  // 5.2: the default user is `ubuntu`; others only within a call
  user: false,
  // 2: the name is the id; 14, 24: session ids change at every resume, the name does not
  identity: { unique: "native", attach: "id", refChanges: false },
  list: { support: "native", scope: "account", consistency: "strong" },
  expiry: {
    // 5.1: default 300,000 ms; 9: at most 45 min or 24 h; 5.5: `extendTimeout`, 1000 ms at least; persistent ones are stopped
    lifetime: { support: "native", ends: "stopped", defaultMs: 5 * minute, maxMs: 24 * hour, stepMs: second, extend: true },
    // 12: no idle timer
    idle: false,
    orphaned: false,
  },
  exec: {
    streams: "separate",
    // 5.2: bytes that are not UTF-8 are replaced
    bytes: "text",
    // 12: a file and a redirect
    stdin: "emulated",
    stdinWhileRunning: false,
    // 5.2: root by `sudo: true`, others by `asUser`
    user: "emulated",
    // 5.2
    signal: { support: "native", names: ["SIGHUP", "SIGINT", "SIGQUIT", "SIGKILL", "SIGTERM", "SIGCONT", "SIGSTOP"], to: "process" },
    // 5.2: 137 for a kill and for a time-out
    exitSignal: false,
    timeout: "native",
    outputLimit: "emulated",
    // 14, 25: Linux's limit for one argument
    maxArgvBytes: 128 * KiB,
  },
  // 12: the PTY's socket held open
  shell: { support: "emulated", keeps: "state" },
  // 5.3: own client, `resize` and `exit` frames
  pty: { support: "native", resize: "native", exitCode: true },
  calls: false,
  files: {
    support: "native",
    read: "stream",
    // 12: a whole tar in the client's memory, so split by hand
    write: "stream",
    ranges: "emulated",
    list: "emulated",
    rename: "emulated",
    symlinks: "emulated",
    confined: "lexical",
  },
  text: "emulated",
  // 12: `stop` of a persistent sandbox and `get` with `resume`
  pause: { support: "native", keeps: "disk" },
  suspend: { support: "native", keeps: "disk" },
  // 5.5: also stops the session; 9: 7 days in the newer text
  snapshot: { support: "native", of: "disk", whileRunning: true, endsSandbox: true, maxAgeMs: 7 * day },
  // 5.1: `Sandbox.fork` copies configuration and environment, a snapshot the disk
  fork: { support: "emulated", of: "disk" },
  // 5.5: `update({resources})`, at the next session
  resize: { support: "native", cpu: { live: false, shrinks: true }, memory: { live: false, shrinks: true }, disk: false },
  // 5.1, 12: up to 15, declared, public
  ports: { connect: false, url: "public", protocols: ["http"], declared: true, maxCount: 15 },
  egress: {
    // 7: blocks DNS too
    denyAll: "native",
    rules: {
      support: "native",
      targets: [
        // 7: HTTP and TLS are told by host; path and method only where rules open TLS
        { kinds: ["host", "wildcard"], protocols: ["http", "tls"], ports: "all", narrowedBy: ["method", "path"] },
        { kinds: ["cidr"], protocols: ["http", "tls", "tcp", "udp"], ports: "all", narrowedBy: [] },
      ],
      live: true,
      // 7: `transform`
      inject: "headers",
      // 7 says that only `deny-all` blocks DNS
      leaks: ["dns"],
    },
  },
  excludes: [],
} satisfies Capabilities;
