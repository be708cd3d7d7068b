import { ArchiveError, type ArchiveLimits, type ArchiveMember } from "./members.ts";

const blockBytes = 512;
/** Of a name or of further attributes that stand before their member. */
const mostAttributeBytes = 65_536;

/**
 * The members of a tar: ustar, with names and attributes as GNU and POSIX write them.
 * @throws {ArchiveError}
 */
export function tarMembers(archive: Uint8Array, limits: ArchiveLimits): readonly ArchiveMember[] {
  const members: ArchiveMember[] = [];
  let [at, totalBytes] = [0, 0];
  let longName: string | undefined;
  let attributes: ReadonlyMap<string, string> = new Map();
  while (at + blockBytes <= archive.length) {
    const header = archive.subarray(at, at + blockBytes);
    if (header.every((byte) => byte === 0)) break;
    if (!hasItsChecksum(header)) throw new ArchiveError("it is neither a zip, a tar nor a tar.gz, or it is damaged");
    const type = String.fromCharCode(header[156] ?? 0);
    const sizeBytes = Number(attributes.get("size") ?? octal(header.subarray(124, 136)));
    if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) throw new ArchiveError("it has a member without a size");
    const content = archive.subarray(at + blockBytes, at + blockBytes + sizeBytes);
    if (content.length !== sizeBytes) throw new ArchiveError("it is not complete");
    at += blockBytes + Math.ceil(sizeBytes / blockBytes) * blockBytes;
    if ("xgL".includes(type)) {
      if (sizeBytes > mostAttributeBytes) throw new ArchiveError("it has attributes that are too long");
      if (type === "x") attributes = readAttributes(content);
      if (type === "L") longName = text(content);
      continue;
    }
    totalBytes += sizeBytes;
    if (totalBytes > limits.maxBytes) throw new ArchiveError(`it has more than ${limits.maxBytes} bytes when unpacked`);
    if (members.length >= limits.maxMembers) throw new ArchiveError(`it has more than ${limits.maxMembers} members`);
    const name = attributes.get("path") ?? longName ?? nameOf(header);
    const kind = kindOf(type, name);
    members.push({
      name,
      kind,
      executable: (octal(header.subarray(100, 108)) & 0o111) !== 0,
      content: kind === "file" ? content : new Uint8Array(),
    });
    [longName, attributes] = [undefined, new Map()];
  }
  return members;
}

function kindOf(type: string, name: string): ArchiveMember["kind"] {
  if (type === "5" || name.endsWith("/")) return "directory";
  return type === "0" || type === "\0" || type === "7" ? "file" : "other";
}

function nameOf(header: Uint8Array): string {
  const name = text(header.subarray(0, 100));
  const isPosix = text(header.subarray(257, 262)) === "ustar" && header[262] === 0;
  const prefix = isPosix ? text(header.subarray(345, 500)) : "";
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** `<length> <key>=<value>\n`, the length being that of all of it. */
function readAttributes(content: Uint8Array): ReadonlyMap<string, string> {
  const read = new Map<string, string>();
  let at = 0;
  while (at < content.length) {
    const space = content.indexOf(0x20, at);
    const length = Number(Buffer.from(content.subarray(at, space)).toString("latin1"));
    const isWhole = space > at && Number.isSafeInteger(length) && length > space - at + 1 && content[at + length - 1] === 0x0a;
    if (!isWhole) throw new ArchiveError("it has attributes that are damaged");
    const record = text(content.subarray(space + 1, at + length - 1));
    const equals = record.indexOf("=");
    read.set(record.slice(0, equals), record.slice(equals + 1));
    at += length;
  }
  return read;
}

/** The sum of all bytes, with spaces for the checksum itself. */
function hasItsChecksum(header: Uint8Array): boolean {
  const sum = header.reduce((total, byte, index) => total + (index >= 148 && index < 156 ? 0x20 : byte), 0);
  return octal(header.subarray(148, 156)) === sum;
}

/** NaN where it is none; sizes beyond 8 GiB are written in another way and are too large in any case. */
function octal(field: Uint8Array): number {
  const digits = Buffer.from(field).toString("latin1").replaceAll("\0", " ").trim();
  return /^[0-7]*$/u.test(digits) ? Number.parseInt(digits || "0", 8) : Number.NaN;
}

/** Up to the first NUL. */
function text(field: Uint8Array): string {
  const end = field.indexOf(0);
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(end < 0 ? field : field.subarray(0, end));
  } catch {
    throw new ArchiveError("it has a name that is no UTF-8");
  }
}
