import { textBlocks } from "./calls.ts";
import type { ControlPlane, SessionRecord } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import { firstMatch } from "./first-match.ts";
import { memoryStoreHandle } from "./memory-store-handle.ts";
import { parseSend } from "./send.ts";
import { attachmentsOf } from "./session-resources.ts";
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
    get memoryStores() {
      const stores = attachmentsOf(record.resources).map((each) => plane.memoryStores.find(each.memory_store_id));
      return stores.flatMap((store) => (store === undefined ? [] : memoryStoreHandle(plane, store)));
    },
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
    waitForEvent: (matches, signal) =>
      firstMatch({ past: session.log.events.find(matches), listen: (listener) => session.log.listen(listener) }, matches, signal),
    cutStreams() {
      const open = [...streams];
      streams.clear();
      for (const stream of open) stream.reset();
      return open.length;
    },
    redeliver() {
      const item = record.work.at(-1);
      if (item === undefined) throw new Error(`session ${session.id} has no work item`);
      record.environment.queue.redeliver(item);
    },
    expireLease() {
      const item = record.work.findLast((each) => each.lease !== null);
      if (item === undefined) throw new Error(`session ${session.id} has no work item with a lease`);
      record.environment.queue.expire(item);
    },
  };
}
