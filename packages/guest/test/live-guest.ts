import { setTimeout as pause } from "node:timers/promises";
import { type Capabilities, SandboxError, type SandboxDriver } from "@glovebox/core";
import { guestCapabilities } from "../src/capabilities.ts";
import { connectGuest, type ConnectedGuest } from "../src/connect.ts";
import { guestDriver, type GuestDriverOptions } from "../src/driver.ts";
import type { GuestStream } from "../src/guest-stream.ts";
import { connectUnixSocket } from "../src/node-stream.ts";
import { GuestContainer, type GuestOptions } from "./guest-container.ts";
import { never } from "./peer.ts";

/** A guest in a container, for this package's own client. */
export class LiveGuest extends GuestContainer {
  static async start(options: GuestOptions = {}): Promise<LiveGuest> {
    return new LiveGuest(...(await GuestContainer.run(options)));
  }

  /** One stream to the guest, waiting until it listens. */
  readonly stream = async (signal: AbortSignal = never): Promise<GuestStream> => {
    for (let tries = 0; ; tries++) {
      try {
        return await connectUnixSocket(this.socketPath, signal);
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

  async #diagnose(): Promise<SandboxError | undefined> {
    const state = await this.state();
    if (state.Running) return undefined;
    return new SandboxError("not_found", `container was killed (exit ${state.ExitCode})`, { effect: "unknown" });
  }
}
