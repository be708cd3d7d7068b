import { timingSafeEqual } from "node:crypto";
import type { SandboxProvider, SandboxRef } from "@glovebox/core";
import { SandboxError } from "@glovebox/core";
import { virtualCapabilities } from "./capabilities.ts";
import { virtualDriver } from "./driver.ts";
import { gone } from "./errors.ts";
import type { VirtualOptions } from "./options.ts";
import { resolveOptions } from "./options.ts";
import type { SandboxRecord } from "./sandbox-record.ts";
import { newRecord } from "./sandbox-record.ts";
import { ThreadPool } from "./thread-pool.ts";

/**
 * Sandboxes in this process, on just-bash: an interpreter and a file system in memory, no real programs, no network, nothing to
 * install. For trying out and for tests; what keeps a hostile program in is JavaScript, not a kernel. Sandboxes end with the process.
 * @throws {SandboxError} `invalid_argument`: an option is out of range
 */
export function virtual(options: VirtualOptions = {}): SandboxProvider {
  const resolved = resolveOptions(options);
  const capabilities = virtualCapabilities(resolved);
  const pool = new ThreadPool(resolved);
  const records = new Map<string, SandboxRecord>();

  const destroy = (record: SandboxRecord): void => {
    records.delete(record.id);
    record.ended.abort(gone(record.id));
  };

  return {
    name: "virtual",
    specVersion: 1,
    capabilitiesFor: () => capabilities,
    create: async (request, { signal }) => {
      const commands = await pool.commands();
      signal.throwIfAborted();
      if (records.has(request.id)) {
        throw new SandboxError("already_exists", `sandbox ${request.id} is there already; attach to it or mint another id`, { effect: "none" });
      }
      const record = newRecord(request, commands, resolved);
      records.set(request.id, record);
      return virtualDriver(record, capabilities, pool, () => destroy(record));
    },
    attach: async (ref, { signal }) => {
      signal.throwIfAborted();
      const record = records.get(ref.id);
      if (record === undefined) throw gone(ref.id);
      checkProof(record, ref);
      return virtualDriver(record, capabilities, pool, () => destroy(record));
    },
    list: async function* ({ labels = {} }, { signal }) {
      for (const { entry } of records.values()) {
        signal.throwIfAborted();
        if (Object.entries(labels).every(([key, value]) => Object.hasOwn(entry.labels, key) && entry.labels[key] === value)) yield entry;
      }
    },
    destroy: async (ref, { signal }) => {
      signal.throwIfAborted();
      const record = records.get(ref.id);
      if (record === undefined) return;
      checkProof(record, ref);
      destroy(record);
    },
  };
}

function checkProof(record: SandboxRecord, ref: SandboxRef): void {
  const [expected, given] = [Buffer.from(record.proof), Buffer.from(ref.proof)];
  if (expected.byteLength === given.byteLength && timingSafeEqual(expected, given)) return;
  throw new SandboxError("permission_denied", `the proof does not fit sandbox ${ref.id}; use the owner key it was made with`, { effect: "none" });
}
