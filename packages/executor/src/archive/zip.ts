import { promisify } from "node:util";
import { crc32, inflateRaw } from "node:zlib";
import { ArchiveError, type ArchiveLimits, type ArchiveMember } from "./members.ts";

const inflate = promisify(inflateRaw);
const signatures = { local: 0x04034b50, central: 0x02014b50, end: 0x06054b50 } as const;
const endBytes = 22;
const centralBytes = 46;
const localBytes = 30;
const mostCommentBytes = 65_535;
const encrypted = 1;
const unix = 3;
const typeBits = { mask: 0o170_000, file: 0o100_000, directory: 0o040_000 } as const;

/** A member as the directory at the end has it. */
interface Entry {
  readonly name: string;
  readonly kind: ArchiveMember["kind"];
  readonly executable: boolean;
  readonly deflated: boolean;
  readonly crc: number;
  readonly sizeBytes: number;
  readonly packed: Uint8Array;
}

/**
 * The members of a zip, one after the other, so that no more than the limit is ever unpacked. The directory at the end is what counts, and must agree
 * with itself: members that overlap or have other names in two places are refused.
 * @throws {ArchiveError}
 */
export async function zipMembers(archive: Uint8Array, limits: ArchiveLimits): Promise<readonly ArchiveMember[]> {
  const view = new DataView(archive.buffer, archive.byteOffset, archive.byteLength);
  const entries = readDirectory(archive, view, limits);
  const members: ArchiveMember[] = [];
  for (const { name, kind, executable, deflated, crc, sizeBytes, packed } of entries) {
    const isFile = kind === "file";
    const content = !isFile ? new Uint8Array() : deflated ? await inflated(name, packed, sizeBytes) : packed;
    if (isFile && (content.length !== sizeBytes || crc32(content) !== crc)) throw damaged(name);
    members.push({ name, kind, executable, content });
  }
  return members;
}

async function inflated(name: string, packed: Uint8Array, sizeBytes: number): Promise<Uint8Array> {
  if (sizeBytes === 0) return new Uint8Array();
  return await inflate(packed, { maxOutputLength: sizeBytes }).catch(() => {
    throw damaged(name);
  });
}

function readDirectory(archive: Uint8Array, view: DataView, limits: ArchiveLimits): readonly Entry[] {
  const endAt = findEnd(view);
  const [count, length, startAt] = [view.getUint16(endAt + 10, true), view.getUint32(endAt + 12, true), view.getUint32(endAt + 16, true)];
  const isSplit = view.getUint16(endAt + 4, true) !== 0 || view.getUint16(endAt + 6, true) !== 0 || view.getUint16(endAt + 8, true) !== count;
  if (isSplit || count === 0xffff || startAt + length !== endAt)
    throw new ArchiveError("its directory is damaged, split or of a kind that is not read here");
  if (count > limits.maxMembers) throw new ArchiveError(`it has more than ${limits.maxMembers} members`);
  const entries: Entry[] = [];
  const ranges: (readonly [from: number, to: number])[] = [];
  let [at, totalBytes] = [startAt, 0];
  for (let index = 0; index < count; index++) {
    if (at + centralBytes > endAt || view.getUint32(at, true) !== signatures.central) throw new ArchiveError("its directory is damaged");
    const [nameBytes, extraBytes, commentBytes] = [view.getUint16(at + 28, true), view.getUint16(at + 30, true), view.getUint16(at + 32, true)];
    const next = at + centralBytes + nameBytes + extraBytes + commentBytes;
    if (next > endAt) throw new ArchiveError("its directory is damaged");
    const rawName = archive.subarray(at + centralBytes, at + centralBytes + nameBytes);
    const name = decodeName(rawName);
    const sizeBytes = view.getUint32(at + 24, true);
    totalBytes += sizeBytes;
    if (totalBytes > limits.maxBytes) throw new ArchiveError(`it has more than ${limits.maxBytes} bytes when unpacked`);
    if ((view.getUint16(at + 8, true) & encrypted) !== 0) throw new ArchiveError(`${JSON.stringify(name)} is encrypted`);
    const method = view.getUint16(at + 10, true);
    if (method !== 0 && method !== 8) throw new ArchiveError(`${JSON.stringify(name)} is packed in a way that is not read here`);
    const data = locate(archive, view, {
      headerAt: view.getUint32(at + 42, true),
      packedBytes: view.getUint32(at + 20, true),
      startAt,
      rawName,
      name,
    });
    ranges.push(data);
    const mode = view.getUint16(at + 4, true) >>> 8 === unix ? view.getUint16(at + 40, true) : 0;
    entries.push({
      name,
      kind: kindOf(name, mode),
      executable: (mode & 0o111) !== 0,
      deflated: method === 8,
      crc: view.getUint32(at + 16, true),
      sizeBytes,
      packed: archive.subarray(...data),
    });
    at = next;
  }
  if (at !== endAt) throw new ArchiveError("its directory is damaged");
  refuseOverlap(ranges);
  return entries;
}

/** The end has a comment, in which something like an end may stand; the one that fits the archive's length counts. */
function findEnd(view: DataView): number {
  for (let at = view.byteLength - endBytes; at >= Math.max(0, view.byteLength - endBytes - mostCommentBytes); at--) {
    if (view.getUint32(at, true) === signatures.end && at + endBytes + view.getUint16(at + 20, true) === view.byteLength) return at;
  }
  throw new ArchiveError("it has no directory");
}

/** Where a member's data is. */
function locate(
  archive: Uint8Array,
  view: DataView,
  { headerAt, packedBytes, startAt, rawName, name }: { headerAt: number; packedBytes: number; startAt: number; rawName: Uint8Array; name: string },
): readonly [from: number, to: number] {
  if (headerAt + localBytes > startAt || view.getUint32(headerAt, true) !== signatures.local) throw damaged(name);
  const nameBytes = view.getUint16(headerAt + 26, true);
  const from = headerAt + localBytes + nameBytes + view.getUint16(headerAt + 28, true);
  if (from + packedBytes > startAt) throw damaged(name);
  const localName = archive.subarray(headerAt + localBytes, headerAt + localBytes + nameBytes);
  if (Buffer.compare(localName, rawName) !== 0) throw new ArchiveError(`${JSON.stringify(name)} has two names`);
  return [from, from + packedBytes];
}

/** One stretch of bytes that stands for many members is how a small archive becomes a very large one. */
function refuseOverlap(ranges: readonly (readonly [from: number, to: number])[]): void {
  let end = 0;
  for (const [from, to] of ranges.toSorted(([a], [b]) => a - b)) {
    if (from < end) throw new ArchiveError("its members overlap");
    end = to;
  }
}

function kindOf(name: string, mode: number): ArchiveMember["kind"] {
  const type = mode & typeBits.mask;
  if (name.endsWith("/") || type === typeBits.directory) return "directory";
  return type === 0 || type === typeBits.file ? "file" : "other";
}

function decodeName(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new ArchiveError("it has a name that is no UTF-8");
  }
}

function damaged(name: string): ArchiveError {
  return new ArchiveError(`${JSON.stringify(name.slice(0, 200))} is damaged`);
}
