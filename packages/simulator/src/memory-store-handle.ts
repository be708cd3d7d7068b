import type { ControlPlane } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import type { MemoryStore } from "./memory-store.ts";
import type { CreateMemoryStoreOptions, MemoryStoreHandle } from "./simulator.ts";

/** @throws {ApiFailure} what the API would refuse */
export function createMemoryStore(plane: ControlPlane, { memories = {}, ...params }: CreateMemoryStoreOptions): MemoryStoreHandle {
  const handle = memoryStoreHandle(plane, plane.memoryStores.create(params));
  for (const [path, content] of Object.entries(memories)) handle.write(path, content);
  return handle;
}

export function memoryStoreHandle(plane: ControlPlane, store: MemoryStore): MemoryStoreHandle {
  return {
    id: store.id,
    get name() {
      return store.name;
    },
    get memories() {
      return Object.fromEntries(store.memories().map(({ path, content }) => [path, content]));
    },
    write(path, content) {
      plane.memoryStores.refuseArchived(store);
      const existing = store.memoryAt(path);
      if (existing === undefined) store.create(path, content, null);
      else store.update(existing.id, { content }, null);
    },
    remove(path) {
      const memory = store.memoryAt(path);
      if (memory === undefined) throw new ApiFailure(404, `No memory at ${path}.`);
      store.delete(memory.id, null, null);
    },
    archive: () => plane.memoryStores.archive(store),
  };
}
