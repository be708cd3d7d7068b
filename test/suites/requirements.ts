import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { existsSync, openSync } from "node:fs";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

export type RequirementName = "engine" | "image" | "dockerd" | "go" | "qemu" | "unzip";

/** Something a suite needs of the machine, beyond what pnpm installs. */
export interface Requirement {
  /** @returns what is missing, or `undefined` when it is there */
  readonly missing: () => Promise<string | undefined>;
  /** What a person does about it. */
  readonly advice: string;
  /** Install and start it: Debian, as root. What it started is ended by the returned function. */
  readonly setUp: () => Promise<() => Promise<void>>;
}

const socketPath = "/var/run/docker.sock";
const qemuPath = "/usr/bin/qemu-aarch64-static";
const nothing = async (): Promise<void> => {};

function goIsNewEnough(): boolean {
  try {
    const [, major = 0, minor = 0] = (/go(\d+)\.(\d+)/u.exec(execFileSync("go", ["version"], { encoding: "utf8" })) ?? []).map(Number);
    return major > 1 || (major === 1 && minor >= 21);
  } catch {
    return false;
  }
}

function isOnPath(command: string): boolean {
  return (process.env["PATH"] ?? "").split(delimiter).some((directory) => existsSync(join(directory, command)));
}

function run(command: string, ...arguments_: string[]): void {
  process.stdout.write(`    ${command} ${arguments_.join(" ")}\n`);
  execFileSync(command, arguments_, { stdio: ["ignore", "inherit", "inherit"], env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" } });
}

/** dpkg answers for a package that it merely knows the name of too, so the status counts and not the exit code. */
function isInstalled(debianPackage: string): boolean {
  try {
    return (
      execFileSync("dpkg-query", ["--show", "--showformat=${db:Status-Status}", debianPackage], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "ignore"],
      }) === "installed"
    );
  } catch {
    return false;
  }
}

function installDebian(...packages: string[]): void {
  const absent = packages.filter((name) => !isInstalled(name));
  if (absent.length === 0) return;
  run("apt-get", "update", "-qq");
  run("apt-get", "install", "-y", "-qq", "--no-install-recommends", ...absent);
}

/** @returns the status of a request to the engine, or `undefined` when nobody answers */
function engineStatus(path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const request = get({ socketPath, path, timeout: 5_000 }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on("timeout", () => request.destroy());
    request.on("error", () => resolve(undefined));
  });
}

async function startEngine(): Promise<() => Promise<void>> {
  const log = join(tmpdir(), "glovebox-dockerd.log");
  const output = openSync(log, "w");
  const engine: ChildProcess = spawn("dockerd", [], { stdio: ["ignore", output, output], detached: true });
  const ended = new Promise<string>((resolve) => {
    engine.on("exit", (code, signal) => resolve(`dockerd ended with ${code ?? signal}; see ${log}`));
    engine.on("error", (error) => resolve(error.message));
  });
  const deadline = Date.now() + 60_000;
  while ((await engineStatus("/_ping")) !== 200) {
    const failure = await Promise.race([ended, sleep(200)]);
    if (failure !== undefined) throw new Error(failure);
    if (Date.now() > deadline) throw new Error(`dockerd does not answer after 60 s; see ${log}`);
  }
  return async () => {
    engine.kill("SIGTERM");
    await ended;
  };
}

export const requirements: Readonly<Record<RequirementName, Requirement>> = {
  engine: {
    missing: async () => ((await engineStatus("/_ping")) === 200 ? undefined : `no Docker engine answers at ${socketPath}`),
    advice: "install Docker and start it (Debian: apt-get install docker.io iptables, then dockerd), with the right to use its socket",
    setUp: async () => {
      installDebian("docker.io", "iptables");
      return startEngine();
    },
  },
  image: {
    missing: async () => {
      const { DEFAULT_IMAGE } = await import("../../packages/docker/image/name.ts");
      return (await engineStatus(`/images/${encodeURIComponent(DEFAULT_IMAGE)}/json`)) === 200
        ? undefined
        : `the engine has no image ${DEFAULT_IMAGE}`;
    },
    advice: "build it: docker build packages/docker/image (with a registry), or as root on Debian: npx -y pnpm@12 build:image",
    setUp: async () => {
      installDebian("debootstrap");
      run("node", "packages/docker/image/build.ts");
      return nothing;
    },
  },
  dockerd: {
    missing: async () => {
      if (process.getuid?.() !== 0) return "only root may start an engine beside the machine's";
      return isOnPath("dockerd") ? undefined : "no dockerd on the PATH";
    },
    advice: "run as root on Linux, with dockerd installed (Debian: apt-get install docker.io)",
    setUp: async () => {
      installDebian("docker.io");
      return nothing;
    },
  },
  unzip: {
    missing: async () => (isOnPath("unzip") ? undefined : "no unzip on the PATH, which the official worker unpacks skills with"),
    advice: "install it (Debian: apt-get install unzip)",
    setUp: async () => {
      installDebian("unzip");
      return nothing;
    },
  },
  go: {
    missing: async () => (goIsNewEnough() ? undefined : "no Go toolchain of 1.21 or newer on the PATH"),
    advice: "install Go 1.21 or newer (it fetches the pinned toolchain itself)",
    setUp: async () => {
      installDebian("golang-go");
      if (!existsSync("/usr/bin/go")) throw new Error("golang-go did not give /usr/bin/go");
      return nothing;
    },
  },
  qemu: {
    missing: async () => (existsSync(qemuPath) ? undefined : `no user-mode emulator of arm64 at ${qemuPath}`),
    advice: "install it (Debian: apt-get install qemu-user-static); it is run by its name, nothing is registered with the kernel",
    setUp: async () => {
      installDebian("qemu-user-static");
      return nothing;
    },
  },
};
