import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { machineEngine } from "./engine-api.ts";

export interface EngineProxy extends AsyncDisposable {
  /** For `DOCKER_HOST`. */
  readonly host: string;
}

/**
 * Stands between a worker and the machine's engine.
 * @param onAnswer told of each request, such as `POST /v1.41/containers/4f2a/start`, when the engine has answered it and the worker does not know yet
 */
export async function startEngineProxy(onAnswer: (request: string) => void): Promise<EngineProxy> {
  const directory = mkdtempSync(join(tmpdir(), "gb-proxy-"));
  const open = new Set<Socket>();
  const server = createServer((worker) => {
    const engine = connect(machineEngine);
    let asked: string | undefined;
    worker.on("data", (bytes) => {
      // one connection carries one request at a time, so its head begins a chunk
      asked = /^([A-Z]+ [^ ?]+)\S* HTTP\/1\.1\r\n/u.exec(bytes.toString("latin1"))?.[1] ?? asked;
      engine.write(bytes);
    });
    engine.on("data", (bytes) => {
      if (asked !== undefined) onAnswer(asked);
      asked = undefined;
      worker.write(bytes);
    });
    for (const [socket, other] of [
      [worker, engine],
      [engine, worker],
    ] as const) {
      open.add(socket);
      socket.on("end", () => other.end());
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        open.delete(socket);
        other.destroy();
      });
    }
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  const path = join(directory, "d.sock");
  server.listen(path, resolve);
  await promise;
  return {
    host: `unix://${path}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      for (const socket of open) socket.destroy();
      rmSync(directory, { recursive: true });
    },
  };
}
