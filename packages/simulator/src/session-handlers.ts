import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import type { ControlPlane } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import { mergeMetadata } from "./metadata.ts";
import { pageOf } from "./paging.ts";
import { choice, ok, parseWith, type HandlersOf } from "./request.ts";
import { parseSend } from "./send.ts";
import { sessionOf } from "./session-access.ts";
import { attachmentsOf, resourceParams } from "./session-resources.ts";
import { timeFilter } from "./time-filter.ts";
import { timestamp, type JsonObject } from "./wire.ts";
import { wireSession } from "./wire-session.ts";

const createBody = z.strictObject({
  agent: z.union([
    z.string(),
    z.strictObject({ type: z.literal("agent"), id: z.string(), version: z.int().optional() }),
    z.looseObject({ type: z.literal("agent_with_overrides"), id: z.string(), version: z.int().optional() }),
  ]),
  environment_id: z.string(),
  initial_events: z.array(z.unknown()).max(50).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  resources: z.array(resourceParams).optional(),
  vault_ids: z.array(z.string()).max(0, "vaults are not simulated").optional(),
  budget: z.null("budgets are not simulated").optional(),
  title: z.string().nullish(),
});

const entries = z.array(z.looseObject({ type: z.string() }));

const updateBody = z.strictObject({
  title: z.string().nullish(),
  metadata: z.record(z.string(), z.string().nullable()).nullish(),
  agent: z.strictObject({ tools: entries.optional(), mcp_servers: z.array(z.record(z.string(), z.unknown())).optional() }).optional(),
  budget: z.unknown().optional(),
  vault_ids: z.undefined("vault_ids cannot be updated").optional(),
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
        skills: [],
        title: body.title ?? null,
        metadata: mergeMetadata({}, body.metadata ?? {}),
        resources: body.resources ?? [],
        events,
      });
      return ok(wireSession(record));
    },

    "sessions.list"(request) {
      const { query } = request;
      const statuses = query.getAll("statuses[]");
      const agentId = query.get("agent_id");
      const agentVersion = query.get("agent_version");
      const storeId = query.get("memory_store_id");
      const inTime = timeFilter(query);
      const sessions = [...plane.sessions.values()].filter(
        (record) =>
          (statuses.length === 0 || statuses.includes(record.session.shownStatus)) &&
          (agentId === null || (record.agent["id"] === agentId && (agentVersion === null || agentVersion === String(record.agent["version"])))) &&
          (storeId === null || attachmentsOf(record.resources).some((each) => each.memory_store_id === storeId)) &&
          query.get("deployment_id") === null &&
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
      const { title, metadata, agent, budget } = parseWith(updateBody, request.body ?? {});
      if (budget != null) throw new ApiFailure(400, "budget: cannot be added to a session that was created without one (budget_create_only).");
      if (agent !== undefined && record.session.status === "running")
        throw new ApiFailure(400, "agent: cannot be updated while the session is running.");
      const merged = mergeMetadata(record.metadata, metadata ?? {});
      const changed: Record<string, unknown> = {};
      if (title !== undefined && title !== record.title) changed["title"] = record.title = title;
      if (!isDeepStrictEqual(merged, record.metadata)) {
        record.metadata = merged;
        if (Object.keys(merged).length > 0) changed["metadata"] = merged;
      }
      if (agent !== undefined) changed["agent"] = record.agent = { ...record.agent, ...agent };
      record.updatedAtMs = plane.clock.stampMs();
      record.session.log.append({ type: "session.updated", ...changed });
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

function agentOf(agent: z.infer<typeof createBody>["agent"]): { readonly id: string; readonly overrides: JsonObject } {
  if (typeof agent === "string") return { id: agent, overrides: {} };
  const { type, id, version = 1, ...overrides } = agent;
  if (version !== 1) throw new ApiFailure(404, `Agent ${id} has no version ${version}.`);
  if (type === "agent") return { id, overrides: {} };
  return { id, overrides };
}
