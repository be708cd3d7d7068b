import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { promisify } from "node:util";
import { type Capabilities, SandboxError, type SandboxDriver } from "@glovebox/core";
import { guestBinary } from "../src/binary.ts";
import { guestCapabilities } from "../src/capabilities.ts";
import { connectGuest, type ConnectedGuest } from "../src/connect.ts";
import { guestDriver, type GuestDriverOptions } from "../src/driver.ts";
import type { GuestStream } from "../src/guest-stream.ts";
import { connectUnixSocket } from "../src/node-stream.ts";
import { image } from "./image.ts";
import { never } from "./peer.ts";

const run = promisify(execFile);

/** A container with the built guest as its first process, reached by a unix socket in a mounted directory. */
export class LiveGuest implements AsyncDisposable {
  readonly name: string;
  readonly #directory: string;

  private constructor(name: string, directory: string) {
    this.name = name;
    this.#directory = directory;
  }

  static async start(): Promise<LiveGuest> {
    const directory = await mkdtemp(join(tmpdir(), "glovebox-live-"));
    await chmod(directory, 0o700);
    const guest = new LiveGuest(`guest-live-test-${randomBytes(6).toString("hex")}`, directory);
    const config = {
      listen: "/run/glovebox/guest.sock",
      stateDirectory: "/run/glovebox/state",
      user: { uid: 1000, gid: 1000 },
      workdir: "/workspace",
      env: {},
      path: "/usr/local/bin:/usr/bin:/bin",
    };
    await run("docker", [
      ...[
        "run",
        "-d",
        "--name",
        guest.name,
        "--user",
        "0:0",
        "--network",
        "none",
        "--log-driver",
        "none",
        "--security-opt",
        "no-new-privileges",
        "--cap-drop",
        "ALL",
      ],
      ...["SETUID", "SETGID", "KILL", "CHOWN"].flatMap((capability) => ["--cap-add", capability]),
      ...["-v", `${guestBinary(process.arch === "arm64" ? "arm64" : "amd64")}:/glovebox-guest:ro`, "-v", `${directory}:/run/glovebox`],
      ...["--pids-limit", "512", "--memory", "1g", image, "/glovebox-guest", "serve", "--config-json", JSON.stringify(config)],
    ]);
    return guest;
  }

  /** One stream to the guest, waiting until it listens. */
  readonly stream = async (signal: AbortSignal = never): Promise<GuestStream> => {
    for (let tries = 0; ; tries++) {
      try {
        return await connectUnixSocket(join(this.#directory, "guest.sock"), signal);
      } catch (error) {
        if (tries === 500) throw error;
        await pause(10, undefined, { signal });
      }
    }
  };

  async connect(mode: "takeover" | "join" = "takeover"): Promise<ConnectedGuest> {
    return connectGuest(await this.stream(), { mode }, { signal: never });
  }

  /** @param options `connect` may wrap {@link stream} */
  async driver(options: Partial<GuestDriverOptions> = {}): Promise<SandboxDriver> {
    return guestDriver(
      {
        ref: { provider: "live", id: this.name, proof: "00" },
        workdir: "/workspace",
        capabilities: { ...guestCapabilities, calls: { survives: "restart" } } as Capabilities,
        mode: "takeover",
        connect: this.stream,
        diagnose: () => this.#diagnose(),
        destroy: () => this[Symbol.asyncDispose](),
        ...options,
      },
      { signal: never },
    );
  }

  async docker(...args: readonly string[]): Promise<string> {
    return (await run("docker", [...args])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await run("docker", ["rm", "-f", this.name]);
    await rm(this.#directory, { recursive: true, force: true });
  }

  async #diagnose(): Promise<SandboxError | undefined> {
    const state = JSON.parse(await this.docker("inspect", "-f", "{{json .State}}", this.name)) as { Running: boolean; ExitCode: number };
    if (state.Running) return undefined;
    return new SandboxError("not_found", `container was killed (exit ${state.ExitCode})`, { effect: "unknown" });
  }
}
