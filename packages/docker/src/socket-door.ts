import { createHash, randomBytes } from "node:crypto";
import { chmod, lstat, mkdir, rm } from "node:fs/promises";
import { type Server, type Socket, createServer } from "node:net";
import { join } from "node:path";
import { SandboxError } from "@glovebox/core";
import type { GuestStream } from "@glovebox/guest";
import { nodeGuestStream } from "@glovebox/guest/node";

/** The longest path that a socket's address holds; see unix(7). */
const MAX_SOCKET_PATH_BYTES = 107;

/** Where the workers of one sandbox listen: a directory on this machine that is mounted read-only into it. */
export class SocketDirectory {
  /** Mode 0700 and the worker's own, so that nobody else on this machine comes near. */
  readonly #outer: string;
  /** What is mounted. Open to all, because the guest is another user than the worker; inside the sandbox it lies in a directory of mode 0700. */
  readonly path: string;

  private constructor(base: string, engineId: string, id: string) {
    this.#outer = join(
      base,
      createHash("sha256")
        .update(JSON.stringify([engineId, id]))
        .digest("hex")
        .slice(0, 16),
    );
    this.path = join(this.#outer, "s");
  }

  /** Pure: nothing is made yet. The same names give the same directory. */
  static of(base: string, engineId: string, id: string): SocketDirectory {
    return new SocketDirectory(base, engineId, id);
  }

  /**
   * Make it, or see that it is as it should be.
   * @returns whether it was made now, and so is the caller's to remove
   * @throws {SandboxError} `permission_denied`: this user may not, or another user owns it. `invalid_argument`: its path is too long for a socket
   */
  async prepare(): Promise<boolean> {
    const longest = join(this.path, socketName());
    if (Buffer.byteLength(longest) > MAX_SOCKET_PATH_BYTES) {
      const message = `${longest} is too long for a socket (${MAX_SOCKET_PATH_BYTES} bytes); give docker({ runtimeDirectory }) a shorter path`;
      throw new SandboxError("invalid_argument", message, { effect: "none" });
    }
    let made = false;
    try {
      for (const directory of [join(this.#outer, ".."), this.#outer]) {
        made = await makeDirectory(directory, directory !== this.#outer);
        const status = await lstat(directory);
        // a link or another user's directory would put the sockets where others reach them
        if (!status.isDirectory() || (process.getuid !== undefined && status.uid !== process.getuid()))
          throw new Error(`${directory} belongs to someone else`);
        if ((status.mode & 0o077) !== 0) await chmod(directory, 0o700);
      }
      await makeDirectory(this.path, false);
      await chmod(this.path, 0o755); // whatever the umask
      return made;
    } catch (cause) {
      const message = `cannot use ${this.#outer} for the sandbox's sockets; give docker({ runtimeDirectory }) a directory that is this user's own`;
      throw new SandboxError("permission_denied", message, { cause, effect: "none" });
    }
  }

  async remove(): Promise<void> {
    await rm(this.#outer, { recursive: true, force: true });
  }
}

/** @returns whether it was not there before */
async function makeDirectory(path: string, recursive: boolean): Promise<boolean> {
  try {
    return (await mkdir(path, { recursive, mode: 0o700 })) !== undefined || !recursive;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

const socketName = (): string => `${randomBytes(4).toString("hex")}.sock`;

/** A socket on which one worker waits for the guest, which dials and dials again after a loss. */
export class SocketDoor {
  readonly #server: Server;
  readonly #path: string;
  /** Connections that nobody asked for yet. */
  readonly #waiting: Socket[] = [];
  #wanted: ((socket: Socket) => void) | undefined;

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
    server.on("connection", (socket) => this.#arrived(socket));
  }

  /** @throws {SandboxError} `permission_denied`: this user may not make sockets there */
  static async open(directory: string): Promise<SocketDoor> {
    const path = join(directory, socketName());
    const server = createServer({ pauseOnConnect: true });
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    server.once("error", reject);
    server.listen({ path, readableAll: true, writableAll: true }, resolve);
    try {
      await promise;
    } catch (cause) {
      throw new SandboxError("permission_denied", `cannot listen at ${path}; is another user this sandbox's worker?`, { cause, effect: "none" });
    }
    return new SocketDoor(server, path);
  }

  /** Wait for the guest's next connection. One caller at a time. */
  async accept(signal: AbortSignal): Promise<GuestStream> {
    signal.throwIfAborted();
    for (let socket = this.#waiting.shift(); socket !== undefined; socket = this.#waiting.shift()) {
      if (!socket.destroyed) return toStream(socket);
    }
    const { promise, resolve, reject } = Promise.withResolvers<Socket>();
    const onAbort = (): void => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    this.#wanted = resolve;
    try {
      return toStream(await promise);
    } finally {
      this.#wanted = undefined;
      signal.removeEventListener("abort", onAbort);
    }
  }

  /** Idempotent. Connections that were handed out stay. */
  async close(): Promise<void> {
    for (const socket of this.#waiting.splice(0)) socket.destroy();
    this.#server.close(); // it ends when the last handed-out connection does, which nobody need wait for
    this.#server.unref();
    await rm(this.#path, { force: true });
  }

  #arrived(socket: Socket): void {
    if (this.#wanted !== undefined) {
      const wanted = this.#wanted;
      this.#wanted = undefined;
      return wanted(socket);
    }
    for (const old of this.#waiting.splice(0)) old.destroy(); // the guest dials again only when it gave the old one up
    socket.on("error", () => undefined);
    socket.on("close", () => this.#forget(socket));
    this.#waiting.push(socket);
  }

  #forget(socket: Socket): void {
    const index = this.#waiting.indexOf(socket);
    if (index >= 0) this.#waiting.splice(index, 1);
  }
}

function toStream(socket: Socket): GuestStream {
  socket.setNoDelay(true);
  const stream = nodeGuestStream(socket);
  return {
    ...stream,
    start: (receiver) => {
      stream.start(receiver);
      socket.resume();
    },
  };
}
