import type { Thread } from "./calls.ts";
import type { ControlPlane, SessionRecord } from "./control-plane.ts";
import { EventStream } from "./event-stream.ts";
import { ApiFailure } from "./failure.ts";
import { encodeCursor, integer, pageOf, readCursor } from "./paging.ts";
import { choice, ok, parameter, type ApiRequest, type HandlersOf, type Reply } from "./request.ts";
import { parseSend } from "./send.ts";
import { sessionOf } from "./session-access.ts";
import { timeFilter } from "./time-filter.ts";
import type { SessionEvent } from "./wire.ts";
import { wireThread } from "./wire-session.ts";

const previewable = ["agent.message", "agent.thinking"];
const maxEventDeltas = 100;

/** Handlers of a session's events and of its threads. */
export function eventHandlers(plane: ControlPlane): HandlersOf<"events" | "threads"> {
  const threadOf = (request: ApiRequest): { readonly record: SessionRecord; readonly thread: Thread } => {
    const record = sessionOf(plane, request);
    const id = parameter(request, "thread");
    const thread = record.session.threads.find((each) => each.id === id);
    if (thread === undefined) throw new ApiFailure(404, `Thread ${id} not found.`);
    return { record, thread };
  };
  return {
    "events.list": (request) => list(sessionOf(plane, request), request, () => true),
    "events.stream": (request) => stream(plane, sessionOf(plane, request), request, () => true),
    "events.send": (request) => ok({ data: sessionOf(plane, request).session.accept(parseSend(request.body, plane.behaviour.emptyText)) }),

    "threads.list"(request) {
      const record = sessionOf(plane, request);
      const statuses = request.query.getAll("statuses[]");
      const shown = record.session.threads.filter(({ state }) => statuses.length === 0 || statuses.includes(state));
      const { data, next } = pageOf(shown, request.query, { keyOf: (thread) => record.session.threads.indexOf(thread) });
      return ok({ data: data.map((thread) => wireThread(record, thread, plane.clock)), next_page: next });
    },

    "threads.retrieve"(request) {
      const { record, thread } = threadOf(request);
      return ok(wireThread(record, thread, plane.clock));
    },

    "threads.archive"(request) {
      const { record, thread } = threadOf(request);
      record.session.archiveThread(thread);
      return ok(wireThread(record, thread, plane.clock));
    },

    "threads.events"(request) {
      const { record, thread } = threadOf(request);
      return list(record, request, eventsOf(thread));
    },

    "threads.stream"(request) {
      const { record, thread } = threadOf(request);
      return stream(plane, record, request, eventsOf(thread));
    },
  };
}

/** The primary thread's events are the session's; what another thread has of them is cross-posted there. */
function eventsOf(thread: Thread): (event: SessionEvent) => boolean {
  return thread.label === null ? () => true : (event) => event["session_thread_id"] === thread.id;
}

function list({ session }: SessionRecord, { query }: ApiRequest, includes: (event: SessionEvent) => boolean): Reply {
  const cursor = readCursor(query);
  const isWanted = eventFilter(query);
  const { events, next } = session.log.list({
    limit: integer(query, "limit", { min: 1, max: 1000 }) ?? 100,
    descending: choice(query, "order", ["asc", "desc"]) === "desc",
    after: cursor === null ? null : Number(cursor.key),
    includes: (event) => includes(event) && isWanted(event),
  });
  return ok({ data: events, next_page: next === null ? null : encodeCursor({ side: "after", key: next }) });
}

function stream(plane: ControlPlane, record: SessionRecord, request: ApiRequest, includes: (event: SessionEvent) => boolean): Reply {
  const deltas = deltasOf(request);
  return {
    stream(response) {
      const { session, streams } = record;
      const opened = new EventStream(response, session.id, plane.faults, plane.behaviour.lineEnds);
      const stop = session.log.listen((event) => {
        if (!includes(event) && event.type !== "session.deleted") return;
        if (deltas.includes(event.type)) preview(opened, event);
        opened.deliver(event);
      });
      streams.add(opened);
      response.once("close", () => {
        stop();
        streams.delete(opened);
      });
      response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" });
      response.flushHeaders();
    },
  };
}

function deltasOf({ query }: ApiRequest): readonly string[] {
  const deltas = query.getAll("event_deltas[]");
  if (deltas.length > maxEventDeltas || deltas.some((type) => !previewable.includes(type))) {
    throw new ApiFailure(400, `event_deltas: at most ${maxEventDeltas}, each one of ${previewable.join(", ")}.`);
  }
  return deltas;
}

/** `types[]` and the bounds on `created_at`, which are compared with `processed_at`. */
function eventFilter(query: URLSearchParams): (event: SessionEvent) => boolean {
  const types = new Set(query.getAll("types[]"));
  const inTime = timeFilter(query);
  return (event) => (types.size === 0 || types.has(event.type)) && inTime(event.processed_at);
}

function preview(opened: EventStream, event: SessionEvent): void {
  opened.preview({ type: "event_start", event: { type: event.type, id: event.id } });
  const content = event["content"];
  for (const [index, block] of (Array.isArray(content) ? content : []).entries()) {
    opened.preview({ type: "event_delta", event_id: event.id, delta: { type: "content_delta", index, content: block } });
  }
}
