import { connect } from "node:net";
import type { Duplex } from "node:stream";
import { SandboxError } from "@glovebox/core";
import type { GuestStream, GuestStreamReceiver } from "./guest-stream.ts";

/** Below this many bytes one buffer is cheaper to send than a list. */
const JOINED_BYTES = 16_384;

/** A Node stream (a socket, the stdio of a spawned `connect`) as the guest's; the stream belongs to the result from then on. */
export function nodeGuestStream(duplex: Duplex): GuestStream {
  let receiver: GuestStreamReceiver | undefined;
  let cause: Error | undefined;
  let over = false;
  const finish = (): void => {
    if (over || receiver === undefined) return;
    over = true;
    duplex.destroy();
    receiver.closed(cause);
  };
  duplex.on("error", (error: Error) => {
    cause = error;
  });
  duplex.on("close", finish);
  return {
    start(to) {
      receiver = to;
      duplex.on("data", (chunk: Uint8Array) => {
        if (!over) to.bytes(chunk);
      });
      duplex.on("drain", () => {
        if (!over) to.drained();
      });
      duplex.on("end", finish);
      if (duplex.destroyed || duplex.readableEnded) finish();
    },
    write(chunks) {
      if (over || duplex.destroyed) return true; // `closed` has told, or will
      return chunks.length === 1 ? duplex.write(chunks[0]) : writeAll(duplex, chunks);
    },
    close() {
      over = true;
      duplex.destroy();
    },
  };
}

function writeAll(duplex: Duplex, chunks: readonly Uint8Array[]): boolean {
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  if (length <= JOINED_BYTES) return duplex.write(Buffer.concat(chunks, length));
  let welcome = true;
  duplex.cork();
  for (const chunk of chunks) welcome = duplex.write(chunk);
  duplex.uncork();
  return welcome;
}

/**
 * Dial a guest, or a proxy to one, that listens on a unix socket.
 * @throws {SandboxError} `unavailable`, effect `none`: nobody listens at `path`
 */
export async function connectUnixSocket(path: string, signal: AbortSignal): Promise<GuestStream> {
  signal.throwIfAborted();
  const socket = connect(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onAbort = (): void => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  socket.once("connect", resolve);
  socket.once("error", (cause) => {
    reject(new SandboxError("unavailable", `no guest answers at ${path}; is the sandbox running?`, { cause, effect: "none" }));
  });
  try {
    await promise;
    return nodeGuestStream(socket);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
