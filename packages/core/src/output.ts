import type { OutputLimit } from "./provider.ts";

/** Keeps the first or the last bytes of a stream, in memory bounded by the limit and one chunk, and counts the rest. */
export class OutputCollector {
  readonly #limit: OutputLimit;
  readonly #chunks: Uint8Array[] = [];
  #keptBytes = 0;
  #seenBytes = 0;

  constructor(limit: OutputLimit) {
    this.#limit = limit;
  }

  add(chunk: Uint8Array): void {
    this.#seenBytes += chunk.byteLength;
    const { maxBytes, keep } = this.#limit;
    // a slice, not a view: a view would hold a whole chunk for a byte of it
    const part = keep === "head" ? chunk.slice(0, maxBytes - this.#keptBytes) : chunk.slice(Math.max(0, chunk.byteLength - maxBytes));
    if (part.byteLength === 0) return;
    this.#chunks.push(part);
    this.#keptBytes += part.byteLength;
    while (this.#keptBytes > maxBytes) this.#dropFromFront(this.#keptBytes - maxBytes);
  }

  get droppedBytes(): number {
    return this.#seenBytes - this.#keptBytes;
  }

  bytes(): Uint8Array<ArrayBuffer> {
    const result = new Uint8Array(this.#keptBytes);
    let offset = 0;
    for (const chunk of this.#chunks) {
      result.set(chunk, offset);
      offset += chunk.byteLength;
    }
    return result;
  }

  #dropFromFront(excess: number): void {
    const [first] = this.#chunks;
    if (first === undefined) return;
    if (first.byteLength <= excess) this.#chunks.shift();
    else this.#chunks[0] = first.subarray(excess);
    this.#keptBytes -= Math.min(excess, first.byteLength);
  }
}

/** Read a stream to its end, keeping what the limit allows. An abort cancels the stream, and what came before it is what there is. */
export async function collect(stream: ReadableStream<Uint8Array>, limit: OutputLimit, signal: AbortSignal): Promise<OutputCollector> {
  const collector = new OutputCollector(limit);
  const reader = stream.getReader();
  const onAbort = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (let step = await reader.read(); !step.done; step = await reader.read()) collector.add(step.value);
    return collector;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
