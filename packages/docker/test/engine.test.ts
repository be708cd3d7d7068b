import { createServer, type Server } from "node:http";
import { mkdtempSync, rmSync } from "node:fs";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Engine } from "../src/engine.ts";
import { ExecDoor } from "../src/exec-door.ts";
import { EngineFailure, EngineUnreachable, toSandboxError } from "../src/errors.ts";
import { demultiplex, FrameReader } from "../src/hijacked.ts";

let directory: string;
let servers: Server[];
let asked: string[];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "gb-engine-"));
  asked = [];
  servers = [];
});
afterEach(() => {
  for (const server of servers) {
    server.closeAllConnections();
    server.close();
  }
  rmSync(directory, { recursive: true });
});

/** An engine that answers what the test plans and refuses all else. */
async function serve(answers: Readonly<Record<string, readonly [number, unknown]>>, onUpgrade?: (socket: Socket) => void): Promise<Engine> {
  const socketPath = join(directory, `s${servers.length}`);
  const server = createServer((request, response) => {
    const name = `${request.method} ${request.url}`;
    asked.push(name);
    const [status, body] = answers[name] ?? [599, { message: `unplanned ${name}` }];
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  });
  if (onUpgrade !== undefined) {
    server.on("upgrade", (request, socket) => {
      asked.push(`${request.method} ${request.url}`);
      onUpgrade(socket as Socket);
    });
  }
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return new Engine({ name: "unix:///test", socketPath });
}

const version = (api: string, oldest: string) => ({ "GET /version": [200, { ApiVersion: api, MinAPIVersion: oldest }] }) as const;

test("it speaks 1.41, or what the engine takes at least, and asks for that once", async () => {
  const engine = await serve({ ...version("1.52", "1.44"), "GET /v1.44/info": [200, { ID: "x" }] });
  await engine.json("GET", "/info");
  expect(await engine.json("GET", "/info")).toEqual({ ID: "x" });
  expect(asked).toEqual(["GET /version", "GET /v1.44/info", "GET /v1.44/info"]);
});

test("an engine that is too old is refused", async () => {
  const engine = await serve(version("1.40", "1.12"));
  await expect(engine.json("GET", "/info")).rejects.toMatchObject({ code: "failed_precondition", effect: "none" });
});

test("a refusal carries the engine's status and message", async () => {
  const engine = await serve({ ...version("1.41", "1.12"), "POST /v1.41/x": [409, { message: "taken" }] });
  await expect(engine.json("POST", "/x", { body: {} })).rejects.toEqual(Object.assign(new EngineFailure(409, "taken"), { status: 409 }));
});

test("an abort ends the request with its reason", async () => {
  const engine = await serve(version("1.41", "1.12"));
  await engine.json("GET", "/x").catch(() => undefined);
  servers[0]?.removeAllListeners("request");
  const controller = new AbortController();
  servers[0]?.on("request", () => controller.abort(new Error("enough")));
  await expect(engine.json("GET", "/hangs", { signal: controller.signal })).rejects.toEqual(new Error("enough"));
});

test("an abort ends the waiting for an engine that does not even tell its version, and nobody else's", async () => {
  const engine = await serve({ "GET /v1.41/info": [200, { ID: "x" }] });
  const [planned] = servers[0]?.listeners("request") ?? [];
  servers[0]?.removeAllListeners("request");
  const controller = new AbortController();
  const answered = Promise.withResolvers<() => void>();
  servers[0]?.once("request", (_request, response) => {
    answered.resolve(() => response.writeHead(200).end('{"ApiVersion":"1.41"}'));
    servers[0]?.on("request", planned as () => void);
  });
  const patient = engine.json("GET", "/info");
  const given = engine.json("GET", "/info", { signal: controller.signal });
  const answer = await answered.promise;
  controller.abort(new Error("enough"));
  await expect(given).rejects.toEqual(new Error("enough"));
  answer();
  expect(await patient).toEqual({ ID: "x" });
});

test("a missing engine and a missing permission say what to do", async () => {
  const unreachable = await new Engine({ name: "unix:///absent", socketPath: join(directory, "absent") })
    .json("GET", "/info")
    .catch((error: unknown) => error);
  expect(toSandboxError(unreachable, "probe", "none")).toMatchObject({
    code: "unavailable",
    effect: "none",
    message:
      "[unavailable] docker probe: no Docker engine at unix:///absent; start it (`systemctl start docker`, or Docker Desktop), or name another in DOCKER_HOST",
  });
  const denied = new EngineUnreachable("EACCES", "unix:///var/run/docker.sock", {});
  expect(toSandboxError(denied, "probe", "none")).toMatchObject({
    code: "permission_denied",
    message:
      "[permission_denied] docker probe: this user may not open unix:///var/run/docker.sock; join the group that owns it (`usermod -aG docker USER`, then log in again), or name a rootless engine in DOCKER_HOST",
  });
});

test.each([
  [400, "bad parameter", "invalid_argument", "none"],
  [404, "no such container", "not_found", "none"],
  [409, "is paused", "failed_precondition", "none"],
  [500, "something broke", "unknown", "unknown"],
  [500, "OCI runtime create failed: exec format error", "unsupported", "none"],
  [400, 'invalid mount config for type "bind": bind source path does not exist: /run/x', "failed_precondition", "none"],
  [500, "write /var/lib/docker/x: no space left on device", "resource_exhausted", "none"],
])("status %i %s is %s", (status, message, code, effect) => {
  expect(toSandboxError(new EngineFailure(status, message), "start x", "unknown")).toMatchObject({ code, effect });
});

test("a hijacked connection gives stdout, reports stderr, and half-closes", async () => {
  let received = "";
  const engine = await serve(version("1.41", "1.12"), (socket) => {
    socket.write("HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n");
    socket.write(frame(1, "out"));
    socket.write(frame(2, "complaint"));
    socket.on("data", (chunk) => (received += chunk.toString()));
    socket.on("end", () => socket.end(frame(1, ` got ${received}`)));
  });
  const reports: string[] = [];
  const duplex = await engine.hijack("/exec/x/start", {}, new AbortController().signal, (text) => reports.push(text));
  duplex.end("input");
  expect(Buffer.concat(await Array.fromAsync(duplex as AsyncIterable<Buffer>)).toString()).toBe("out got input");
  expect(reports).toEqual(["complaint"]);
  expect(asked).toEqual(["GET /version", "POST /v1.41/exec/x/start"]);
});

test.each([
  [409, "container c is not running", "unavailable"],
  [500, "OCI runtime exec failed: exec failed: cannot exec a container that has stopped: unknown", "unavailable"],
  [404, "no such container: c", "not_found"],
])("a guest that the engine cannot reach for now (%i) may be asked for again, a container that is gone may not", async (status, message, code) => {
  const engine = await serve({ ...version("1.41", "1.12"), "POST /v1.41/containers/c/exec": [status, { message }] });
  await expect(new ExecDoor(engine, "c").accept(new AbortController().signal)).rejects.toMatchObject({ code, effect: "none" });
  const starting = await serve({
    ...version("1.41", "1.12"),
    "POST /v1.41/containers/c/exec": [201, { Id: "x" }],
    "POST /v1.41/exec/x/start": [status, { message }],
  });
  await expect(new ExecDoor(starting, "c").accept(new AbortController().signal)).rejects.toMatchObject({ code, effect: "none" });
});

test("a broken connection destroys the stream", async () => {
  const socket = new PassThrough();
  const stream = demultiplex(socket, Buffer.alloc(0), () => undefined);
  const closed = new Promise((resolve) => stream.on("error", resolve));
  socket.destroy(new Error("reset"));
  expect(await closed).toEqual(new Error("reset"));
});

test("frames come out whole and in order, however the bytes are cut", () => {
  const frames = fc.array(fc.record({ stream: fc.constantFrom(1, 2), content: fc.uint8Array({ minLength: 1, maxLength: 40 }) }), { maxLength: 8 });
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1 }), (sent, cuts) => {
      const bytes = Buffer.concat(sent.map(({ stream, content }) => frame(stream, content)));
      const reader = new FrameReader();
      const got = new Map<number, Buffer[]>();
      for (let offset = 0, index = 0; offset < bytes.length; index++) {
        const size = cuts[index % cuts.length] ?? 1;
        for (const { stream, payload } of reader.read(bytes.subarray(offset, offset + size))) got.set(stream, [...(got.get(stream) ?? []), payload]);
        offset += size;
      }
      for (const stream of [1, 2]) {
        expect(Buffer.concat(got.get(stream) ?? [])).toEqual(
          Buffer.concat(sent.filter((each) => each.stream === stream).map(({ content }) => content)),
        );
      }
    }),
  );
});

function frame(stream: number, content: string | Uint8Array): Buffer {
  const payload = Buffer.from(content);
  const header = Buffer.alloc(8);
  header.writeUInt8(stream, 0);
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}
