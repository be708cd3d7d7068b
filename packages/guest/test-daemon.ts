// Checks the guest daemon's Go sources: vet, formatting and unit tests, none of which acts on this machine.
import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const cwd = fileURLToPath(new URL("daemon/", import.meta.url));

function go(command: string, ...args: string[]): string {
  return execFileSync(command, args, { cwd, env: { ...process.env, CGO_ENABLED: "0" }, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
}

try {
  const unformatted = go("gofmt", "-l", ".").trim();
  if (unformatted !== "") {
    console.error(`Not formatted; run gofmt -w on:\n${unformatted}`);
    process.exit(1);
  }
  go("go", "vet", "./...");
  process.stdout.write(go("go", "test", "./..."));
} catch (error) {
  if ((error as NodeJS.ErrnoException).code === "ENOENT")
    console.error("The guest's tests need Go 1.26; install it so that `go` and `gofmt` are on PATH.");
  else process.stderr.write(String((error as { stdout?: string }).stdout ?? error));
  process.exit(1);
}
