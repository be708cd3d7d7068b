import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import { DaemonContainer, type Frame } from "./daemon-harness.ts";

interface Expected {
  readonly type: string;
  readonly stream?: number;
  readonly json?: object;
  readonly dataHex?: string;
}
interface Sequence {
  readonly name: string;
  readonly send: readonly string[];
  readonly repeat?: { readonly hex: string; readonly times: number };
  readonly expect?: readonly Expected[];
  readonly last?: Expected;
  readonly closes?: boolean;
}

const { sequences } = JSON.parse(readFileSync(new URL("../vectors/sequences.json", import.meta.url), "utf8")) as { sequences: readonly Sequence[] };

let guest: DaemonContainer;
beforeAll(async () => {
  guest = await DaemonContainer.start();
}, 60_000);
afterAll(async () => {
  await guest[Symbol.asyncDispose]();
}, 60_000);

function told(frame: Frame, expected: Expected): object {
  return {
    type: frame.type,
    ...(expected.stream !== undefined && { stream: frame.stream }),
    ...(expected.json !== undefined && { json: JSON.parse(frame.payload.toString()) }),
    ...(expected.dataHex !== undefined && { dataHex: frame.payload.toString("hex") }),
  };
}

test.each(sequences)("$name", { timeout: 30_000 }, async (sequence) => {
  const peer = await guest.connect();
  for (const step of sequence.send) {
    const awaited = /^wait:(\d+)$/u.exec(step)?.[1];
    if (awaited === undefined) peer.socket.write(Buffer.from(step, "hex"));
    else await peer.until((frames) => frames.find((f) => f.stream === Number(awaited) && ["RESULT", "ERROR"].includes(f.type)));
  }
  const { hex, times } = sequence.repeat ?? { hex: "", times: 0 };
  for (let time = 0; time < times; time++) peer.socket.write(Buffer.from(hex, "hex"));
  if (sequence.closes === true) await peer.closed;
  if (sequence.last !== undefined) {
    const last = sequence.last;
    expect(peer.frames.slice(-1).map((frame) => told(frame, last))).toMatchObject([last]);
    return;
  }
  const wanted = sequence.expect ?? [];
  await peer.until((frames) => (frames.length >= wanted.length ? true : undefined));
  expect(peer.frames.map((frame, at) => told(frame, wanted[at] ?? { type: "none" }))).toMatchObject(wanted);
  peer.close();
});
