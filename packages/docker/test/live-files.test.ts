import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { create, destroyAfterEach } from "./live-docker.ts";

destroyAfterEach();

const MIB = 1_048_576;
const pieces = 1_024;

/** A gibibyte in pieces that all differ, made as it is read. */
function gibibyte(): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream(
    {
      pull: (controller) => {
        controller.enqueue(piece(at));
        if (++at === pieces) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

const piece = (number: number): Uint8Array => Buffer.alloc(MIB, `piece ${number}\n`);

test("a file of a gibibyte goes in and comes out, byte for byte, and is never held in memory", async () => {
  const sandbox = await create({ diskBytes: { max: 4 * 1_024 * MIB } });
  const before = process.memoryUsage.rss();
  let most = 0;
  const watching = setInterval(() => (most = Math.max(most, process.memoryUsage.rss() - before)), 50);
  await sandbox.files.write("big.bin", gibibyte());
  expect((await sandbox.files.stat("big.bin")).sizeBytes).toBe(pieces * MIB);
  const [came, sent] = [createHash("sha256"), createHash("sha256")];
  for await (const chunk of await sandbox.files.readStream("big.bin")) came.update(chunk);
  for (let number = 0; number < pieces; number++) sent.update(piece(number));
  clearInterval(watching);
  expect(came.digest("hex")).toBe(sent.digest("hex"));
  expect(most).toBeLessThan(256 * MIB);
}, 120_000);
