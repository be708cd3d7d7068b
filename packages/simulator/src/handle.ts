import { textBlocks } from "./calls.ts";
import type { ControlPlane, SessionRecord } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import { parseSend } from "./send.ts";
import type { SessionHandle } from "./simulator.ts";
import type { EventParams, SessionEvent } from "./wire.ts";
import { wireWork } from "./work-item.ts";

/** A session's handle: the API's calls without HTTP, and what only a test may do. */
export function sessionHandle(plane: ControlPlane, record: SessionRecord): SessionHandle {
  const { session, streams } = record;
  const send = (events: readonly EventParams[]): readonly SessionEvent[] => session.accept(parseSend({ events }, plane.behaviour.emptyText));
  const sendOne = (event: EventParams): SessionEvent => {
    const [stored] = send([event]);
    if (stored === undefined) throw new ApiFailure(400, "nothing was stored");
    return stored;
  };
  return {
    id: session.id,
    get status() {
      return session.status;
    },
    get events() {
      return [...session.log.events];
    },
    finished: record.play.finished,
    report: () => record.play.report(),
    get work() {
      return record.work.map((item) => wireWork(item));
    },
    send,
    sendMessage: (text) => sendOne({ type: "user.message", content: textBlocks(text) }),
    interrupt: (thread) => sendOne({ type: "user.interrupt", ...(thread === undefined ? {} : { session_thread_id: session.findThread(thread).id }) }),
    confirm: (toolUseId, result, denyMessage) =>
      sendOne({
        type: "user.tool_confirmation",
        tool_use_id: toolUseId,
        result,
        ...(denyMessage === undefined ? {} : { deny_message: denyMessage }),
      }),
    answer: (toolUseId, content, isError = false) =>
      sendOne(session.answerFor(toolUseId, typeof content === "string" ? textBlocks(content) : content, isError)),
    emit: (event, options = {}) => session.log.append(event, options),
    terminate: ({ live = true } = {}) => session.end("session.status_terminated", live),
    terminateThread: (thread) => session.terminateThread(session.findThread(thread)),
    archive: () => plane.archiveSession(record),
    delete: () => plane.deleteSession(record),
    waitForEvent: (matches, signal) => waitForEvent(record, matches, signal),
    cutStreams() {
      const open = [...streams];
      streams.clear();
      for (const stream of open) stream.reset();
      return open.length;
    },
    expireLease() {
      const item = record.work.findLast((each) => each.lease !== null);
      if (item === undefined) throw new Error(`session ${session.id} has no work item with a lease`);
      record.environment.queue.expire(item);
    },
  };
}

function waitForEvent(record: SessionRecord, matches: (event: SessionEvent) => boolean, signal?: AbortSignal): Promise<SessionEvent> {
  const { log } = record.session;
  const past = log.events.find(matches);
  if (past !== undefined) return Promise.resolve(past);
  const { promise, resolve, reject } = Promise.withResolvers<SessionEvent>();
  const stop = log.listen((event) => {
    if (matches(event)) resolve(event);
  });
  const abort = (): void => reject(signal?.reason);
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  return promise.finally(() => {
    stop();
    signal?.removeEventListener("abort", abort);
  });
}
