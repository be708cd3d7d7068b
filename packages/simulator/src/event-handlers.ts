import type { ControlPlane } from "./control-plane.ts";
import { EventStream } from "./event-stream.ts";
import { ApiFailure } from "./failure.ts";
import { encodeCursor, integer, readCursor } from "./paging.ts";
import { choice, ok, type ApiRequest, type HandlersOf } from "./request.ts";
import { parseSend } from "./send.ts";
import { sessionOf } from "./session-access.ts";
import { timeFilter } from "./time-filter.ts";
import type { SessionEvent } from "./wire.ts";

const previewable = ["agent.message", "agent.thinking"];
const maxEventDeltas = 100;

/** Handlers of a session's events. */
export function eventHandlers(plane: ControlPlane): HandlersOf<"events"> {
  return {
    "events.list"(request) {
      const { log } = sessionOf(plane, request).session;
      const { query } = request;
      const cursor = readCursor(query);
      const { events, next } = log.list({
        limit: integer(query, "limit", { min: 1, max: 1000 }) ?? 100,
        descending: choice(query, "order", ["asc", "desc"]) === "desc",
        after: cursor === null ? null : Number(cursor.key),
        includes: eventFilter(query),
      });
      return ok({ data: events, next_page: next === null ? null : encodeCursor({ side: "after", key: next }) });
    },

    "events.stream"(request) {
      const record = sessionOf(plane, request);
      const deltas = deltasOf(request);
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

    "events.send"(request) {
      const { session } = sessionOf(plane, request);
      return ok({ data: session.accept(parseSend(request.body, plane.behaviour.emptyText)) });
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

function preview(stream: EventStream, event: SessionEvent): void {
  stream.preview({ type: "event_start", event: { type: event.type, id: event.id } });
  const content = event["content"];
  for (const [index, block] of (Array.isArray(content) ? content : []).entries()) {
    stream.preview({ type: "event_delta", event_id: event.id, delta: { type: "content_delta", index, content: block } });
  }
}
