import { type DirectoryEntry, type FilesFacet, type MutationOptions } from "@glovebox/core";
import { askAgain, callGuest, type GuestLink } from "./call.ts";
import type { GuestConnection } from "./connection.ts";
import { invalidRequest, lossOf, violation } from "./failures.ts";
import { type JsonObject, parseObject } from "./json.ts";
import type { CallStream } from "./mux.ts";
import { joined, OutputChannel } from "./output.ts";
import { parseDirectoryEntry, parseFileStat, parseSizeBytes } from "./results.ts";

/** Content up to here is gathered and sent in one piece, so that a keyed write can be asked for again. */
const GATHERED_BYTES = 1_048_576;
/** Of a line of a listing: a path of any length that Linux knows, escaped. */
const MAX_LINE_BYTES = 131_072;
const NEWLINE = 0x0a;

export function filesFacet(link: GuestLink): FilesFacet {
  const change = (op: string, { signal, call }: MutationOptions, members: JsonObject): Promise<void> =>
    callGuest(link, { request: { ...members, op }, readOnly: false, key: call, maxOutputBytes: 0, parse: () => undefined }, signal);
  return {
    stat: ({ path, roots, follow }, { signal }) =>
      callGuest(link, { request: { op: "file.stat", path, roots, follow }, readOnly: true, maxOutputBytes: 0, parse: parseFileStat }, signal),
    read: ({ path, roots, offset, length }, { signal }) =>
      askAgain(link, undefined, "none", signal, (connection) =>
        read(connection, { op: "file.read", path, roots, offset, length }, length ?? Number.POSITIVE_INFINITY, signal),
      ),
    write: ({ path, roots, mode, createParents, parentMode, exclusive }, content, options) =>
      write(link, { op: "file.write", path, roots, mode, createParents, parentMode, exclusive }, content, options),
    list: ({ path, roots, recursive }, { signal }) => list(link, { op: "file.list", path, roots, recursive }, signal),
    mkdir: ({ path, roots, mode, createParents }, options) => change("file.mkdir", options, { path, roots, mode, createParents }),
    remove: ({ path, roots, recursive, missingOk }, options) => change("file.remove", options, { path, roots, recursive, missingOk }),
    rename: ({ path, roots, to }, options) => change("file.rename", options, { path, roots, to }),
    symlink: ({ path, roots, target }, options) => change("file.symlink", options, { path, roots, target }),
    chmod: ({ path, roots, mode }, options) => change("file.chmod", options, { path, roots, mode }),
  };
}

interface Opened {
  readonly sizeBytes: number;
  readonly content: ReadableStream<Uint8Array>;
}

/** Resolves when the file is open, or the listing has begun; the content comes as it is read. */
function read(connection: GuestConnection, request: JsonObject, mostBytes: number, signal: AbortSignal): Promise<Opened> {
  const { promise, resolve, reject } = Promise.withResolvers<Opened>();
  let stream: CallStream | undefined;
  let came = 0;
  const output = new OutputChannel(
    (bytes) => stream?.consumed(1, bytes),
    () => {
      settle();
      stream?.cancel();
    },
  );
  const onAbort = (): void => {
    stream?.cancel();
    reject(signal.reason);
    output.fail(signal.reason);
  };
  const settle = (): void => signal.removeEventListener("abort", onAbort);
  stream = connection.call(request, {
    data: (_channel, bytes) => {
      came += bytes.length;
      if (came > mostBytes) throw violation("more of a file than was asked for");
      output.push(bytes);
      if (request["op"] === "file.list") resolve({ sizeBytes: 0, content: output.readable });
    },
    end: () => undefined,
    event: (event) => {
      if (event["event"] === "opened") resolve({ sizeBytes: parseSizeBytes(event), content: output.readable });
    },
    result: (result) => {
      resolve({ sizeBytes: request["op"] === "file.list" ? 0 : parseSizeBytes(result), content: output.readable });
      output.end();
      settle();
    },
    fail: (error) => {
      reject(error);
      output.fail(error === connection.failure ? lossOf(error, "none") : error);
      settle();
    },
  });
  signal.addEventListener("abort", onAbort, { once: true });
  return promise;
}

/** Content that fits is sent whole; what does not is streamed, and then a lost connection ends the call even with a key. */
async function write(
  link: GuestLink,
  request: JsonObject & { readonly op: string },
  content: ReadableStream<Uint8Array>,
  { signal, call }: MutationOptions,
): Promise<{ sizeBytes: number }> {
  const reader = content.getReader();
  const onAbort = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    const { pieces, length, done } = await gather(reader, signal);
    if (!done) {
      const keyed = call === undefined ? request : { ...request, call: call.id };
      return await askAgain(link, undefined, "unknown", signal, (connection) => stream(connection, keyed, pieces, reader, signal));
    }
    const parse = (result: JsonObject): { sizeBytes: number } => sizeOf(result, length);
    return await callGuest(link, { request, readOnly: false, key: call, input: pieces, maxOutputBytes: 0, parse }, signal);
  } catch (error) {
    await reader.cancel(error).catch(() => undefined); // the caller hears of `error`
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function gather(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
): Promise<{ pieces: Uint8Array[]; length: number; done: boolean }> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    signal.throwIfAborted();
    const { done, value } = await reader.read();
    signal.throwIfAborted();
    if (done) return { pieces, length, done };
    pieces.push(checked(value));
    length += value.length;
    if (length > GATHERED_BYTES) return { pieces, length, done };
  }
}

function checked(chunk: Uint8Array): Uint8Array {
  if (!(chunk instanceof Uint8Array)) throw invalidRequest("the content of a file comes in Uint8Array chunks");
  return chunk;
}

function sizeOf(result: JsonObject, sent: number): { sizeBytes: number } {
  const sizeBytes = parseSizeBytes(result);
  if (sizeBytes !== sent) throw violation(`${sizeBytes} bytes written where ${sent} were sent`);
  return { sizeBytes };
}

/** Nothing is written before END, so a loss until then has no effect. */
async function stream(
  connection: GuestConnection,
  request: JsonObject,
  pieces: readonly Uint8Array[],
  reader: ReadableStreamDefaultReader<Uint8Array>,
  signal: AbortSignal,
): Promise<{ sizeBytes: number }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ sizeBytes: number }>();
  promise.catch(() => undefined);
  let sent = 0;
  const upload: CallStream = connection.call(request, {
    data: () => {
      throw violation("output of a write");
    },
    end: () => undefined,
    event: () => undefined,
    result: (result) => {
      if (!upload.inputSent) throw violation("a file written before its end was sent");
      resolve(sizeOf(result, sent));
    },
    fail: (error) => {
      reject(error === connection.failure && !upload.inputSent ? lossOf(error, "none") : error);
      void reader.cancel(error).catch(() => undefined); // a slow source is not waited for
    },
  });
  const onAbort = (): void => {
    upload.cancel();
    reject(signal.reason);
  };
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for (const piece of pieces) {
      sent += piece.length;
      await upload.send(piece);
    }
    while (!upload.over) {
      const { done, value } = await reader.read();
      if (done) break;
      sent += checked(value).length;
      await upload.send(value);
    }
    upload.finish();
    return await promise;
  } catch (error) {
    upload.cancel();
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}

async function* list(link: GuestLink, request: JsonObject, signal: AbortSignal): AsyncGenerator<DirectoryEntry> {
  const { content } = await askAgain(link, undefined, "none", signal, (connection) => read(connection, request, Number.POSITIVE_INFINITY, signal));
  let rest: Uint8Array[] = [];
  let restLength = 0;
  for await (const chunk of content) {
    let from = 0;
    for (let at = chunk.indexOf(NEWLINE); at >= 0; at = chunk.indexOf(NEWLINE, from)) {
      const line = chunk.subarray(from, at);
      from = at + 1;
      yield parseDirectoryEntry(parseObject(restLength === 0 ? line : joined([...rest, line], restLength + line.length)));
      [rest, restLength] = [[], 0];
    }
    if (from === chunk.length) continue;
    rest.push(chunk.subarray(from));
    restLength += chunk.length - from;
    if (restLength > MAX_LINE_BYTES) throw violation("a directory entry without end");
  }
  if (restLength > 0) throw violation("half a directory entry");
}
