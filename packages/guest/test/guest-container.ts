import { execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { type GuestArchitecture, guestBinary } from "../src/binary.ts";
import { image } from "./image.ts";

const execute = promisify(execFile);
const inside = "/run/glovebox";

/** @returns what `docker` printed */
export async function docker(...command: readonly string[]): Promise<string> {
  return (await execute("docker", [...command])).stdout;
}

const emulated = process.env["GLOVEBOX_GUEST_EMULATED"] === "arm64";

/** Of the daemon; the programs that it starts are the machine's in any case. */
export const architecture: GuestArchitecture = emulated || process.arch === "arm64" ? "arm64" : "amd64";

const binary = process.env["GLOVEBOX_GUEST_BINARY"] ?? guestBinary(architecture);

/** What of `docker run` brings the daemon in, and what starts it there. */
export const daemon = {
  mounts: [`--volume=${binary}:/glovebox-guest:ro`, ...(emulated ? ["--volume=/usr/bin/qemu-aarch64-static:/emulator:ro"] : [])],
  program: [...(emulated ? ["/emulator"] : []), "/glovebox-guest"],
} as const;

export interface GuestOptions {
  /** Default: the image of the live suites. */
  readonly image?: string | undefined;
  /** Members of the daemon's configuration beside those that every test has. A `secret` among them has it all sent by stdin. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Further options of `docker run`; the last of a kind holds. */
  readonly docker?: readonly string[];
  /** The uid that the guest itself has. Default 0. */
  readonly uid?: number;
}

/** A container with the built guest as its first process, reached by a unix socket in a mounted directory. */
export class GuestContainer implements AsyncDisposable {
  readonly name: string;
  readonly socketPath: string;
  readonly #directory: string;

  protected constructor(name: string, directory: string) {
    this.name = name;
    this.#directory = directory;
    this.socketPath = join(directory, "guest.sock");
  }

  protected static async run({ config = {}, uid = 0, ...options }: GuestOptions): Promise<[name: string, directory: string]> {
    const name = `guest-test-${randomBytes(6).toString("hex")}`;
    const directory = await mkdtemp(join(tmpdir(), "glovebox-guest-"));
    await chmod(directory, 0o700);
    await chown(directory, uid, uid);
    const json = JSON.stringify({
      listen: `${inside}/guest.sock`,
      stateDirectory: `${inside}/state`,
      user: { uid: 1000, gid: 1000 },
      workdir: "/workspace",
      env: {},
      path: "/usr/local/bin:/usr/bin:/bin",
      ...config,
    });
    const bySecret = "secret" in config;
    const command = [
      ...["run", bySecret ? "-i" : "-d", "--name", name, "--user", `${uid}:${uid}`, "--network", "none", "--log-driver", "none"],
      ...["--pids-limit", "512", "--memory", "1g", "--security-opt", "no-new-privileges", "--cap-drop", "ALL"],
      ...(uid === 0 ? ["SETUID", "SETGID", "KILL", "CHOWN"] : []).flatMap((capability) => ["--cap-add", capability]),
      ...[...daemon.mounts, "-v", `${directory}:${inside}`],
      ...(options.docker ?? []),
      options.image ?? image,
      ...[...daemon.program, "serve", ...(bySecret ? ["--config-fd", "0"] : ["--config-json", json])],
    ];
    if (bySecret) spawn("docker", command, { stdio: ["pipe", "ignore", "inherit"] }).stdin.end(json);
    else await docker(...command);
    return [name, directory];
  }

  /** The state that the engine tells, for the message of a test that finds no guest. */
  async state(): Promise<{ readonly Running: boolean; readonly ExitCode: number }> {
    return JSON.parse(await docker("inspect", "-f", "{{json .State}}", this.name)) as { Running: boolean; ExitCode: number };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await docker("rm", "-f", this.name);
    await rm(this.#directory, { recursive: true, force: true });
  }
}
