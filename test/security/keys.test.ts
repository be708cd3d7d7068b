import { startSimulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { removeSandboxes } from "../workers/sandboxes.ts";
import { startWorker } from "../workers/start.ts";

const planted = "planted-5f2c9d0b7e";

test("no key of the worker's is inside a sandbox: not in the environment, files, /proc, or the worker's own output", async () => {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using worker = startWorker(simulator, "docker", { env: { AWS_SECRET_ACCESS_KEY: planted, PLANTED: planted } });
  // the patterns are put together inside, so that the search does not find its own command
  const halves = (text: string): string => `'${text.slice(0, 6)}''${text.slice(6)}'`;
  const patterns = [planted, simulator.environmentKey, "sk-ant-"].map((text) => `printf '%s%s\\n' ${halves(text).replace("''", "' '")}`).join("; ");
  const search = [
    `{ ${patterns}; } > /dev/shm/patterns`,
    'found() { grep -aqF -f /dev/shm/patterns && echo "found in $1"; }',
    "env | found env",
    'for file in /proc/[0-9]*/environ /proc/[0-9]*/cmdline; do [ -r "$file" ] && found "$file" < "$file" 2> /dev/null; done',
    "find / -xdev \\( -path /proc -o -path /sys -o -path /dev/shm \\) -prune -o -type f -readable -newermt '-10 minutes' -print0 2> /dev/null | xargs -0r grep -alF -f /dev/shm/patterns",
    "echo PLANTED=$PLANTED >> /dev/shm/probe; found itself < /dev/shm/patterns",
    "true",
  ].join("\n");
  const report = await simulator.createSession({
    script: { turns: [{ calls: [{ name: "bash", input: { command: search }, expect: { equals: "found in itself" } }] }] },
  }).finished;
  expect(report.failures).toEqual([]);
  worker.kill("SIGTERM");
  await worker.ended;
  expect(worker.output()).not.toContain(planted);
  expect(worker.output()).not.toContain("sk-ant-");
  expect(JSON.stringify(simulator.requests)).not.toContain("sk-ant-");
}, 120_000);
