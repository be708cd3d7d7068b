import type { Memory, MemoryStore, MemoryVersion } from "./memory-store.ts";
import { timestamp, type JsonObject } from "./wire.ts";

/** `basic` leaves the content out. */
export type View = "basic" | "full";

export function wireStore(store: MemoryStore): JsonObject {
  return {
    id: store.id,
    type: "memory_store",
    name: store.name,
    description: store.description,
    metadata: store.metadata,
    created_at: timestamp(store.createdAtMs),
    updated_at: timestamp(store.updatedAtMs),
    archived_at: store.archivedAtMs === null ? null : timestamp(store.archivedAtMs),
  };
}

export function wireMemory(store: MemoryStore, memory: Memory, view: View): JsonObject {
  return {
    id: memory.id,
    type: "memory",
    memory_store_id: store.id,
    memory_version_id: memory.versionId,
    path: memory.path,
    content: view === "full" ? memory.content : null,
    content_sha256: memory.sha256,
    content_size_bytes: Buffer.byteLength(memory.content),
    created_at: timestamp(memory.createdAtMs),
    updated_at: timestamp(memory.updatedAtMs),
  };
}

export function wireVersion(store: MemoryStore, version: MemoryVersion, view: View): JsonObject {
  return {
    id: version.id,
    type: "memory_version",
    memory_store_id: store.id,
    memory_id: version.memoryId,
    operation: version.operation,
    path: version.path,
    content: view === "full" ? version.content : null,
    content_sha256: version.sha256,
    content_size_bytes: version.content === null ? null : Buffer.byteLength(version.content),
    created_at: timestamp(version.createdAtMs),
    created_by: version.createdBy,
    redacted_at: version.redactedAtMs === null ? null : timestamp(version.redactedAtMs),
    redacted_by: version.redactedBy,
  };
}
