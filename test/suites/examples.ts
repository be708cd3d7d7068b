import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";

const failed: string[] = [];
for (const { name } of readdirSync("examples", { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
  process.stdout.write(`--- examples/${name}\n`);
  const { status, signal } = spawnSync("node", ["--conditions=@glovebox/source", `examples/${name}/main.ts`], {
    stdio: ["ignore", "inherit", "inherit"],
    timeout: 60_000,
  });
  if (status !== 0) failed.push(`examples/${name} ended with ${status ?? signal}`);
}
for (const line of failed) process.stderr.write(`${line}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
