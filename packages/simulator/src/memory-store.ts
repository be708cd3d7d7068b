import { createHash } from "node:crypto";
import type { SkewableClock } from "./clock.ts";
import { mintId } from "./credentials.ts";
import { ApiFailure } from "./failure.ts";
import { checkMemoryPath, pathsClash } from "./memory-path.ts";
import type { JsonObject } from "./wire.ts";

const maxContentBytes = 102_400;
const maxMemories = 2_000;

/** Who changed something; `null` where nobody asked over the API. */
export type Actor = ({ readonly type: "api_actor"; readonly api_key_id: string } | { readonly type: "session_actor"; readonly session_id: string }) &
  JsonObject;

export interface Memory {
  readonly id: string;
  readonly path: string;
  readonly content: string;
  readonly sha256: string;
  readonly versionId: string;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export type Operation = "created" | "modified" | "deleted";

/** One change of a memory. What is redacted is `null`, and so is the content of a deletion. */
export interface MemoryVersion {
  readonly id: string;
  /** Grows with each version of the store. */
  readonly sequence: number;
  readonly memoryId: string;
  readonly operation: Operation;
  readonly createdAtMs: number;
  readonly createdBy: Actor | null;
  readonly path: string | null;
  readonly content: string | null;
  readonly sha256: string | null;
  readonly redactedAtMs: number | null;
  readonly redactedBy: Actor | null;
}

export interface MemoryChange {
  readonly content?: string;
  readonly path?: string;
  /** The change is refused unless the memory's content has this hash, or the memory is already as wished. */
  readonly expectedSha256?: string;
}

/** The memories of one store and what became of them. Whoever may write is the handlers' business. */
export class MemoryStore {
  readonly id: string = mintId("memstore");
  readonly createdAtMs: number;
  /** Grows with each store. */
  readonly sequence: number;
  name: string;
  description: string;
  metadata: Record<string, string>;
  updatedAtMs: number;
  archivedAtMs: number | null = null;
  readonly #clock: SkewableClock;
  readonly #memories = new Map<string, Memory>();
  readonly #versions: MemoryVersion[] = [];

  constructor(
    clock: SkewableClock,
    sequence: number,
    { name, description, metadata }: { readonly name: string; readonly description: string; readonly metadata: Record<string, string> },
  ) {
    this.#clock = clock;
    this.sequence = sequence;
    this.createdAtMs = clock.stampMs();
    this.updatedAtMs = this.createdAtMs;
    this.name = name;
    this.description = description;
    this.metadata = metadata;
  }

  /** By path. */
  memories(): readonly Memory[] {
    return [...this.#memories.values()].sort((left, right) => (left.path < right.path ? -1 : 1));
  }

  /** Oldest first. */
  versions(): readonly MemoryVersion[] {
    return this.#versions;
  }

  /** @throws {ApiFailure} 404 */
  memory(id: string): Memory {
    const memory = this.#memories.get(id);
    if (memory === undefined) throw new ApiFailure(404, `Memory ${id} not found.`);
    return memory;
  }

  memoryAt(path: string): Memory | undefined {
    return this.#memories.values().find((memory) => memory.path === path);
  }

  /** @throws {ApiFailure} 404 */
  version(id: string): MemoryVersion {
    const version = this.#versions.find((each) => each.id === id);
    if (version === undefined) throw new ApiFailure(404, `Memory version ${id} not found.`);
    return version;
  }

  /** @throws {ApiFailure} 400: path, content or the number of memories; 409 `memory_path_conflict_error` */
  create(path: string, content: string, actor: Actor | null): Memory {
    checkMemoryPath(path);
    checkContent(content);
    this.#refuseClash(path, null);
    if (this.#memories.size >= maxMemories) throw new ApiFailure(400, `A memory store holds at most ${maxMemories} memories.`);
    return this.#keep({ id: mintId("mem"), path, content, createdAtMs: this.#clock.stampMs() }, "created", actor);
  }

  /** @throws {ApiFailure} 400: path or content; 404; 409 `memory_precondition_failed_error`, `memory_path_conflict_error` */
  update(id: string, change: MemoryChange, actor: Actor | null): Memory {
    const memory = this.memory(id);
    const { content = memory.content, path = memory.path, expectedSha256 } = change;
    checkMemoryPath(path);
    checkContent(content);
    if (content === memory.content && path === memory.path) return memory;
    if (expectedSha256 !== undefined) refuseStale(memory, expectedSha256);
    this.#refuseClash(path, memory.id);
    return this.#keep({ id, path, content, createdAtMs: memory.createdAtMs }, "modified", actor);
  }

  /** @throws {ApiFailure} 404; 409 `memory_precondition_failed_error` */
  delete(id: string, expectedSha256: string | null, actor: Actor | null): void {
    const memory = this.memory(id);
    if (expectedSha256 !== null) refuseStale(memory, expectedSha256);
    this.#memories.delete(id);
    this.#record({ memoryId: id, operation: "deleted", path: memory.path, content: null, sha256: null }, actor);
  }

  /** Take the content and path out of a version; the memory itself stays as it is. Idempotent. @throws {ApiFailure} 404 */
  redact(versionId: string, actor: Actor | null): MemoryVersion {
    const version = this.version(versionId);
    if (version.redactedAtMs !== null) return version;
    const redacted = { ...version, path: null, content: null, sha256: null, redactedAtMs: this.#clock.stampMs(), redactedBy: actor };
    this.#versions[this.#versions.indexOf(version)] = redacted;
    return redacted;
  }

  #keep(memory: Pick<Memory, "id" | "path" | "content" | "createdAtMs">, operation: Operation, actor: Actor | null): Memory {
    const { id, path, content } = memory;
    const sha256 = createHash("sha256").update(content, "utf8").digest("hex");
    const version = this.#record({ memoryId: id, operation, path, content, sha256 }, actor);
    const kept: Memory = { ...memory, sha256, versionId: version.id, updatedAtMs: version.createdAtMs };
    this.#memories.set(id, kept);
    return kept;
  }

  #record(change: Pick<MemoryVersion, "memoryId" | "operation" | "path" | "content" | "sha256">, actor: Actor | null): MemoryVersion {
    const version: MemoryVersion = {
      ...change,
      id: mintId("memver"),
      sequence: this.#versions.length,
      createdAtMs: this.#clock.stampMs(),
      createdBy: actor,
      redactedAtMs: null,
      redactedBy: null,
    };
    this.#versions.push(version);
    return version;
  }

  #refuseClash(path: string, ownId: string | null): void {
    const other = this.#memories.values().find((memory) => memory.id !== ownId && pathsClash(memory.path, path));
    if (other === undefined) return;
    throw new ApiFailure(409, `The path ${path} is taken, or overlaps that of another memory.`, {
      errorType: "memory_path_conflict_error",
      fields: { conflicting_memory_id: other.id, conflicting_path: other.path },
    });
  }
}

function checkContent(content: string): void {
  if (Buffer.byteLength(content) > maxContentBytes) throw new ApiFailure(400, `content: must have at most ${maxContentBytes} bytes.`);
  if (!content.isWellFormed()) throw new ApiFailure(400, "content: is not valid Unicode.");
}

function refuseStale(memory: Memory, expectedSha256: string): void {
  if (memory.sha256 === expectedSha256) return;
  throw new ApiFailure(409, `The content of memory ${memory.id} does not have the expected hash.`, { errorType: "memory_precondition_failed_error" });
}
