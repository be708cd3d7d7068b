import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Behaviour } from "./behaviour.ts";
import type { ControlPlane } from "./control-plane.ts";
import { mintId, type Credential, type NoCredential } from "./credentials.ts";
import { matchEndpoint, type Endpoint, type Gate, type Match } from "./endpoints.ts";
import { ApiFailure, errorEnvelope, errorTypeFor } from "./failure.ts";
import type { RequestFault } from "./faults.ts";
import type { MutableLoggedRequest, RequestLog } from "./request-log.ts";
import { parseJson, readBody, type Handlers, type Reply } from "./request.ts";
import { betaHeaders } from "./wire.ts";

/** Requests on their way: logged, faulted, authenticated, handled, answered. */
export function createApiServer(plane: ControlPlane, handlers: Handlers, log: RequestLog): Server {
  const server = createServer((incoming, response) => {
    void new Exchange(plane, handlers, log, incoming, response).run();
  });
  server.keepAliveTimeout = 60_000;
  server.requestTimeout = 0;
  return server;
}

class Exchange {
  readonly #plane: ControlPlane;
  readonly #handlers: Handlers;
  readonly #log: RequestLog;
  readonly #incoming: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #entry: MutableLoggedRequest;
  readonly #credential: Credential | NoCredential;
  readonly #query: URLSearchParams;
  readonly #match: Match | undefined;
  #fault: RequestFault | undefined;

  constructor(plane: ControlPlane, handlers: Handlers, log: RequestLog, incoming: IncomingMessage, response: ServerResponse) {
    this.#plane = plane;
    this.#handlers = handlers;
    this.#log = log;
    this.#incoming = incoming;
    this.#response = response;
    const { headers, method = "GET", url = "/" } = incoming;
    const mark = url.indexOf("?");
    const path = mark === -1 ? url : url.slice(0, mark);
    this.#query = new URLSearchParams(mark === -1 ? "" : url.slice(mark + 1));
    this.#match = matchEndpoint(method, path);
    this.#credential = plane.credentials.identify(headers.authorization, header(headers["x-api-key"]) ?? undefined);
    this.#entry = {
      id: mintId("req"),
      atMs: plane.clock.now(),
      method,
      path,
      query: Object.fromEntries(this.#query),
      endpoint: this.#match?.endpoint.name ?? null,
      credential: typeof this.#credential === "string" ? this.#credential : this.#credential.kind,
      helper: header(headers["x-stainless-helper"]),
      workerId: header(headers["anthropic-worker-id"]),
      sessionId: this.#match?.parameters.get("session") ?? null,
      workId: this.#match?.parameters.get("work") ?? null,
      token: tokenOf(this.#credential),
      delivered: null,
      sent: [],
      status: null,
    };
  }

  async run(): Promise<void> {
    this.#log.add(this.#entry);
    this.#response.once("close", () => this.#log.answered(this.#entry));
    try {
      const body = await readBody(this.#incoming);
      if (this.#entry.endpoint === "events.send") this.#entry.sent = summary(parseJson(body));
      this.#fault = this.#plane.faults.forRequest(this.#entry);
      const { latencyMs, cut, status } = this.#fault ?? {};
      if (latencyMs !== undefined) await new Promise<void>((resolve) => this.#plane.clock.setTimer(latencyMs, resolve));
      if (cut === "before") return this.#cut();
      if (status !== undefined) throw faultFailure(this.#fault, status);
      const reply = await this.#reply(body);
      if (cut === "after") return this.#cut();
      this.#answer(reply);
    } catch (error) {
      if (this.#response.destroyed) return; // the client left while its body was read, or the simulator closed
      this.#refuse(
        error instanceof ApiFailure ? error : new ApiFailure(500, `The simulator failed: ${error instanceof Error ? error.stack : String(error)}`),
      );
    }
  }

  async #reply(bytes: Buffer): Promise<Reply> {
    const { method, path } = this.#entry;
    const match = this.#match;
    const betas = (header(this.#incoming.headers["anthropic-beta"]) ?? "").split(",").map((beta) => beta.trim());
    if (match === undefined) throw new ApiFailure(404, `Not found: ${method} ${path}. The simulator has no such endpoint.`);
    if (!opens(match.endpoint.gate, betas)) throw new ApiFailure(404, `Not found: ${method} ${path}`);
    const credential = this.#credential;
    if (credential === "missing") throw new ApiFailure(401, "No credential: send `authorization: Bearer …` or `x-api-key`.");
    if (typeof credential === "string") throw new ApiFailure(401, "The credential is invalid or was revoked.");
    const { name, rateClass } = match.endpoint;
    if (!mayCall(match.endpoint, credential, this.#plane.behaviour)) {
      throw new ApiFailure(403, `${name} cannot be called with this kind of credential (${credential.kind}).`);
    }
    this.#plane.rateLimits.take(rateClass);
    const gone = new AbortController();
    this.#response.once("close", () => gone.abort());
    const contentType = header(this.#incoming.headers["content-type"]);
    return this.#handlers[name]({
      parameters: match.parameters,
      query: this.#query,
      body: contentType?.startsWith("multipart/") === true ? undefined : parseJson(bytes),
      bytes,
      contentType,
      betas,
      credential,
      workerId: this.#entry.workerId,
      gone: gone.signal,
    });
  }

  #answer(reply: Reply): void {
    this.#setHeaders();
    if ("stream" in reply) {
      this.#entry.status = 200;
      this.#log.answered(this.#entry);
      reply.stream(this.#response);
      return;
    }
    if ("bytes" in reply) {
      this.#entry.status = 200;
      this.#response.writeHead(200, { "content-type": reply.contentType, "content-length": reply.bytes.byteLength }).end(reply.bytes);
      return;
    }
    const body = this.#fault?.transform === undefined ? reply.body : this.#fault.transform(reply.body);
    this.#entry.delivered = reply.delivered ?? null;
    this.#send(reply.status, body);
  }

  #refuse(failure: ApiFailure): void {
    this.#setHeaders(failure.headers);
    this.#send(failure.status, errorEnvelope(failure, this.#entry.id));
  }

  #setHeaders(more: Readonly<Record<string, string>> = {}): void {
    this.#response.setHeader("request-id", this.#entry.id);
    for (const [name, value] of Object.entries({ ...more, ...this.#fault?.headers })) this.#response.setHeader(name, value);
  }

  #send(status: number, body: unknown): void {
    this.#entry.status = status;
    const text = body === undefined ? "" : JSON.stringify(body);
    const typed = status === 204 ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    this.#response.writeHead(status, typed).end(text);
  }

  #cut(): void {
    this.#response.destroy();
  }
}

function faultFailure(fault: RequestFault | undefined, status: number): ApiFailure {
  return new ApiFailure(status, fault?.message ?? `Injected fault: status ${status}.`, { errorType: fault?.errorType ?? errorTypeFor(status) });
}

function mayCall({ name, allows, undocumented }: Endpoint, { kind }: Credential, behaviour: Behaviour): boolean {
  if (allows.includes(kind)) return true;
  if (name === "work.list" && kind === "api_key") return behaviour.workListWithApiKey === "accept";
  return behaviour.undocumentedCredentials === "accept" && undocumented.includes(kind);
}

/** @throws {ApiFailure} 400: two that exclude each other */
function opens(gate: Gate, betas: readonly string[]): boolean {
  if (gate === "none") return true;
  const [agents, memory] = [betas.includes(betaHeaders.managedAgents), betas.includes(betaHeaders.memory)];
  if (gate === "managed_agents") return agents;
  if (agents && memory) {
    throw new ApiFailure(400, `anthropic-beta: ${betaHeaders.managedAgents} and ${betaHeaders.memory} cannot be used together.`);
  }
  return agents || memory;
}

function header(value: string | string[] | undefined): string | null {
  return (Array.isArray(value) ? value.join(", ") : value) ?? null;
}

function tokenOf(credential: Credential | NoCredential): MutableLoggedRequest["token"] {
  if (typeof credential === "string" || credential.kind !== "sessions_token") return null;
  const { workId, sessionId, delivery } = credential;
  return { workId, sessionId, delivery };
}

function summary(body: unknown): MutableLoggedRequest["sent"] {
  const events: unknown = typeof body === "object" && body !== null && "events" in body ? body.events : [];
  if (!Array.isArray(events)) return [];
  return events.map((event: Record<string, unknown> | null) => {
    const toolUseId = event?.["tool_use_id"] ?? event?.["custom_tool_use_id"];
    return { type: String(event?.["type"]), toolUseId: typeof toolUseId === "string" ? toolUseId : null };
  });
}
