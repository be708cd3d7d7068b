import { LiveGuest } from "../../packages/guest/test/live-guest.ts";
import { percentile, type Row } from "./row.ts";

const signal: AbortSignal = new AbortController().signal;
const WARM_UP = 50;
const ROUNDS = 400;
const BULK_BYTES = 100 * 1_048_576;
const BULK_ROUNDS = 3;

const writing = { mode: 0o644, createParents: false, parentMode: 0o755, exclusive: false };

function content(bytes: number, pieceBytes = 65_536): ReadableStream<Uint8Array> {
  const piece = new Uint8Array(pieceBytes).fill(0x61);
  let left = bytes;
  return new ReadableStream(
    {
      pull: (controller) => {
        const size = Math.min(left, pieceBytes);
        if (size > 0) controller.enqueue(piece.subarray(0, size));
        left -= size;
        if (left === 0) controller.close();
      },
    },
    { highWaterMark: 0 },
  );
}

async function drained(stream: ReadableStream<Uint8Array>): Promise<number> {
  const reader = stream.getReader();
  let bytes = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return bytes;
    bytes += value.length;
  }
}

async function timed(rounds: number, call: () => Promise<unknown>): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const from = performance.now();
    await call();
    times.push(performance.now() - from);
  }
  return times;
}

/** What the guest costs on a unix socket, against the aims of the feasibility study; nothing else does the same, so nothing stands beside it. */
export async function run(): Promise<readonly Row[]> {
  await using live = await LiveGuest.start();
  using guest = await live.connect();
  const call = { signal };
  const exec = async (): Promise<void> => {
    const program = await guest.spawn({ argv: ["/bin/true"], cwd: "/", env: {}, stdin: "null" }, call);
    await program.exit;
  };
  const shell = async (): Promise<void> => {
    const program = await guest.shell.run(
      { shell: "main", command: "echo hi", cwd: "/workspace", env: {}, output: { maxBytes: 65_536, keep: "tail" } },
      call,
    );
    await Promise.all([drained(program.stdout), program.exit]);
  };
  const write = (path: string, bytes: number) => () => guest.files.write({ path, ...writing }, content(bytes), call);
  const read = (path: string) => async () => drained((await guest.files.read({ path }, call)).content);
  const small: readonly (readonly [string, string, () => Promise<unknown>])[] = [
    ["guest: ping", "0.3 ms", () => guest.ping(signal)],
    ["guest: exec /bin/true", "1.6 ms", exec],
    ["guest: shell echo hi", "0.7 ms", shell],
    ["guest: write 4 KiB", "0.6 ms", write("/workspace/small", 4_096)],
    ["guest: read 4 KiB", "0.27 ms", read("/workspace/small")],
  ];
  const rows: Row[] = [];
  for (const [measure, aim, once] of small) {
    await timed(WARM_UP, once);
    const times = await timed(ROUNDS, once);
    rows.push({ measure, unit: "ms p50", ours: percentile(times, 0.5), aim: `<= ${aim}`, note: `p99 ${percentile(times, 0.99).toFixed(2)} ms` });
  }
  const mebibytes = BULK_BYTES / 1_048_576;
  for (const [measure, aim, once] of [
    ["guest: write 100 MiB", ">= 300 MiB/s", write("/workspace/bulk", BULK_BYTES)],
    ["guest: read 100 MiB", ">= 450 MiB/s", read("/workspace/bulk")],
  ] as const) {
    await once();
    const rates = (await timed(BULK_ROUNDS, once)).map((ms) => (mebibytes * 1_000) / ms);
    rows.push({ measure, unit: "MiB/s median", ours: percentile(rates, 0.5), aim, note: `worst ${Math.min(...rates).toFixed(0)} MiB/s` });
  }
  return rows;
}
