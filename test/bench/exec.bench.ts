import { request } from "node:http";
import { Sandbox } from "@glovebox/core";
import { docker } from "@glovebox/docker";
import { median, percentile, type Row } from "./row.ts";

const socketPath = "/var/run/docker.sock";

/** One request to the engine; an exec's stream ends when its program does. */
function engine(path: string, body: unknown): Promise<string> {
  return new Promise((resolve, reject) => {
    const payload = JSON.stringify(body);
    const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(payload) };
    const call = request({ socketPath, method: "POST", path, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () =>
        (response.statusCode ?? 500) < 400 ? resolve(Buffer.concat(chunks).toString()) : reject(new Error(`${path}: ${response.statusCode}`)),
      );
    });
    call.on("error", reject);
    call.end(payload);
  });
}

async function engineExec(container: string, argv: readonly string[]): Promise<void> {
  const { Id } = JSON.parse(
    await engine(`/containers/${container}/exec`, { AttachStdout: true, AttachStderr: true, User: "1000:1000", Cmd: argv }),
  ) as { Id: string };
  await engine(`/exec/${Id}/start`, { Detach: false, Tty: false });
}

async function times(rounds: number, call: (round: number) => Promise<unknown>): Promise<number[]> {
  for (let round = 0; round < 5; round++) await call(round);
  const measured: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const started = performance.now();
    await call(round);
    measured.push(performance.now() - started);
  }
  return measured;
}

/** Calls on one live sandbox through the portable API, beside the engine's own exec API on the same container. */
export async function run(): Promise<readonly Row[]> {
  await using sandbox = await Sandbox.create(docker());
  const container = `glovebox-${sandbox.id}`;
  const viaEngine = await times(60, () => engineExec(container, ["true"]));
  const exec = await times(500, () => sandbox.exec(["true"]));
  const shell = sandbox.shell();
  const echo = await times(500, () => shell.run("echo hi"));
  const content = new Uint8Array(4_096).fill(97);
  const write = await times(500, () => sandbox.files.write("bench.bin", content));
  const read = await times(500, () => sandbox.files.read("bench.bin"));
  const against = "engine's exec API";
  const row = (measure: string, values: readonly number[], aim: string): Row => ({
    measure,
    unit: "ms p50",
    ours: median(values),
    theirs: median(viaEngine),
    against,
    ratioOf: "theirs/ours",
    aim,
    note: `p99 ${percentile(values, 0.99).toFixed(2)} ms`,
  });
  return [
    row("exec of true, live sandbox", exec, ">= 30, at least 20"),
    row("shell echo hi", echo, "<= 0.7 ms"),
    row("write 4 KiB", write, ">= 60"),
    row("read 4 KiB", read, ">= 60"),
  ];
}
