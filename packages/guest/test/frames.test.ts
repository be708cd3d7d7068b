import { SandboxError } from "@glovebox/core";
import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameParser, FrameType, FrameWriter } from "../src/frames.ts";
import { bytesOf, jsonOf } from "./peer.ts";

type Frame = readonly [type: number, stream: number, payload: string];

/** Parse in the given cuts; DATA pieces of one frame are joined again by their order. */
function parse(bytes: Uint8Array, cuts: readonly number[] = [], frames: Frame[] = []): Frame[] {
  const parser = new FrameParser({
    data: (stream, channel, piece) => {
      expect(piece.length).toBeGreaterThan(0);
      frames.push([FrameType.data, stream, `${channel}:${Buffer.from(piece).toString("latin1")}`]);
    },
    frame: (type, stream, payload) => frames.push([type, stream, Buffer.from(payload).toString("latin1")]),
  });
  const edges = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  for (let index = 1; index < edges.length; index++) parser.push(bytes.subarray(edges[index - 1], edges[index]));
  return frames;
}

/** DATA pieces of the same stream and channel that follow one another, as one. */
function joinedPieces(frames: readonly Frame[]): Frame[] {
  const joined: Frame[] = [];
  for (const frame of frames) {
    const last = joined.at(-1);
    const channel = frame[2].slice(0, frame[2].indexOf(":") + 1);
    if (frame[0] === FrameType.data && last?.[0] === FrameType.data && last[1] === frame[1] && last[2].startsWith(channel)) {
      joined[joined.length - 1] = [last[0], last[1], last[2] + frame[2].slice(channel.length)];
    } else joined.push(frame);
  }
  return joined;
}

const written = (write: (writer: FrameWriter) => void): Uint8Array => {
  const writer = new FrameWriter();
  write(writer);
  return Buffer.concat(writer.take());
};

const arbitraryFrame = fc.oneof(
  fc.record({
    kind: fc.constant("json" as const),
    stream: fc.nat(),
    value: fc.dictionary(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" })),
  }),
  fc.record({ kind: fc.constant("data" as const), stream: fc.nat(), channel: fc.nat(2), bytes: fc.uint8Array({ minLength: 1, maxLength: 200 }) }),
  fc.record({ kind: fc.constant("big" as const), stream: fc.nat(), channel: fc.nat(2), size: fc.integer({ min: 8_000, max: 65_536 }) }),
  fc.record({ kind: fc.constant("end" as const), stream: fc.nat(), channel: fc.nat(2) }),
  fc.record({ kind: fc.constant("window" as const), stream: fc.nat(), channel: fc.nat(2), bytes: fc.nat() }),
  fc.record({ kind: fc.constant("cancel" as const), stream: fc.nat() }),
);

test("what was written comes out whole and in order, however the bytes are cut", () => {
  fc.assert(
    fc.property(fc.array(arbitraryFrame, { maxLength: 12 }), fc.array(fc.nat(), { maxLength: 30 }), (frames, cuts) => {
      const expected: Frame[] = [];
      const bytes = written((writer) => {
        for (const frame of frames) {
          if (frame.kind === "json") {
            writer.json(FrameType.event, frame.stream, frame.value);
            expected.push([FrameType.event, frame.stream, Buffer.from(JSON.stringify(frame.value)).toString("latin1")]);
          } else if (frame.kind === "end") {
            writer.end(frame.stream, frame.channel);
            expected.push([FrameType.end, frame.stream, String.fromCharCode(frame.channel)]);
          } else if (frame.kind === "window") {
            writer.window(frame.stream, frame.channel, frame.bytes);
            const payload = Buffer.alloc(5);
            payload.writeUInt8(frame.channel);
            payload.writeUInt32BE(frame.bytes, 1);
            expected.push([FrameType.window, frame.stream, payload.toString("latin1")]);
          } else if (frame.kind === "cancel") {
            writer.plain(FrameType.cancel, frame.stream, new Uint8Array(0));
            expected.push([FrameType.cancel, frame.stream, ""]);
          } else {
            const content = frame.kind === "big" ? new Uint8Array(frame.size).fill(frame.size % 251) : frame.bytes;
            writer.data(frame.stream, frame.channel, content);
            expected.push([FrameType.data, frame.stream, `${frame.channel}:${Buffer.from(content).toString("latin1")}`]);
          }
        }
      });
      expect(joinedPieces(parse(bytes, cuts))).toEqual(joinedPieces(expected));
    }),
    { seed: 20_261_124, numRuns: 300 },
  );
});

test("any bytes are frames or a coded error, never anything else, and never more than one payload is held", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 }), (chunks) => {
      const parser = new FrameParser({ data: () => undefined, frame: () => undefined });
      try {
        for (const chunk of chunks) parser.push(chunk);
      } catch (error) {
        expect(SandboxError.is(error) && [error.code, error.reason]).toEqual(["unavailable", "protocol_violation"]);
      }
    }),
    { seed: 20_261_124, numRuns: 2_000 },
  );
});

test("frames with a wrong byte are told up to the same place, with the same error, however the bytes are cut", () => {
  const frames = written((writer) => {
    writer.json(FrameType.open, 1, { op: "exec" });
    writer.data(1, 0, new Uint8Array(300).fill(7));
    writer.window(1, 1, 5);
    writer.plain(FrameType.cancel, 1, new Uint8Array(0));
    writer.end(1, 0);
  });
  const outcome = (bytes: Uint8Array, cuts: readonly number[]): unknown => {
    const got: Frame[] = [];
    try {
      parse(bytes, cuts, got);
      return joinedPieces(got);
    } catch (error) {
      if (!SandboxError.is(error)) throw error;
      return [joinedPieces(got), error.code, error.reason];
    }
  };
  fc.assert(
    fc.property(fc.nat(frames.length - 1), fc.integer({ min: 1, max: 255 }), fc.array(fc.nat(), { maxLength: 30 }), (at, change, cuts) => {
      const bytes = Uint8Array.from(frames);
      bytes[at] = (bytes[at] ?? 0) ^ change;
      expect(outcome(bytes, cuts)).toEqual(outcome(bytes, []));
    }),
    { seed: 20_261_124, numRuns: 2_000 },
  );
});

test.each([
  ["a length below 5", [0, 0, 0, 4, 8, 0, 0, 0, 1]],
  ["a length above all", [0, 16, 0, 6, 8, 0, 0, 0, 1]],
  ["a length of 4 GiB", [255, 255, 255, 255, 3, 0, 0, 0, 1]],
  ["type 0", [0, 0, 0, 7, 0, 0, 0, 0, 1]],
  ["type 14", [0, 0, 0, 7, 14, 0, 0, 0, 1]],
  ["DATA without bytes", [0, 0, 0, 6, 3, 0, 0, 0, 1]],
  ["DATA of 65,537 bytes", [0, 1, 0, 7, 3, 0, 0, 0, 1]],
  ["END with more than a channel", [0, 0, 0, 7, 4, 0, 0, 0, 1]],
  ["a WINDOW of 4 bytes", [0, 0, 0, 9, 5, 0, 0, 0, 1]],
  ["a PING of 7 bytes", [0, 0, 0, 12, 11, 0, 0, 0, 0]],
  ["CANCEL with a payload", [0, 0, 0, 6, 10, 0, 0, 0, 1]],
])("%s is refused by its header alone", (_name, header) => {
  const parser = new FrameParser({ data: () => undefined, frame: () => undefined });
  expect(() => parser.push(Uint8Array.from(header))).toThrow(expect.objectContaining({ code: "unavailable", reason: "protocol_violation" }));
});

test("the largest DATA and the largest payload pass", () => {
  const text = "x".repeat(1_048_576 - 8);
  const bytes = written((writer) => {
    writer.data(1, 0, new Uint8Array(65_536).fill(7));
    writer.json(FrameType.open, 3, { op: text.slice(1) });
  });
  const frames = joinedPieces(parse(bytes, [5, 70_000, 900_000]));
  expect(frames.map(([type, stream, payload]) => [type, stream, payload.length])).toEqual([
    [FrameType.data, 1, 65_538],
    [FrameType.open, 3, 1_048_576],
  ]);
});

test("bulk data is a view of what came", () => {
  const frame = written((writer) => writer.data(1, 2, new Uint8Array(65_536)));
  let piece: Uint8Array | undefined;
  new FrameParser({ data: (_stream, _channel, bytes) => (piece = bytes), frame: () => undefined }).push(frame);
  expect(piece?.buffer).toBe(frame.buffer);
});

test("text that UTF-8 cannot say, or that is too long, is refused with nothing written", () => {
  const writer = new FrameWriter();
  expect(() => writer.json(FrameType.open, 1, { path: "/a\ud800" })).toThrow(expect.objectContaining({ code: "invalid_argument", effect: "none" }));
  expect(() => writer.json(FrameType.open, 1, { env: { "\udfff": "x" } })).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  expect(() => writer.json(FrameType.open, 1, { path: "ä".repeat(600_000) })).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  expect(() => writer.json(FrameType.open, 1, { path: "x".repeat(1_048_576) })).toThrow(expect.objectContaining({ code: "invalid_argument" }));
  expect(writer.take()).toEqual([]);
  writer.json(FrameType.open, 1, { path: "\\ud800 😀" });
  const [frame] = parse(Buffer.concat(writer.take()));
  expect(jsonOf(Buffer.from(frame?.[2] ?? "", "latin1"))).toEqual({ path: "\\ud800 😀" });
});

test("many frames before they are taken keep their order across the scratch's end", () => {
  const bytes = written((writer) => {
    for (let stream = 1; stream < 10_000; stream++) writer.window(stream, 1, stream);
    writer.data(1, 0, bytesOf("last"));
  });
  const frames = parse(bytes);
  expect(frames).toHaveLength(10_000);
  expect(frames.slice(0, -1).every(([type, stream], index) => type === FrameType.window && stream === index + 1)).toBe(true);
  expect(frames.at(-1)).toEqual([FrameType.data, 1, "0:last"]);
});
