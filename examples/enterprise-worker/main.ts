import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startSimulator } from "@glovebox/simulator";

// In production the control plane is Anthropic's; here a simulated one queues a session whose model follows a script.
await using simulator = await startSimulator();
const session = simulator.createSession({
  prompt: "Please work on OPS-7.",
  script: {
    turns: [
      {
        calls: [
          { name: "read_ticket", kind: "custom", input: { id: "OPS-7" }, expect: { contains: "error log", isError: false } },
          { name: "read_ticket", kind: "custom", input: { id: "../secrets" }, expect: { isError: true } },
        ],
      },
      { calls: [{ name: "write", input: { file_path: "app.log", content: "INFO start\nERROR disk\nERROR disk\n" }, expect: { isError: false } }] },
      { calls: [{ name: "bash", input: { command: "grep -c ERROR app.log; env" }, expect: { matches: "^2\n", isError: false } }] },
    ],
  },
});

const directory = await mkdtemp(join(tmpdir(), "glovebox-example-"));
const auditPath = join(directory, "audit.jsonl");
// the very command that an enterprise runs; `glovebox` where the package is installed
const main = join(import.meta.dirname, "../../packages/cli/src/main.ts");
const worker = spawn(process.execPath, ["--conditions=@glovebox/source", main, "worker", "--log-format", "json"], {
  cwd: import.meta.dirname,
  stdio: ["ignore", "pipe", "inherit"],
  env: {
    PATH: process.env["PATH"],
    HOME: directory,
    AUDIT_LOG: auditPath,
    SANDBOXES: process.argv.includes("--docker") ? "docker" : "virtual",
    ANTHROPIC_BASE_URL: simulator.url,
    ANTHROPIC_ENVIRONMENT_ID: simulator.environmentId,
    ANTHROPIC_ENVIRONMENT_KEY: simulator.environmentKey,
  },
});
let log = "";
worker.stdout.on("data", (chunk: Buffer) => (log += chunk.toString("utf8")));
const exited = once(worker, "exit");
try {
  const early = exited.then(([code]) => assert.fail(`the worker ended with ${code}: ${log}`));
  const report = await Promise.race([session.finished, early]);
  assert.deepEqual(report.failures, []);
  assert.equal(report.passed, true);

  worker.kill("SIGTERM");
  assert.deepEqual(await exited, [0, null], log);

  const audit = await readFile(auditPath, "utf8");
  const finished = audit
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly type: string; readonly tool?: string; readonly isError?: boolean })
    .filter(({ type }) => type === "call.finished");
  assert.deepEqual(finished.map(({ tool, isError }) => `${tool}: ${isError === true ? "error" : "ok"}`).sort(), [
    "bash: ok",
    "read_ticket: error",
    "read_ticket: ok",
    "write: ok",
  ]);
  // keys and session content are in no log, and the key never came into the sandbox
  const results = report.calls.map(({ result }) => result?.text ?? "").join("\n");
  for (const text of [log, audit, results]) assert.ok(!text.includes(simulator.environmentKey));
  for (const text of [log, audit]) assert.ok(!text.includes("ERROR disk"));

  process.stdout.write(`${report.calls.length} calls served, ${finished.length} in the audit log, the worker stopped in order\n`);
} finally {
  worker.kill("SIGKILL");
  await rm(directory, { recursive: true });
}
