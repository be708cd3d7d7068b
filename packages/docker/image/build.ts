import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

// The engine's client comes from the sources, so that a fresh checkout needs no build first.
const program = fileURLToPath(new URL("make.ts", import.meta.url));
const { status } = spawnSync(process.execPath, ["--conditions=@glovebox/source", program, ...process.argv.slice(2)], { stdio: "inherit" });
process.exitCode = status ?? 1;
