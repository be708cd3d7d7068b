import { z } from "zod";
import { wireSession, type ControlPlane, type SessionRecord } from "./control-plane.ts";
import { EventStream } from "./event-stream.ts";
import { ApiFailure } from "./failure.ts";
import { decodeCursor, encodeCursor, integer, ok, pageOf, parameter, parseWith, type ApiRequest, type Reply } from "./request.ts";
import { parseSend } from "./send.ts";
import type { JsonObject, SessionEvent } from "./wire.ts";
import { mergeMetadata } from "./work-handlers.ts";

const createBody = z.strictObject({
  agent: z.union([
    z.string(),
    z.strictObject({ type: z.literal("agent"), id: z.string(), version: z.int().optional() }),
    z.looseObject({ type: z.literal("agent_with_overrides"), id: z.string(), version: z.int().optional() }),
  ]),
  environment_id: z.string(),
  initial_events: z.array(z.unknown()).max(50).optional(),
  metadata: z.record(z.string(), z.string()).optional(),
  resources: z.array(z.looseObject({ type: z.string() })).optional(),
  vault_ids: z.array(z.string()).max(0, "vaults are not simulated").optional(),
  budget: z.null("budgets are not simulated").optional(),
  title: z.string().nullish(),
});

const updateBody = z.strictObject({
  title: z.string().nullish(),
  metadata: z.record(z.string(), z.string().nullable()).optional(),
});

const initialTypes = ["user.message", "user.define_outcome"];
const previewable = ["agent.message", "agent.thinking"];
const maxEventDeltas = 100;
const timeBounds = ["gt", "gte", "lt", "lte"] as const;

/** Handlers of `/v1/sessions` and the events beneath. */
export interface SessionHandlers {
  create(request: ApiRequest): Reply;
  list(request: ApiRequest): Reply;
  retrieve(request: ApiRequest): Reply;
  update(request: ApiRequest): Reply;
  remove(request: ApiRequest): Reply;
  archive(request: ApiRequest): Reply;
  listEvents(request: ApiRequest): Reply;
  streamEvents(request: ApiRequest): Reply;
  sendEvents(request: ApiRequest): Reply;
}

export function sessionHandlers(plane: ControlPlane): SessionHandlers {
  const recordOf = (request: ApiRequest): SessionRecord => {
    const id = parameter(request, "session");
    const { credential } = request;
    const record = plane.record(id);
    const foreign =
      credential.kind === "sessions_token"
        ? credential.sessionId !== id
        : credential.kind === "environment_key" && credential.environmentId !== record.environment.id;
    if (foreign) throw new ApiFailure(plane.behaviour.foreignStatus, `This credential does not belong to session ${id}.`);
    return record;
  };
  return {
    create(request) {
      const body = parseWith(createBody, request.body);
      refuseResources(body.environment_id, body.resources ?? []);
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
        events,
      });
      return ok(wireSession(record));
    },

    list(request) {
      const { query } = request;
      const statuses = query.getAll("statuses[]");
      const agentId = query.get("agent_id");
      const sessions = [...plane.sessions.values()].filter(
        (record) =>
          (statuses.length === 0 || statuses.includes(record.session.status)) &&
          (agentId === null || record.agent["id"] === agentId) &&
          (query.get("include_archived") === "true" || record.archivedAtMs === null),
      );
      if (query.get("order") !== "asc") sessions.reverse();
      const { data, next } = pageOf(sessions, query);
      return ok({ data: data.map(wireSession), next_page: next === null ? null : encodeCursor(next), prev_page: null });
    },

    retrieve: (request) => ok(wireSession(recordOf(request))),

    update(request) {
      const record = recordOf(request);
      const changes = parseWith(updateBody, request.body ?? {});
      const metadata = Object.entries(changes.metadata ?? {}).map(([key, value]) => [key, value === "" ? null : value] as const);
      record.metadata = mergeMetadata(record.metadata, Object.fromEntries(metadata));
      if (changes.title !== undefined) record.title = changes.title;
      record.updatedAtMs = plane.clock.now();
      record.session.log.append({ type: "session.updated", title: record.title, metadata: record.metadata });
      return ok(wireSession(record));
    },

    remove(request) {
      const record = recordOf(request);
      plane.deleteSession(record);
      return ok({ id: record.session.id, type: "session_deleted" });
    },

    archive(request) {
      const record = recordOf(request);
      plane.archiveSession(record);
      return ok(wireSession(record));
    },

    listEvents(request) {
      const { log } = recordOf(request).session;
      const { query } = request;
      const order = query.get("order") ?? "asc";
      if (order !== "asc" && order !== "desc") throw new ApiFailure(400, "order: must be asc or desc.");
      const { events, next } = log.list({
        limit: integer(query, "limit", { min: 1, max: 1000 }) ?? 100,
        descending: order === "desc",
        after: decodeCursor(query),
        includes: eventFilter(query),
      });
      return ok({ data: events, next_page: next === null ? null : encodeCursor(next) });
    },

    streamEvents(request) {
      const record = recordOf(request);
      const deltas = request.query.getAll("event_deltas[]");
      if (deltas.length > maxEventDeltas || deltas.some((type) => !previewable.includes(type))) {
        throw new ApiFailure(400, `event_deltas: at most ${maxEventDeltas}, each one of ${previewable.join(", ")}.`);
      }
      return {
        stream(response) {
          const { session, streams } = record;
          const stream = new EventStream(response, session.id, plane.faults, plane.behaviour.lineEnds);
          const stop = session.log.listen((event) => {
            if (deltas.includes(event.type)) preview(stream, event);
            stream.deliver(event);
          });
          streams.add(stream);
          response.once("close", () => {
            stop();
            streams.delete(stream);
          });
          response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
          response.flushHeaders();
        },
      };
    },

    sendEvents(request) {
      const { session } = recordOf(request);
      return ok({ data: session.accept(parseSend(request.body, plane.behaviour.emptyText)) });
    },
  };
}

function refuseResources(environmentId: string, resources: readonly { readonly type: string }[]): void {
  if (resources.some((resource) => resource.type === "file" || resource.type === "github_repository")) {
    throw new ApiFailure(
      400,
      `Environment ${environmentId} is a self-hosted environment. \`resources\` are not supported with self-hosted environments.`,
    );
  }
  if (resources.length > 0) throw new ApiFailure(400, "resources: memory stores are not simulated.");
}

function agentOf(agent: z.infer<typeof createBody>["agent"]): { readonly id: string; readonly overrides: JsonObject } {
  if (typeof agent === "string") return { id: agent, overrides: {} };
  if (agent.type === "agent") return { id: agent.id, overrides: {} };
  const { type: _type, id, ...overrides } = agent;
  return { id, overrides };
}

/** `types[]` and the bounds on `created_at`, which are compared with `processed_at`. */
function eventFilter(query: URLSearchParams): (event: SessionEvent) => boolean {
  const types = new Set(query.getAll("types[]"));
  const bounds = timeBounds.flatMap((bound) => {
    const text = query.get(`created_at[${bound}]`);
    if (text === null) return [];
    if (Number.isNaN(Date.parse(text))) throw new ApiFailure(400, `created_at[${bound}]: is not an RFC 3339 time.`);
    return [{ bound, atMicros: microsOf(text) }];
  });
  return (event) => {
    if (types.size > 0 && !types.has(event.type)) return false;
    if (bounds.length === 0) return true;
    if (event.processed_at === null) return false;
    const micros = microsOf(event.processed_at);
    return bounds.every(({ bound, atMicros }) => {
      if (bound === "gt") return micros > atMicros;
      if (bound === "gte") return micros >= atMicros;
      return bound === "lt" ? micros < atMicros : micros <= atMicros;
    });
  };
}

/** Microseconds since the epoch; `Date` itself stops at milliseconds. */
function microsOf(text: string): number {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  return Math.floor(Date.parse(text) / 1000) * 1_000_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}

function preview(stream: EventStream, event: SessionEvent): void {
  stream.preview({ type: "event_start", event: { type: event.type, id: event.id } });
  const content = event["content"];
  for (const [index, block] of (Array.isArray(content) ? content : []).entries()) {
    stream.preview({ type: "event_delta", event_id: event.id, delta: { type: "content_delta", index, content: block } });
  }
}
