import type { DirectoryEntry, FilesFacet } from "@glovebox/core";
import { DiskError } from "./disk-error.ts";
import type { Place, VirtualDisk } from "./disk.ts";
import { rethrow } from "./errors.ts";

const chunkBytes = 262_144;
/** A long listing lets others have their turn after so many entries. */
const entriesAtOnce = 1_000;

/** The files facet on a virtual disk. @param open throws when the sandbox is gone or its channel closed */
export function diskFiles(disk: VirtualDisk, open: () => void): FilesFacet {
  const act = <Result>(signal: AbortSignal, work: () => Result): Result => {
    signal.throwIfAborted();
    open();
    try {
      return work();
    } catch (error) {
      return rethrow(error);
    }
  };
  return {
    stat: async (request, { signal }) => act(signal, () => disk.stat(request, request.follow)),
    read: async (request, { signal }) => {
      const content = act(signal, () => regularFile(disk, request));
      const start = Math.min(request.offset ?? 0, content.byteLength);
      const end = Math.min(start + (request.length ?? content.byteLength), content.byteLength);
      return { sizeBytes: content.byteLength, content: streamOf(content.subarray(start, end), signal) };
    },
    write: async (request, content, { signal }) => {
      act(signal, () => undefined);
      const bytes = await gather(content, signal, request.path, disk.freeBytes);
      act(signal, () => disk.write(request, bytes, request));
      return { sizeBytes: bytes.byteLength };
    },
    list: (request, { signal }) => listing(disk, request, request.recursive, (work) => act(signal, work)),
    mkdir: async (request, { signal }) => act(signal, () => disk.makeDirectory(request, request.mode, request.createParents)),
    remove: async (request, { signal }) => act(signal, () => disk.remove(request, request)),
    rename: async (request, { signal }) => act(signal, () => disk.rename(request, request.to)),
    symlink: async (request, { signal }) => act(signal, () => disk.symlink(request, request.target)),
    chmod: async (request, { signal }) => act(signal, () => disk.chmod(request, request.mode)),
  };
}

function regularFile(disk: VirtualDisk, place: Place): Uint8Array {
  if (disk.stat(place, true).type !== "file") throw new DiskError("not_regular_file", place.path);
  return disk.read(place);
}

function streamOf(content: Uint8Array, signal: AbortSignal): ReadableStream<Uint8Array> {
  let offset = 0;
  return new ReadableStream<Uint8Array>(
    {
      pull: (controller) => {
        signal.throwIfAborted();
        if (offset < content.byteLength) controller.enqueue(content.slice(offset, offset + chunkBytes));
        offset += chunkBytes;
        if (offset >= content.byteLength) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

/** All of a stream. More than the disk can take is refused without reading on. */
async function gather(content: ReadableStream<Uint8Array>, signal: AbortSignal, path: string, maxBytes: number): Promise<Uint8Array> {
  const reader = content.getReader();
  const onAbort = (): void => void reader.cancel(signal.reason).catch(() => undefined);
  signal.addEventListener("abort", onAbort, { once: true });
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for (;;) {
      const { done, value } = await reader.read();
      signal.throwIfAborted();
      if (done) break;
      size += value.byteLength;
      if (size > maxBytes) rethrow(new DiskError("ENOSPC", path));
      chunks.push(value);
    }
  } catch (error) {
    await reader.cancel(error).catch(() => undefined);
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  const bytes = new Uint8Array(size);
  let offset = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return bytes;
}

async function* listing(
  disk: VirtualDisk,
  place: Place,
  recursive: boolean,
  act: <Result>(work: () => Result) => Result,
): AsyncGenerator<DirectoryEntry> {
  const pending = [""];
  let given = 0;
  for (let below = pending.pop(); below !== undefined; below = pending.pop()) {
    const directory = below;
    for (const { name, stat } of act(() => entriesOf(disk, place, directory))) {
      const path = directory === "" ? name : `${directory}/${name}`;
      if (recursive && stat.type === "directory") pending.push(path);
      yield { ...stat, path };
      given += 1;
      if (given % entriesAtOnce === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }
}

/** A directory below the listed one that vanished, or is none any more, has no entries. */
function entriesOf(disk: VirtualDisk, place: Place, below: string): ReturnType<VirtualDisk["list"]> {
  if (below === "") return disk.list(place);
  try {
    const path = `${place.path}/${below}`;
    return disk.stat({ ...place, path }, false).type === "directory" ? disk.list({ ...place, path }) : [];
  } catch (error) {
    if (error instanceof DiskError && (error.errno === "ENOENT" || error.errno === "ENOTDIR" || error.errno === "outside_roots")) return [];
    throw error;
  }
}
