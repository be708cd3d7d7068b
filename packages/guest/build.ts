// Builds the guest daemon for every architecture, the same bytes wherever it is built: `node packages/guest/build.ts`.
// With `--check` it builds beside and compares with what lies in bin/; the exit code is 1 when anything differs.
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const architectures = ["amd64", "arm64"] as const;
const daemon = fileURLToPath(new URL("daemon/", import.meta.url));
const shipped = fileURLToPath(new URL("bin/", import.meta.url));
const fileName = (architecture: string): string => `glovebox-guest-linux-${architecture}`;

/** The toolchain that go.mod names; go fetches it when another is installed. */
function pinnedToolchain(): string {
  const name = /^toolchain (go\S+)$/mu.exec(readFileSync(join(daemon, "go.mod"), "utf8"))?.[1];
  if (name === undefined) throw new Error("daemon/go.mod names no toolchain");
  return name;
}

function environment(architecture: string): NodeJS.ProcessEnv {
  const kept = Object.fromEntries(
    Object.entries(process.env).filter(
      ([name]) => !/^(GO|CGO)/u.test(name) || ["GOROOT", "GOPATH", "GOCACHE", "GOMODCACHE", "GOPROXY"].includes(name),
    ),
  );
  return {
    ...kept,
    GOOS: "linux",
    GOARCH: architecture,
    GOAMD64: "v1",
    GOARM64: "v8.0",
    CGO_ENABLED: "0",
    GOFLAGS: "",
    GOWORK: "off",
    GOTOOLCHAIN: pinnedToolchain(),
  };
}

function build(into: string): void {
  mkdirSync(into, { recursive: true });
  for (const architecture of architectures) {
    const output = join(into, fileName(architecture));
    execFileSync("go", ["build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w -buildid=", "-o", output, "."], {
      cwd: daemon,
      env: environment(architecture),
      stdio: ["ignore", "inherit", "inherit"],
    });
  }
}

function differing(): string[] {
  const beside = mkdtempSync(join(tmpdir(), "glovebox-guest-build-"));
  try {
    build(beside);
    return architectures.map(fileName).filter((name) => {
      try {
        return !readFileSync(join(shipped, name)).equals(readFileSync(join(beside, name)));
      } catch {
        return true;
      }
    });
  } finally {
    rmSync(beside, { recursive: true, force: true });
  }
}

function requireGo(): void {
  try {
    execFileSync("go", ["version"], { stdio: "ignore" });
  } catch {
    console.error(
      `Building the guest needs Go (${pinnedToolchain().replace("go", "")} or, with a network, any from 1.21 on). Install it so that \`go\` is on PATH.`,
    );
    process.exit(1);
  }
}

const options = process.argv.slice(2);
if (options.some((option) => option !== "--check")) {
  console.error("usage: node packages/guest/build.ts [--check]");
  process.exit(2);
}
requireGo();
if (options.includes("--check")) {
  const names = differing();
  for (const name of names) console.error(`packages/guest/bin/${name} is not what the sources build; run: node packages/guest/build.ts`);
  process.exitCode = names.length > 0 ? 1 : 0;
} else {
  build(shipped);
}
