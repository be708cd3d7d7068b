import { asSandboxError } from "./calls.ts";
import { checkText } from "./checks.ts";

/** What a caller may give as content: text as UTF-8, bytes, or a stream that is read once. */
export type Content = string | Uint8Array | ReadableStream<Uint8Array>;

/** @throws {SandboxError} `invalid_argument` for text that UTF-8 cannot say */
export function contentStream(what: string, content: Content): ReadableStream<Uint8Array> {
  if (content instanceof ReadableStream) return content;
  const bytes = typeof content === "string" ? new TextEncoder().encode(checkText(what, content)) : content;
  const chunkBytes = 65_536;
  let offset = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull(controller) {
        if (offset < bytes.byteLength) controller.enqueue(bytes.slice(offset, (offset += chunkBytes)));
        else controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** The same bytes, failing at once when the signal aborts, even over a stream that does not; what it throws is ours. */
export function guarded(stream: ReadableStream<Uint8Array>, signal: AbortSignal, name: string): ReadableStream<Uint8Array> {
  const reader = stream.getReader();
  let onAbort: () => void = () => undefined;
  const finish = (): void => signal.removeEventListener("abort", onAbort);
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        onAbort = () => {
          controller.error(signal.reason);
          void reader.cancel(signal.reason).catch(() => undefined);
        };
        if (signal.aborted) onAbort();
        else signal.addEventListener("abort", onAbort, { once: true });
      },
      async pull(controller) {
        try {
          const step = await reader.read();
          if (signal.aborted) return;
          if (!step.done) return controller.enqueue(step.value);
          finish();
          controller.close();
        } catch (error) {
          finish();
          if (!signal.aborted) controller.error(asSandboxError(error, name));
        }
      },
      async cancel(reason) {
        finish();
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/**
 * Write a source into a program's input and close it. A program that ends without reading is no failure; a source that fails is.
 * @throws what the source threw, as it is
 */
export async function feed(source: ReadableStream<Uint8Array>, sink: WritableStream<Uint8Array>, ended: AbortSignal): Promise<void> {
  const reader = source.getReader();
  const writer = sink.getWriter();
  writer.closed.catch(() => undefined);
  const stop = (): void => void reader.cancel().catch(() => undefined);
  ended.addEventListener("abort", stop, { once: true });
  try {
    for (;;) {
      const step = await reader.read();
      if (step.done) break;
      if (!(await accepted(writer.write(step.value)))) return stop();
    }
    await accepted(writer.close());
  } catch (error) {
    void writer.abort(error).catch(() => undefined);
    throw error;
  } finally {
    ended.removeEventListener("abort", stop);
  }
}

async function accepted(writing: Promise<void>): Promise<boolean> {
  return await writing.then(
    () => true,
    () => false,
  );
}
