import { SandboxError } from "@glovebox/core";
import type { GuestStream } from "@glovebox/guest";
import { nodeGuestStream } from "@glovebox/guest/node";
import { inside } from "./container.ts";
import type { Engine } from "./engine.ts";
import { rethrow } from "./errors.ts";

const MAX_STDERR = 2000;

/** Reaches the guest over the stdio of an engine exec that stays open: for engines that see no sockets of this machine. */
export class ExecDoor {
  readonly #engine: Engine;
  readonly #container: string;

  constructor(engine: Engine, container: string) {
    this.#engine = engine;
    this.#container = container;
  }

  /** @throws {SandboxError} `unavailable`, `failed_precondition`: the engine could not start it (not running, paused, at its limit of processes) */
  async accept(signal: AbortSignal): Promise<GuestStream> {
    const body = {
      AttachStdin: true,
      AttachStdout: true,
      AttachStderr: true,
      User: "0:0",
      WorkingDir: "/",
      Env: [],
      Cmd: [inside.binary, "connect", inside.listen],
    };
    const { Id: exec } = await this.#engine
      .json<{ Id: string }>("POST", `/containers/${this.#container}/exec`, { body, signal })
      .catch(rethrow("connect to the guest", "none"));
    let complaint = "";
    const start = { Detach: false, Tty: false };
    const duplex = await this.#engine
      .hijack(`/exec/${exec}/start`, start, signal, (text) => (complaint = (complaint + text).slice(0, MAX_STDERR)))
      .catch(rethrow("connect to the guest", "none"));
    const stream = nodeGuestStream(duplex);
    return {
      ...stream,
      start: (receiver) =>
        stream.start({
          bytes: (chunk) => receiver.bytes(chunk),
          drained: () => receiver.drained(),
          closed: (cause) => receiver.closed(cause ?? said(complaint)),
        }),
    };
  }

  /** Its streams belong to who took them. */
  async close(): Promise<void> {}
}

function said(complaint: string): SandboxError | undefined {
  return complaint === "" ? undefined : new SandboxError("unavailable", `guest connect: ${complaint.trim()}`, { effect: "none" });
}
