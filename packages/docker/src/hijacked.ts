import { Duplex } from "node:stream";

const HEADER_BYTES = 8;
const STDOUT = 1;
const STDERR = 2;
const MAX_REPORT_BYTES = 4096;

/**
 * A hijacked connection without a terminal: what comes is cut into frames (u8 stream, three zeros, u32 length), what goes is raw.
 * Source: the engine's API reference, "Attach to a container", stream format. The socket belongs to the result from then on.
 */
export function demultiplex(socket: Duplex, head: Buffer, report: (text: string) => void): Duplex {
  const frames = new FrameReader();
  const result = new Duplex({
    allowHalfOpen: true,
    read: () => void socket.resume(),
    write: (chunk: Buffer, _encoding, done) => void socket.write(chunk, done),
    final: (done) => void socket.end(done),
    destroy: (error, done) => {
      socket.destroy();
      done(error);
    },
  });
  const take = (chunk: Buffer): void => {
    for (const { stream, payload } of frames.read(chunk)) {
      if (stream === STDOUT && !result.push(payload)) socket.pause();
      if (stream === STDERR) report(payload.subarray(0, MAX_REPORT_BYTES).toString("utf8"));
    }
  };
  socket.on("data", take);
  socket.on("end", () => result.push(null));
  socket.on("error", (error) => result.destroy(error));
  socket.on("close", () => result.destroy());
  if (head.length > 0) take(head);
  return result;
}

/** Cuts frames out of chunks; a payload that is spread over chunks comes in pieces, without a copy. */
export class FrameReader {
  readonly #header = Buffer.alloc(HEADER_BYTES);
  #headerLength = 0;
  #stream = 0;
  #remaining = 0;

  *read(chunk: Buffer): Generator<{ readonly stream: number; readonly payload: Buffer }> {
    let offset = 0;
    while (offset < chunk.length) {
      if (this.#remaining === 0) {
        const taken = Math.min(HEADER_BYTES - this.#headerLength, chunk.length - offset);
        chunk.copy(this.#header, this.#headerLength, offset, offset + taken);
        this.#headerLength += taken;
        offset += taken;
        if (this.#headerLength < HEADER_BYTES) return;
        this.#headerLength = 0;
        this.#stream = this.#header.readUInt8(0);
        this.#remaining = this.#header.readUInt32BE(4);
        continue;
      }
      const payload = chunk.subarray(offset, offset + this.#remaining);
      this.#remaining -= payload.length;
      offset += payload.length;
      yield { stream: this.#stream, payload };
    }
  }
}
