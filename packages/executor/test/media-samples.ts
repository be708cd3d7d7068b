import { crc32 } from "node:zlib";
import type { MediaType } from "../src/media.ts";

const bytes = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

/** Whole files of 5 x 3 pixels (the animation has 4 x 4), written by Pillow, and a PDF that is all ASCII. */
export const samples: readonly { readonly name: string; readonly type: MediaType; readonly content: Uint8Array }[] = [
  {
    name: "png",
    type: "image/png",
    content: bytes("iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAIAAADUVFKvAAAAFElEQVR4nGM8wcXFgASYGFABOh8AKQYA4jd9d3wAAAAASUVORK5CYII="),
  },
  {
    name: "jpeg, progressive, with Exif",
    type: "image/jpeg",
    content: bytes(
      "/9j/4AAQSkZJRgABAQAAAQABAAD/4QAWRXhpZgAATU0AKgAAAAgAAAAAAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71////m8H/" +
        "///6/+b9//j/2wBDASstLTw1PHZBQXb4pYyl+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj/wgARCAADAAUDASIAAhEBAxEB/8QAFQABAQAA" +
        "AAAAAAAAAAAAAAAAAAP/xAAVAQEBAAAAAAAAAAAAAAAAAAACBP/aAAwDAQACEAMQAAABiBT/AP/EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEAAQUCf//EABQRAQAAAAAAAAAAAAAA" +
        "AAAAAAD/2gAIAQMBAT8Bf//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQIBAT8Bf//EABQQAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQEABj8Cf//EABQQAQAAAAAAAAAAAAAAAAAAAAD/" +
        "2gAIAQEAAT8hf//aAAwDAQACAAMAAAAQA//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQMBAT8Qf//EABQRAQAAAAAAAAAAAAAAAAAAAAD/2gAIAQIBAT8Qf//EABQQAQAAAAAAAAAA" +
        "AAAAAAAAAAD/2gAIAQEAAT8Qf//Z",
    ),
  },
  { name: "gif", type: "image/gif", content: bytes("R0lGODdhBQADAIEAAMgKCgAAAAAAAAAAACwAAAAABQADAAAICAABCBxIsGBAADs=") },
  {
    name: "gif, animated",
    type: "image/gif",
    content: bytes("R0lGODlhBAAEAIAAAAAAAAAAACH/C05FVFNDQVBFMi4wAwEAAAAsAAAAAAQABAAACAkAAQgcSLAggIAAOw=="),
  },
  {
    name: "webp, lossy",
    type: "image/webp",
    content: bytes("UklGRjwAAABXRUJQVlA4IDAAAADQAQCdASoFAAMAAUAmJaACdLoB+AADsAD+9hNf/izkYjs83/4E78Cd+BO/8AAAAAA="),
  },
  { name: "webp, lossless", type: "image/webp", content: bytes("UklGRh4AAABXRUJQVlA4TBEAAAAvBIAAAAdQhSJXof+BiOh/AAA=") },
  {
    name: "webp, extended",
    type: "image/webp",
    content: bytes(
      "UklGRmQAAABXRUJQVlA4WAoAAAAIAAAABAAAAgAAVlA4IDAAAADQAQCdASoFAAMAAUAmJaACdLoB+AADsAD+9hNf/izkYjs83/4E78Cd+BO/8AAAAABFWElGDgAAAE1NACoAAAAIAAAAAAAA",
    ),
  },
  {
    name: "pdf",
    type: "application/pdf",
    content: new TextEncoder().encode("%PDF-1.4\n1 0 obj\n<< /Type /Catalog >>\nendobj\ntrailer\n<< /Root 1 0 R >>\n%%EOF\n"),
  },
];

/** The sample of that name. */
export function sample(name: string): Uint8Array {
  const found = samples.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no sample ${name}`);
  return found.content;
}

/** A PNG of exactly so many bytes, or with other sides: nothing looks into its pixels here. */
export function png({ sizeBytes, width = 5, height = 3 }: { sizeBytes?: number; width?: number; height?: number }): Uint8Array {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([8, 2, 0, 0, 0], 8);
  const fixed = [Buffer.from("\x89PNG\r\n\x1a\n", "latin1"), chunk("IHDR", header)];
  const end = chunk("IEND", Buffer.alloc(0));
  const length = [...fixed, end].reduce((sum, each) => sum + each.length, 0);
  const filler = sizeBytes === undefined ? [] : [chunk("tEXt", Buffer.alloc(sizeBytes - length - 12))];
  return new Uint8Array(Buffer.concat([...fixed, ...filler, end]));
}

function chunk(name: string, data: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name, "latin1"), data]);
  const frame = Buffer.alloc(8);
  frame.writeUInt32BE(data.length, 0);
  frame.writeUInt32BE(crc32(named), 4);
  return Buffer.concat([frame.subarray(0, 4), named, frame.subarray(4)]);
}
