import { inflateRawSync } from "node:zlib";

/** A member as the bytes of an archive have it; read by the formats' specifications and not by the code that writes them. */
export interface ReadMember {
  readonly name: string;
  /** `-`, `d`, `l`, `h`, `p`, `c`, as listings show it. */
  readonly type: string;
  readonly mode: number;
  readonly content: string;
}

const unixTypes: Readonly<Record<number, string>> = { 0o10: "-", 0o04: "d", 0o12: "l", 0o01: "p", 0o02: "c" };

/** By its central directory. */
export function readZip(bytes: Buffer): readonly ReadMember[] {
  const end = bytes.lastIndexOf("PK\x05\x06", undefined, "latin1");
  const members: ReadMember[] = [];
  let at = bytes.readUInt32LE(end + 16);
  for (let index = 0; index < bytes.readUInt16LE(end + 10); index++) {
    const nameLength = bytes.readUInt16LE(at + 28);
    const unix = bytes.readUInt32LE(at + 38) >>> 16;
    const local = bytes.readUInt32LE(at + 42);
    const data = local + 30 + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
    const packed = bytes.subarray(data, data + bytes.readUInt32LE(local + 18));
    members.push({
      name: bytes.toString("utf8", at + 46, at + 46 + nameLength),
      type: unixTypes[unix >> 12] ?? "?",
      mode: unix & 0o7777,
      content: inflateRawSync(packed).toString(),
    });
    at += 46 + nameLength + bytes.readUInt16LE(at + 30) + bytes.readUInt16LE(at + 32);
  }
  return members;
}

/** A POSIX tar, extended headers applied; the target of a link is its content. */
export function readTar(bytes: Buffer): readonly ReadMember[] {
  const members: ReadMember[] = [];
  let extended: Readonly<Record<string, string>> = {};
  for (let at = 0; bytes[at] !== 0;) {
    const text = (from: number, length: number): string => bytes.toString("utf8", at + from, at + from + length).replace(/\0.*$/s, "");
    const checksum = bytes.subarray(at, at + 512).reduce((sum, byte, index) => sum + (index >= 148 && index < 156 ? 32 : byte), 0);
    if (parseInt(text(148, 8), 8) !== checksum) throw new Error(`wrong checksum at ${at}`);
    const size = parseInt(text(124, 12), 8);
    const data = bytes.toString("utf8", at + 512, at + 512 + size);
    const flag = text(156, 1);
    if (flag === "x") {
      extended = Object.fromEntries([...data.matchAll(/\d+ (\w+)=(.*)\n/g)].map(([, key = "", value = ""]) => [key, value]));
    } else {
      const content = "12".includes(flag) ? (extended["linkpath"] ?? text(157, 100)) : data;
      members.push({ name: extended["path"] ?? text(0, 100), type: "-hlc_dp"[Number(flag)] ?? "?", mode: parseInt(text(100, 8), 8), content });
      extended = {};
    }
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return members;
}
