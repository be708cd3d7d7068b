import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** `pnpm check`: everything that can be said of the tree without running the product. All steps run; the failed ones are named at the end. */
const packages = readdirSync("packages");
const temporary = mkdtempSync(join(tmpdir(), "glovebox-check-"));

const steps: readonly { readonly name: string; readonly run: () => boolean }[] = [
  { name: "format", run: () => command("oxfmt", "--check", ".") },
  { name: "lint", run: () => command("oxlint", "--type-aware", "--deny-warnings") },
  { name: "build", run: () => command("tsc", "-b", ...packages.map((name) => `packages/${name}`)) },
  { name: "types", run: () => command("tsc", "-p", "tsconfig.json") },
  { name: "unused", run: () => command("knip", "--no-progress") },
  { name: "packages", run: () => packages.every(checkPackage) },
  { name: "layout", run: () => command("vitest", "run", "--reporter=dot", "test/layout") },
];

function command(program: string, ...arguments_: string[]): boolean {
  return spawnSync(program, arguments_, { stdio: ["ignore", "inherit", "inherit"] }).status === 0;
}

/** Pack it as it would be published, then look at the archive as consumers' tools do. */
function checkPackage(name: string): boolean {
  const archive = join(temporary, `${name}.tgz`);
  const packed = spawnSync("npx", ["-y", "pnpm@12", "pack", "--out", archive], {
    cwd: join("packages", name),
    stdio: ["ignore", "ignore", "inherit"],
  });
  return packed.status === 0 && command("publint", "--strict", archive) && command("attw", "--profile", "esm-only", "--quiet", archive);
}

const failed: string[] = [];
for (const { name, run } of steps) {
  const started = performance.now();
  process.stdout.write(`--- ${name}\n`);
  if (!run()) failed.push(name);
  process.stdout.write(`    ${((performance.now() - started) / 1000).toFixed(1)} s\n`);
}
rmSync(temporary, { recursive: true, force: true });
if (failed.length > 0) process.stderr.write(`failed: ${failed.join(", ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
