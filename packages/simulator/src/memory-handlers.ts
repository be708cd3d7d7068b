import { z } from "zod";
import type { ControlPlane } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import { directChild } from "./memory-path.ts";
import type { Actor, MemoryStore } from "./memory-store.ts";
import { wireMemory, wireStore, wireVersion, type View } from "./memory-wire.ts";
import { integer, pageOf, type Page, type PageOptions } from "./paging.ts";
import { choice, ok, parameter, parseWith, type ApiRequest, type HandlersOf, type Reply } from "./request.ts";
import { attachmentsOf } from "./session-resources.ts";
import { timeFilter } from "./time-filter.ts";
import { timestamp } from "./wire.ts";

const sha256 = z.string().regex(/^[0-9a-f]{64}$/, "must be 64 lowercase hexadecimal characters");
const createBody = z.strictObject({ path: z.string(), content: z.string() });
const updateBody = z.strictObject({
  content: z.string().nullish(),
  path: z.string().nullish(),
  precondition: z.strictObject({ type: z.literal("content_sha256"), content_sha256: sha256 }).optional(),
});

/** Handlers of `/v1/memory_stores` and what is beneath. */
export function memoryHandlers(plane: ControlPlane): HandlersOf<"memory_stores" | "memories" | "memory_versions"> {
  const stores = plane.memoryStores;
  const storeOf = (request: ApiRequest): MemoryStore => {
    const id = parameter(request, "store");
    if (request.credential.kind === "sessions_token" && accessOf(plane, request, id) === null) {
      throw new ApiFailure(plane.behaviour.foreignStatus, `Memory store ${id} is not attached to this credential's session.`);
    }
    return stores.get(id);
  };
  const writableStoreOf = (request: ApiRequest): MemoryStore => {
    const store = storeOf(request);
    if (request.credential.kind === "sessions_token" && accessOf(plane, request, store.id) === "read_only") {
      throw new ApiFailure(plane.behaviour.readOnlyWriteStatus, `Memory store ${store.id} is attached read-only.`);
    }
    return store;
  };
  return {
    "memory_stores.create": (request) => ok(wireStore(stores.create(request.body))),

    "memory_stores.list"(request) {
      const inTime = timeFilter(request.query);
      const archivedToo = request.query.get("include_archived") === "true";
      const shown = stores.all().filter((store) => (archivedToo || store.archivedAtMs === null) && inTime(timestamp(store.createdAtMs)));
      return list(pageOf(shown, request.query, { keyOf: (store) => store.sequence, descending: true }), wireStore);
    },

    "memory_stores.retrieve": (request) => ok(wireStore(storeOf(request))),

    "memory_stores.update"(request) {
      const store = storeOf(request);
      stores.update(store, request.body ?? {});
      return ok(wireStore(store));
    },

    "memory_stores.delete"(request) {
      const store = storeOf(request);
      stores.delete(store);
      return ok({ id: store.id, type: "memory_store_deleted" });
    },

    "memory_stores.archive"(request) {
      const store = storeOf(request);
      stores.archive(store);
      return ok(wireStore(store));
    },

    "memories.list"(request) {
      const store = storeOf(request);
      const { query } = request;
      const view = viewOf(query, "basic");
      const depth = integer(query, "depth", { min: 0, max: 1 });
      const prefix = query.get("path_prefix") ?? "/";
      if (!prefix.startsWith("/") || !prefix.endsWith("/")) throw new ApiFailure(400, "path_prefix: must start and end with /.");
      const memories = store.memories().filter((memory) => memory.path.startsWith(prefix));
      const entries = new Map(memories.map((memory) => [depth === 1 ? directChild(memory.path, prefix) : memory.path, memory]));
      const paths = [...entries.keys()].sort((left, right) => (left < right ? -1 : 1));
      return list(pageOf(paths, query, { keyOf: (path) => path, ...limitsOf(view) }), (path) => {
        const memory = entries.get(path);
        return memory?.path === path ? wireMemory(store, memory, view) : { type: "memory_prefix", path };
      });
    },

    "memories.create"(request) {
      const store = writableStoreOf(request);
      const { path, content } = parseWith(createBody, request.body);
      stores.refuseArchived(store);
      return ok(wireMemory(store, store.create(path, content, actorOf(request)), viewOf(request.query, "basic")));
    },

    "memories.retrieve"(request) {
      const store = storeOf(request);
      return ok(wireMemory(store, store.memory(parameter(request, "memory")), viewOf(request.query, "full")));
    },

    "memories.update"(request) {
      const store = writableStoreOf(request);
      const { content, path, precondition } = parseWith(updateBody, request.body ?? {});
      stores.refuseArchived(store);
      const change = {
        ...(content == null ? {} : { content }),
        ...(path == null ? {} : { path }),
        ...(precondition === undefined ? {} : { expectedSha256: precondition.content_sha256 }),
      };
      return ok(wireMemory(store, store.update(parameter(request, "memory"), change, actorOf(request)), viewOf(request.query, "basic")));
    },

    // an archived store lets its memories be deleted and its versions redacted: SDK, MemoryStore.archived_at
    "memories.delete"(request) {
      const store = writableStoreOf(request);
      const expected = request.query.get("expected_content_sha256");
      if (expected !== null) parseWith(z.object({ expected_content_sha256: sha256 }), { expected_content_sha256: expected });
      const id = parameter(request, "memory");
      store.delete(id, expected, actorOf(request));
      return ok({ id, type: "memory_deleted" });
    },

    "memory_versions.list"(request) {
      const store = storeOf(request);
      const { query } = request;
      const view = viewOf(query, "basic");
      const operation = choice(query, "operation", ["created", "modified", "deleted"]);
      const inTime = timeFilter(query);
      const by = (name: string): string | null => query.get(name);
      const shown = store
        .versions()
        .filter(
          (version) =>
            (operation === null || version.operation === operation) &&
            (by("memory_id") === null || version.memoryId === by("memory_id")) &&
            (by("session_id") === null || version.createdBy?.["session_id"] === by("session_id")) &&
            (by("api_key_id") === null || version.createdBy?.["api_key_id"] === by("api_key_id")) &&
            (by("service_account_id") === null || version.createdBy?.["service_account_id"] === by("service_account_id")) &&
            inTime(timestamp(version.createdAtMs)),
        );
      const page = pageOf(shown, query, { keyOf: (version) => version.sequence, descending: true, ...limitsOf(view) });
      return list(page, (version) => wireVersion(store, version, view));
    },

    "memory_versions.retrieve"(request) {
      const store = storeOf(request);
      return ok(wireVersion(store, store.version(parameter(request, "version")), viewOf(request.query, "full")));
    },

    "memory_versions.redact"(request) {
      const store = storeOf(request);
      return ok(wireVersion(store, store.redact(parameter(request, "version"), actorOf(request)), "full"));
    },
  };
}

function list<Item>({ data, next }: Page<Item>, toWire: (item: Item) => unknown): Reply {
  return ok({ data: data.map(toWire), next_page: next });
}

/** Pages that carry contents are shorter. */
function limitsOf(view: View): Pick<PageOptions<unknown>, "most" | "usual"> {
  return view === "full" ? { most: 20, usual: 20 } : { most: 100, usual: 100 };
}

function viewOf(query: URLSearchParams, otherwise: View): View {
  return choice(query, "view", ["basic", "full"]) ?? otherwise;
}

/** How the session of a sessions token has a store; `null`: it has not. */
function accessOf(plane: ControlPlane, { credential }: ApiRequest, storeId: string): "read_write" | "read_only" | null {
  const session = credential.kind === "sessions_token" ? plane.sessions.get(credential.sessionId) : undefined;
  return attachmentsOf(session?.resources ?? []).find((each) => each.memory_store_id === storeId)?.access ?? null;
}

function actorOf({ credential }: ApiRequest): Actor | null {
  if (credential.kind === "api_key") return { type: "api_actor", api_key_id: credential.id };
  return credential.kind === "sessions_token" ? { type: "session_actor", session_id: credential.sessionId } : null;
}
