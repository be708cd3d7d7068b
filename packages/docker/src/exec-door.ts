import { SandboxError } from "@glovebox/core";
import type { GuestStream, GuestStreamReceiver } from "@glovebox/guest";
import { nodeGuestStream } from "@glovebox/guest/node";
import { inside } from "./container.ts";
import type { Engine } from "./engine.ts";
import { EngineFailure, rethrow } from "./errors.ts";

const MAX_COMPLAINT = 2000;

/** Reaches the guest over the stdio of an engine exec that stays open: for engines that see no sockets of this machine. */
export class ExecDoor {
  readonly #engine: Engine;
  readonly #container: string;

  constructor(engine: Engine, container: string) {
    this.#engine = engine;
    this.#container = container;
  }

  /** @throws {SandboxError} `unavailable`: the engine could not start it (not running, paused, at its limit of processes) */
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
    const { Id: exec } = await this.#engine.json<{ Id: string }>("POST", `/containers/${this.#container}/exec`, { body, signal }).catch(unreachable);
    let complaint = "";
    const start = { Detach: false, Tty: false };
    const duplex = await this.#engine
      .hijack(`/exec/${exec}/start`, start, signal, (text) => (complaint = (complaint + text).slice(0, MAX_COMPLAINT)))
      .catch(unreachable);
    const stream = nodeGuestStream(duplex);
    return { ...stream, start: (receiver) => stream.start(new EngineTextFilter(receiver, () => complaint)) };
  }

  /** Its streams belong to who took them. */
  async close(): Promise<void> {}
}

/**
 * A container that does not run (409), or that ends while the program is being started in it (500, in several wordings), may be about to end, or to
 * go on: whoever asks finds out, or tries again.
 */
function unreachable(cause: unknown): never {
  if (!(cause instanceof EngineFailure && (cause.status === 409 || cause.status >= 500))) return rethrow("connect to the guest", "none")(cause);
  throw new SandboxError("unavailable", `docker connect to the guest: ${cause.message}`, { cause, effect: "none" });
}

/**
 * Where the engine cannot start the program after all, it writes why (`OCI runtime exec failed: …`) where the program's output would be. A guest's first byte
 * is 0, because no frame is longer than 16 MiB.
 */
class EngineTextFilter implements GuestStreamReceiver {
  readonly #receiver: GuestStreamReceiver;
  readonly #complaint: () => string;
  #text: string | undefined;
  #isGuest = false;

  constructor(receiver: GuestStreamReceiver, complaint: () => string) {
    this.#receiver = receiver;
    this.#complaint = complaint;
  }

  bytes(chunk: Uint8Array): void {
    this.#isGuest ||= this.#text === undefined && chunk[0] === 0;
    if (this.#isGuest) return this.#receiver.bytes(chunk);
    this.#text = ((this.#text ?? "") + Buffer.from(chunk).toString("utf8")).slice(0, MAX_COMPLAINT);
  }

  drained(): void {
    this.#receiver.drained();
  }

  closed(cause: Error | undefined): void {
    const said = (this.#text ?? this.#complaint()).trim();
    this.#receiver.closed(cause ?? (said === "" ? undefined : new SandboxError("unavailable", `guest connect: ${said}`, { effect: "none" })));
  }
}
