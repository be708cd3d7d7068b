import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { connectGuest } from "../src/connect.ts";
import { FrameParser, FrameType, FrameWriter, readUint32 } from "../src/frames.ts";
import { jsonOf, never, Peer } from "./peer.ts";

interface ValidVector {
  readonly name: string;
  readonly hex: string;
  readonly type: string;
  readonly stream: number;
  readonly json?: object;
  readonly channel?: number;
  readonly dataHex?: string;
  readonly bytes?: number;
}

const vectors = JSON.parse(readFileSync(new URL("../vectors/frames.json", import.meta.url), "utf8")) as {
  readonly valid: readonly ValidVector[];
  readonly invalid: readonly { readonly name: string; readonly hex: string; readonly why: string }[];
};

function parsed(bytes: Uint8Array, step: number): { type: number; stream: number; payload: Buffer } {
  let frame = { type: 0, stream: -1, payload: Buffer.alloc(0) };
  const parser = new FrameParser({
    data: (stream, channel, piece) => {
      const before = frame.stream < 0 ? Buffer.from([channel]) : frame.payload;
      frame = { type: FrameType.data, stream, payload: Buffer.concat([before, piece]) };
    },
    frame: (type, stream, payload) => {
      frame = { type, stream, payload: Buffer.from(payload) };
    },
  });
  for (let at = 0; at < bytes.length; at += step) parser.push(bytes.subarray(at, at + step));
  return frame;
}

test.each(vectors.valid.map((vector) => [vector.name, vector] as const))("frame: %s", (_name, vector) => {
  const bytes = Buffer.from(vector.hex, "hex");
  const type = FrameType[vector.type.toLowerCase() as keyof typeof FrameType];
  for (const step of [1, 2, 7, bytes.length]) {
    const frame = parsed(bytes, step);
    expect([frame.type, frame.stream]).toEqual([type, vector.stream]);
    if (vector.json !== undefined) expect(jsonOf(frame.payload)).toEqual(vector.json);
    else if (vector.channel === undefined) expect(frame.payload.toString("hex")).toBe(vector.dataHex ?? "");
    else {
      expect(frame.payload[0]).toBe(vector.channel);
      if (vector.dataHex !== undefined) expect(frame.payload.subarray(1).toString("hex")).toBe(vector.dataHex);
      if (vector.bytes !== undefined) expect(readUint32(frame.payload, 1)).toBe(vector.bytes);
    }
  }
  const writer = new FrameWriter();
  if (vector.json !== undefined) writer.json(type, vector.stream, vector.json);
  else if (type === FrameType.data) writer.data(vector.stream, vector.channel ?? 0, bytes.subarray(10));
  else if (type === FrameType.window) writer.window(vector.stream, vector.channel ?? 0, vector.bytes ?? 0);
  else if (type === FrameType.end) writer.end(vector.stream, vector.channel ?? 0);
  else writer.plain(type, vector.stream, bytes.subarray(9));
  expect(Buffer.concat(writer.take()).toString("hex")).toBe(vector.hex);
});

test.each(vectors.invalid.map((vector) => [vector.name, vector] as const))("refused frame: %s", async (_name, { hex }) => {
  const peer = new Peer();
  const pending = connectGuest(peer.stream, { mode: "takeover" }, { signal: never });
  await peer.greet();
  using guest = await pending;
  const program = guest.spawn({ argv: ["x"], cwd: "/", env: {}, stdin: "null" }, { signal: never });
  program.catch(() => undefined);
  peer.raw(...Buffer.from(hex, "hex"));
  await expect(guest.ended).resolves.toMatchObject({ code: "unavailable", reason: "protocol_violation" });
});
