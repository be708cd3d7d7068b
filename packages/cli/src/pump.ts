import { once } from "node:events";
import type { Writable } from "node:stream";

/**
 * Write everything that a stream gives, as fast as the output takes it. The output stays open. When the output closes, the rest is read and dropped,
 * so that what writes into the stream is never stuck.
 * @param transform what to write for a chunk; default: the bytes as they are
 */
export async function pump(
  from: ReadableStream<Uint8Array>,
  to: Writable,
  transform: (chunk: Uint8Array) => Uint8Array | string = (chunk) => chunk,
): Promise<void> {
  for await (const chunk of from) {
    if (to.destroyed || to.errored !== null) continue;
    if (to.write(transform(chunk))) continue;
    const settled = new AbortController();
    await Promise.race(["drain", "close", "error"].map((event) => once(to, event, { signal: settled.signal }))).catch(() => undefined);
    settled.abort();
  }
}
