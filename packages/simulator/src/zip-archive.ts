import { crc32, deflateRawSync } from "node:zlib";
import { contentOf, modeOf, type ArchiveMember, type MemberKind } from "./archive.ts";

/** File type bits of a Unix mode. */
const typeBits: Readonly<Record<Exclude<MemberKind, "hardlink">, number>> = {
  file: 0o100000,
  directory: 0o040000,
  symlink: 0o120000,
  fifo: 0o010000,
  device: 0o020000,
};

const signatures = { local: "PK\x03\x04", central: "PK\x01\x02", end: "PK\x05\x06" } as const;
const madeOnUnix = (3 << 8) | 20;
const neededVersion = 20;
const utf8Names = 1 << 11;
const deflated = 8;
/** 1 January 1980, the format's first day. */
const date = (1 << 5) | 1;
const maxEntries = 0xff_ff;

/** A zip of these members, with Unix modes. @throws {RangeError} a member that the format has no place for */
export function zipArchive(members: readonly ArchiveMember[]): Buffer {
  if (members.length > maxEntries) throw new RangeError(`a zip takes at most ${maxEntries} members`);
  const locals: Buffer[] = [];
  const centrals: Buffer[] = [];
  let offset = 0;
  for (const member of members) {
    const name = Buffer.from(member.name);
    const content = dataOf(member);
    const packed = deflateRawSync(content);
    const common = Buffer.alloc(26);
    common.writeUInt16LE(neededVersion, 0);
    common.writeUInt16LE(utf8Names, 2);
    common.writeUInt16LE(deflated, 4);
    common.writeUInt16LE(date, 8);
    common.writeUInt32LE(crc32(content), 10);
    common.writeUInt32LE(packed.length, 14);
    common.writeUInt32LE(content.length, 18);
    common.writeUInt16LE(name.length, 22);
    const local = Buffer.concat([Buffer.from(signatures.local), common, name, packed]);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(attributesOf(member), 6);
    rest.writeUInt32LE(offset, 10);
    centrals.push(Buffer.concat([Buffer.from(signatures.central), uint16(madeOnUnix), common, rest, name]));
    locals.push(local);
    offset += local.length;
  }
  const directory = Buffer.concat(centrals);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(members.length, 4);
  end.writeUInt16LE(members.length, 6);
  end.writeUInt32LE(directory.length, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...locals, directory, Buffer.from(signatures.end), end]);
}

/** A zip keeps a symlink's target as its content. */
function dataOf(member: ArchiveMember): Uint8Array {
  return member.kind === "symlink" ? Buffer.from(member.target ?? "") : contentOf(member);
}

function attributesOf(member: ArchiveMember): number {
  const { kind = "file" } = member;
  if (kind === "hardlink") throw new RangeError(`a zip has no hardlinks: ${member.name}`);
  const unix = typeBits[kind] | modeOf(member);
  return ((unix << 16) | (kind === "directory" ? 0x10 : 0)) >>> 0;
}

function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}
