import { z } from "zod";
import type { Behaviour } from "./behaviour.ts";
import type { SkewableClock } from "./clock.ts";
import { ApiFailure } from "./failure.ts";
import { MemoryStore } from "./memory-store.ts";
import { mergeMetadata } from "./metadata.ts";
import { parseWith } from "./request.ts";
import type { Webhooks } from "./webhooks.ts";

const maxStoresOfSession = 8;

const name = z
  .string()
  .min(1)
  .max(255)
  .regex(/^\P{Cc}*$/u, "must not contain control characters");
const description = z.string().max(1024);

const createBody = z.strictObject({ name, description: description.optional(), metadata: z.record(z.string(), z.string()).optional() });
const updateBody = z.strictObject({
  name: name.nullish(),
  description: description.nullish(),
  metadata: z.record(z.string(), z.string().nullable()).nullish(),
});

/** How a session asks for a store. */
export interface AttachmentParams {
  readonly type: "memory_store";
  readonly memory_store_id: string;
  readonly access?: "read_write" | "read_only" | null | undefined;
  readonly instructions?: string | null | undefined;
}

/** A store as a session has it: name and description are those at its creation. */
export interface Attachment {
  readonly type: "memory_store";
  readonly memory_store_id: string;
  readonly access: "read_write" | "read_only";
  readonly instructions: string | null;
  readonly name: string;
  readonly description: string;
  readonly mount_path: string | null;
}

/** All memory stores, and the rules of attaching them. */
export class MemoryStores {
  readonly #clock: SkewableClock;
  readonly #behaviour: Behaviour;
  readonly #stores = new Map<string, MemoryStore>();
  readonly #webhooks: Webhooks;
  #created = 0;

  /** @param webhooks are told of new, archived and deleted stores */
  constructor(clock: SkewableClock, behaviour: Behaviour, webhooks: Webhooks) {
    this.#clock = clock;
    this.#behaviour = behaviour;
    this.#webhooks = webhooks;
  }

  /** Oldest first. */
  all(): readonly MemoryStore[] {
    return [...this.#stores.values()];
  }

  find(id: string): MemoryStore | undefined {
    return this.#stores.get(id);
  }

  /** @throws {ApiFailure} 404 */
  get(id: string): MemoryStore {
    const store = this.#stores.get(id);
    if (store === undefined) throw new ApiFailure(404, `Memory store ${id} not found.`);
    return store;
  }

  /** @throws {ApiFailure} 400: `params` are none */
  create(params: unknown): MemoryStore {
    const body = parseWith(createBody, params);
    const fields = { name: body.name, description: body.description ?? "", metadata: mergeMetadata({}, body.metadata ?? {}) };
    const store = new MemoryStore(this.#clock, this.#created++, fields);
    this.#stores.set(store.id, store);
    this.#webhooks.tell("memory_store.created", store.id);
    return store;
  }

  /** @throws {ApiFailure} 400: `params` are none; `archivedStoreStatus` */
  update(store: MemoryStore, params: unknown): void {
    const body = parseWith(updateBody, params);
    this.refuseArchived(store);
    const metadata = mergeMetadata(store.metadata, body.metadata ?? {});
    store.name = body.name ?? store.name;
    store.description = body.description ?? store.description;
    store.metadata = metadata;
    store.updatedAtMs = this.#clock.stampMs();
  }

  /** One-way; again, it changes nothing. */
  archive(store: MemoryStore): void {
    if (store.archivedAtMs !== null) return;
    store.archivedAtMs = this.#clock.stampMs();
    store.updatedAtMs = store.archivedAtMs;
    this.#webhooks.tell("memory_store.archived", store.id);
  }

  delete(store: MemoryStore): void {
    this.#stores.delete(store.id);
    this.#webhooks.tell("memory_store.deleted", store.id);
  }

  /** @throws {ApiFailure} `archivedStoreStatus` */
  refuseArchived(store: MemoryStore): void {
    if (store.archivedAtMs !== null) throw new ApiFailure(this.#behaviour.archivedStoreStatus, `Memory store ${store.id} is archived.`);
  }

  /** @throws {ApiFailure} 400: too many, or one twice; 404: unknown; `archivedStoreStatus` */
  attach(wanted: readonly AttachmentParams[]): readonly Attachment[] {
    if (wanted.length > maxStoresOfSession) throw new ApiFailure(400, `resources: at most ${maxStoresOfSession} memory stores.`);
    const attached: Attachment[] = [];
    for (const { memory_store_id, access, instructions } of wanted) {
      const store = this.get(memory_store_id);
      this.refuseArchived(store);
      if (attached.some((each) => each.memory_store_id === store.id)) throw new ApiFailure(400, `resources: ${store.id} is attached twice.`);
      const mount_path = this.#mountPath(
        store.name,
        attached.map((each) => each.mount_path),
      );
      attached.push({
        type: "memory_store",
        memory_store_id,
        access: access ?? "read_write",
        instructions: instructions ?? null,
        name: store.name,
        description: store.description,
        mount_path,
      });
    }
    return attached;
  }

  #mountPath(storeName: string, taken: readonly (string | null)[]): string | null {
    const { memoryMountRoot, mountPathClash } = this.#behaviour;
    if (memoryMountRoot === null) return null;
    const path = `${memoryMountRoot}/${storeName.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")}`;
    if (mountPathClash === "same" || !taken.includes(path)) return path;
    for (let number = 2; ; number++) if (!taken.includes(`${path}-${number}`)) return `${path}-${number}`;
  }
}
