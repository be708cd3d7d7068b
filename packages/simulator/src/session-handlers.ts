import { z } from "zod";
import type { ControlPlane } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import type { AttachmentParams } from "./memory-stores.ts";
import { mergeMetadata } from "./metadata.ts";
import { pageOf } from "./paging.ts";
import { choice, ok, parseWith, type HandlersOf } from "./request.ts";
import { parseSend } from "./send.ts";
import { sessionOf } from "./session-access.ts";
import { timeFilter } from "./time-filter.ts";
import { timestamp, type JsonObject } from "./wire.ts";
import { wireSession } from "./wire-session.ts";

const resource = z.discriminatedUnion("type", [
  z.strictObject({
    type: z.literal("memory_store"),
    memory_store_id: z.string(),
    access: z.enum(["read_write", "read_only"]).nullish(),
    instructions: z.string().max(4096).nullish(),
  }),
  z.looseObject({ type: z.literal("file"), file_id: z.string() }),
  z.looseObject({ type: z.literal("github_repository"), url: z.string() }),
]);

const createBody = z.strictObject({
  agent: z.union([
    z.string(),
    z.strictObject({ type: z.literal("agent"), id: z.string(), version: z.int().optional() }),
    z.looseObject({ type: z.literal("agent_with_overrides"), id: z.string(), version: z.int().optional() }),
  ]),
  environment_id: z.string(),
  initial_events: z.array(z.unknown()).max(50).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  resources: z.array(resource).optional(),
  vault_ids: z.array(z.string()).max(0, "vaults are not simulated").optional(),
  budget: z.null("budgets are not simulated").optional(),
  title: z.string().nullish(),
});

const updateBody = z.strictObject({
  title: z.string().nullish(),
  metadata: z.record(z.string(), z.string().nullable()).nullish(),
});

const initialTypes = ["user.message", "user.define_outcome"];

/** Handlers of `/v1/sessions`. */
export function sessionHandlers(plane: ControlPlane): HandlersOf<"sessions"> {
  return {
    "sessions.create"(request) {
      const body = parseWith(createBody, request.body);
      const events =
        body.initial_events === undefined || body.initial_events.length === 0
          ? []
          : parseSend({ events: body.initial_events }, plane.behaviour.emptyText);
      const wrong = events.findIndex((event) => !initialTypes.includes(event.type));
      if (wrong !== -1) throw new ApiFailure(400, `initial_events.${wrong}.type: must be one of ${initialTypes.join(", ")}.`);
      const { id, overrides } = agentOf(body.agent);
      const record = plane.createSession({
        environmentId: body.environment_id,
        agentId: id,
        overrides,
        title: body.title ?? null,
        metadata: mergeMetadata({}, body.metadata ?? {}),
        memoryStores: memoryStoresOf(body.environment_id, body.resources ?? []),
        events,
      });
      return ok(wireSession(record));
    },

    "sessions.list"(request) {
      const { query } = request;
      const statuses = query.getAll("statuses[]");
      const agentId = query.get("agent_id");
      const storeId = query.get("memory_store_id");
      const inTime = timeFilter(query);
      const sessions = [...plane.sessions.values()].filter(
        (record) =>
          (statuses.length === 0 || statuses.includes(record.session.status)) &&
          (agentId === null || record.agent["id"] === agentId) &&
          (storeId === null || record.memoryStores.some((each) => each.memory_store_id === storeId)) &&
          (query.get("include_archived") === "true" || record.archivedAtMs === null) &&
          inTime(timestamp(record.session.createdAtMs)),
      );
      const descending = choice(query, "order", ["asc", "desc"]) !== "asc";
      const { data, next, previous } = pageOf(sessions, query, { keyOf: (record) => record.sequence, descending });
      return ok({ data: data.map(wireSession), next_page: next, prev_page: previous });
    },

    "sessions.retrieve": (request) => ok(wireSession(sessionOf(plane, request))),

    "sessions.update"(request) {
      const record = sessionOf(plane, request);
      const changes = parseWith(updateBody, request.body ?? {});
      record.metadata = mergeMetadata(record.metadata, changes.metadata ?? {});
      if (changes.title !== undefined) record.title = changes.title;
      record.updatedAtMs = plane.clock.now();
      record.session.log.append({ type: "session.updated", title: record.title, metadata: record.metadata });
      return ok(wireSession(record));
    },

    "sessions.delete"(request) {
      const record = sessionOf(plane, request);
      plane.deleteSession(record);
      return ok({ id: record.session.id, type: "session_deleted" });
    },

    "sessions.archive"(request) {
      const record = sessionOf(plane, request);
      plane.archiveSession(record);
      return ok(wireSession(record));
    },
  };
}

/** @throws {ApiFailure} 400: what a self-hosted environment does not take */
function memoryStoresOf(environmentId: string, resources: readonly z.infer<typeof resource>[]): readonly AttachmentParams[] {
  return resources.map((each) => {
    if (each.type === "memory_store") return each;
    throw new ApiFailure(
      400,
      `Environment ${environmentId} is a self-hosted environment. \`resources\` are not supported with self-hosted environments.`,
    );
  });
}

function agentOf(agent: z.infer<typeof createBody>["agent"]): { readonly id: string; readonly overrides: JsonObject } {
  if (typeof agent === "string") return { id: agent, overrides: {} };
  if (agent.type === "agent") return { id: agent.id, overrides: {} };
  const { type: _type, id, ...overrides } = agent;
  return { id, overrides };
}
