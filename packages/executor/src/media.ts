import { crc32 } from "node:zlib";

/** What the API takes in base64: images by content, and PDF documents. */
export type MediaType = "image/png" | "image/jpeg" | "image/gif" | "image/webp" | "application/pdf";

/** Of one image in base64. Source: reference/managed-agents-protocol.md, 21.5. */
export const maxImageBase64Bytes = 5_242_880;
/** Of one PDF as it is. Source: as above. */
export const maxPdfBytes = 20_971_520;
/** Of either side of an image, in pixels. Source: the API's documentation of vision. */
const maxSide = 8_000;
/** So much of a file's beginning tells its type. */
export const signatureBytes = 16;

/** The most bytes that a file of that type may have. */
export function maxBytesOf(type: MediaType): number {
  return type === "application/pdf" ? maxPdfBytes : (maxImageBase64Bytes / 4) * 3;
}

/** What the first bytes say; the rest may say otherwise, see {@link flawOf}. */
export function signatureOf(head: Uint8Array): MediaType | undefined {
  const text = latin1(head.subarray(0, signatureBytes));
  if (text.startsWith("\x89PNG\r\n\x1a\n")) return "image/png";
  if (text.startsWith("\xff\xd8\xff")) return "image/jpeg";
  if (/^GIF8[79]a/u.test(text)) return "image/gif";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "image/webp";
  if (/^%PDF-\d\.\d/u.test(text)) return "application/pdf";
  return undefined;
}

/**
 * Why the API would refuse it, or `undefined`. A broken image would not fail one result but every request of the session from then on, so
 * what is no whole image of its type is found here. Pixels are not decoded.
 */
export function flawOf(type: MediaType, bytes: Uint8Array): string | undefined {
  if (type === "application/pdf") return flawOfPdf(bytes);
  const size = sizeReaders[type](new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  if (size === undefined) return "it is damaged or not complete";
  const [width, height] = size;
  if (width < 1 || height < 1) return "it has no pixels";
  if (width > maxSide || height > maxSide) return `it has ${width} x ${height} pixels, more than ${maxSide} on a side`;
  return undefined;
}

function flawOfPdf(bytes: Uint8Array): string | undefined {
  if (!latin1(bytes.subarray(-1_024)).includes("%%EOF")) return "it is damaged or not complete";
  if (/\/Encrypt\s+\d+\s+\d+\s+R|\/Encrypt\s*<</u.test(latin1(bytes))) return "it is encrypted";
  return undefined;
}

type Size = readonly [width: number, height: number];

/** Width and height of a whole image, or `undefined` where it is none. */
const sizeReaders: Readonly<Record<Exclude<MediaType, "application/pdf">, (view: DataView) => Size | undefined>> = {
  "image/png": sizeOfPng,
  "image/jpeg": sizeOfJpeg,
  "image/gif": sizeOfGif,
  "image/webp": sizeOfWebp,
};

/** Chunk by chunk: length, name, data, checksum of name and data. */
function sizeOfPng(view: DataView): Size | undefined {
  let size: Size | undefined;
  for (let at = 8; at + 12 <= view.byteLength;) {
    const length = view.getUint32(at);
    if (at + 12 + length > view.byteLength) return undefined;
    const named = bytesOf(view, at + 4, 4 + length);
    if (crc32(named) !== view.getUint32(at + 8 + length)) return undefined;
    const name = latin1(named.subarray(0, 4));
    if (size === undefined) {
      if (name !== "IHDR" || length !== 13) return undefined;
      size = [view.getUint32(at + 8), view.getUint32(at + 12)];
    }
    if (name === "IEND") return size;
    at += 12 + length;
  }
  return undefined;
}

/** Segment by segment to the frame's header; what follows is complete when it has an end. */
function sizeOfJpeg(view: DataView): Size | undefined {
  for (let at = 2; at + 9 <= view.byteLength;) {
    if (view.getUint8(at) !== 0xff) return undefined;
    const marker = view.getUint8(at + 1);
    // a start of frame; three of that row are tables
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      const rest = Buffer.from(bytesOf(view, at, view.byteLength - at));
      return rest.includes("\xff\xd9", "latin1") ? [view.getUint16(at + 7), view.getUint16(at + 5)] : undefined;
    }
    at += marker === 0xff ? 1 : 2 + view.getUint16(at + 2);
  }
  return undefined;
}

/** Header, then blocks of which each says where the next one begins, then the trailer. */
function sizeOfGif(view: DataView): Size | undefined {
  if (view.byteLength < 14) return undefined;
  const size: Size = [view.getUint16(6, true), view.getUint16(8, true)];
  let at = 13 + colourTableBytes(view.getUint8(10));
  let images = 0;
  while (at < view.byteLength) {
    const kind = view.getUint8(at);
    if (kind === 0x3b) return images > 0 ? size : undefined;
    if (kind === 0x21) at += 2;
    else if (kind === 0x2c && at + 11 <= view.byteLength) {
      images++;
      at += 11 + colourTableBytes(view.getUint8(at + 9));
    } else return undefined;
    for (let length = byteAt(view, at); length !== 0; length = byteAt(view, at)) {
      if (length === undefined) return undefined;
      at += 1 + length;
    }
    at += 1;
  }
  return undefined;
}

/** @param flags the lowest three bits say how many colours, the highest whether there are any */
function colourTableBytes(flags: number): number {
  return (flags & 0x80) === 0 ? 0 : 3 * 2 ** ((flags & 7) + 1);
}

function sizeOfWebp(view: DataView): Size | undefined {
  if (view.byteLength < 30 || 8 + view.getUint32(4, true) > view.byteLength) return undefined;
  switch (latin1(bytesOf(view, 12, 4))) {
    case "VP8 ":
      return [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
    case "VP8L": {
      const bits = view.getUint32(21, true);
      return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
    }
    case "VP8X":
      return [1 + (view.getUint32(24, true) & 0xffffff), 1 + (view.getUint32(26, true) >>> 8)];
    default:
      return undefined;
  }
}

function bytesOf(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, length);
}

function byteAt(view: DataView, at: number): number | undefined {
  return at < view.byteLength ? view.getUint8(at) : undefined;
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
}
