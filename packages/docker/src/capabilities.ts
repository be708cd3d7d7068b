import type { Capabilities } from "@glovebox/core";
import { guestCapabilities } from "@glovebox/guest";
import type { EngineFacts } from "./facts.ts";
import { defaultOrphanedMs } from "./options.ts";

const MIB = 1024 ** 2;

/**
 * What a sandbox on a Docker engine can do. Every value has its source: "api" is the engine's API reference 1.41, "tried" a test in this package,
 * "guest" `@glovebox/guest`.
 * @param facts of the probed engine; absent: what holds on every engine that will do
 */
export function dockerCapabilities(facts: EngineFacts | undefined): Capabilities {
  return {
    image: { from: "any", templates: false }, // tried: Debian, busybox, scratch
    // api: HostConfig.NanoCpus, 0.01 to the engine's cores; a share is not promised to anyone, so no min
    cpu:
      facts?.cpuLimit === false
        ? false
        : { bounds: ["max"], step: 0.01, smallest: 0.01, exceeded: "throttled", ...(facts && { largest: facts.cpus }) },
    // api: HostConfig.Memory, MemorySwap equal to it. Below 64 MiB the guest itself is in danger
    memory: { bounds: ["max"], step: 4096, smallest: 64 * MIB, exceeded: "process-killed", ...(facts && { largest: facts.memoryBytes }) },
    // tried: `--storage-opt size` is refused on ext4, so the guest watches what the agent's user wrote; it may run over by what is written in a moment
    disk: { bounds: ["max"], step: 4096, smallest: 16 * MIB, exceeded: "sandbox-stopped" },
    gpu: false,
    processes: { bounds: ["max"], step: 1, smallest: 64, exceeded: "write-fails" }, // api: HostConfig.PidsLimit; fork gives EAGAIN
    env: { support: "native", names: "any" }, // guest
    labels: { support: "native", mutable: false, query: "all", consistency: "strong" }, // api: labels are set at creation, filtered by the engine
    region: false,
    user: { support: "native", names: "numeric" }, // guest: setresuid; a name would have to be looked up in the image before it runs
    identity: { unique: "native", attach: "id", refChanges: false }, // tried: a taken name is 409
    list: { support: "native", scope: "account", consistency: "strong" }, // api: all of the engine's containers, whoever made them
    expiry: {
      lifetime: false,
      idle: false,
      // guest: it ends when no worker was connected for so long; 10 min when a process owns the sandbox. The files stay until it is destroyed
      orphaned: { support: "native", ends: "stopped", defaultMs: defaultOrphanedMs.session, stepMs: 1, extend: false },
    },
    ...guestCapabilities,
    calls: { survives: "restart" }, // the guest's state directory lies in the container's own layer
    pause: false,
    suspend: false,
    snapshot: false,
    fork: false,
    resize: false,
    ports: false,
    egress: { denyAll: "native", rules: false }, // api: NetworkMode none
    excludes: [],
  };
}
