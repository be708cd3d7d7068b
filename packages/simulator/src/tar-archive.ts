import { contentOf, modeOf, type ArchiveMember, type MemberKind } from "./archive.ts";

const typeFlags: Readonly<Record<MemberKind, string>> = { file: "0", hardlink: "1", symlink: "2", device: "3", directory: "5", fifo: "6" };
const blockBytes = 512;
const shortNameBytes = 100;

/** A POSIX tar of these members; names that its header cannot hold go before it, in an extended header. */
export function tarArchive(members: readonly ArchiveMember[]): Buffer {
  const blocks = members.flatMap((member) => {
    const content = member.kind === undefined || member.kind === "file" ? contentOf(member) : new Uint8Array();
    const records = [...extendedRecord("path", member.name), ...extendedRecord("linkpath", member.target ?? "")].join("");
    const extended = records === "" ? [] : [header({ name: "PaxHeader", mode: 0o644, type: "x", size: Buffer.byteLength(records) }), padded(records)];
    const { name, target = "", kind = "file" } = member;
    return [...extended, header({ name, target, mode: modeOf(member), type: typeFlags[kind], size: content.length }), padded(content)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(2 * blockBytes)]);
}

interface Header {
  readonly name: string;
  readonly target?: string;
  readonly mode: number;
  readonly type: string;
  readonly size: number;
}

function header({ name, target = "", mode, type, size }: Header): Buffer {
  const block = Buffer.alloc(blockBytes);
  block.write(name.slice(0, shortNameBytes), 0, shortNameBytes);
  const octal = (value: number, at: number, length: number): void => void block.write(value.toString(8).padStart(length - 1, "0"), at);
  octal(mode, 100, 8);
  octal(0, 108, 8);
  octal(0, 116, 8);
  octal(size, 124, 12);
  octal(0, 136, 12);
  block.fill(" ", 148, 156);
  block.write(type, 156);
  block.write(target.slice(0, shortNameBytes), 157, shortNameBytes);
  block.write("ustar\x0000", 257, "latin1");
  const checksum = block.reduce((sum, byte) => sum + byte, 0);
  block.write(`${checksum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
  return block;
}

/** `length key=value`, where the length counts itself. */
function extendedRecord(key: string, value: string): readonly string[] {
  if (Buffer.byteLength(value) <= shortNameBytes) return [];
  const rest = ` ${key}=${value}\n`;
  let length = Buffer.byteLength(rest);
  while (String(length).length + Buffer.byteLength(rest) !== length) length = String(length).length + Buffer.byteLength(rest);
  return [`${length}${rest}`];
}

function padded(data: string | Uint8Array): Buffer {
  const bytes = Buffer.from(data as Uint8Array);
  return Buffer.concat([bytes, Buffer.alloc((blockBytes - (bytes.length % blockBytes)) % blockBytes)]);
}
