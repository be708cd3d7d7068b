import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { defaultBehaviour, type Behaviour } from "./behaviour.ts";
import { textBlocks } from "./calls.ts";
import { realClock, SkewableClock, type Timer } from "./clock.ts";
import { ControlPlane, toBrain } from "./control-plane.ts";
import { mintId } from "./credentials.ts";
import { eventHandlers } from "./event-handlers.ts";
import { sessionHandle } from "./handle.ts";
import { memoryHandlers } from "./memory-handlers.ts";
import { createMemoryStore, memoryStoreHandle } from "./memory-store-handle.ts";
import type { Handlers } from "./request.ts";
import { resourceHandlers } from "./resource-handlers.ts";
import { RequestLog } from "./request-log.ts";
import { createApiServer } from "./server.ts";
import { ScriptError } from "./script-schema.ts";
import { stageScript } from "./script-fixtures.ts";
import type { Brain, Script } from "./script.ts";
import { sessionHandlers } from "./session-handlers.ts";
import { skillHandle } from "./skill-handle.ts";
import { skillHandlers } from "./skill-handlers.ts";
import type { CreateSessionOptions, SessionHandle, Simulator, SimulatorOptions } from "./simulator.ts";
import { webhookHandle } from "./webhook-handle.ts";
import { wireWork } from "./work-item.ts";
import { workHandlers } from "./work-handlers.ts";

/**
 * Start a control plane on a socket. It has one environment, one key for it, one API key and one agent from the start.
 * @throws {ScriptError} an agent's script is not one
 * @throws {Error} the address is taken or not this machine's (`EADDRINUSE`, `EADDRNOTAVAIL`)
 */
export async function startSimulator(options: SimulatorOptions = {}): Promise<Simulator> {
  const clock = new SkewableClock(options.clock ?? realClock());
  const behaviour: Behaviour = { ...defaultBehaviour, ...options.behaviour };
  const agentId = mintId("agent");
  const agents = new Map([[agentId, {}], ...Object.entries(options.agents ?? {})]);
  for (const { brain } of agents.values()) if (brain !== undefined) checkAgentBrain(brain);
  const { observer } = options;
  const plane = new ControlPlane(clock, behaviour, agents, (record, event) => {
    if (observer === undefined) return;
    const session = sessionHandle(plane, record);
    observer(event === null ? { type: "session", session } : { type: "event", session, event });
  });
  const log = new RequestLog(options.requestLogCapacity ?? 100_000, (request) => observer?.({ type: "request", request }));
  const environment = plane.createEnvironment("default", "self_hosted");
  const issueKey = (environmentId: string): string => plane.credentials.issue({ kind: "environment_key", environmentId });
  const environmentKey = issueKey(environment.id);
  const apiKey = plane.credentials.issue({ kind: "api_key", id: mintId("apikey") });

  const host = options.host ?? "127.0.0.1";
  let url = "";
  const handlers: Handlers = {
    ...workHandlers(plane, () => url),
    ...sessionHandlers(plane),
    ...resourceHandlers(plane),
    ...eventHandlers(plane),
    ...memoryHandlers(plane),
    ...skillHandlers(plane),
  };
  const server = createApiServer(plane, handlers, log);
  server.listen(options.port ?? 0, host);
  await once(server, "listening");
  url = `http://${host.includes(":") ? `[${host}]` : host}:${(server.address() as AddressInfo).port}`;

  let keepAlive: Timer | undefined;
  const scheduleKeepAlive = (): void => {
    const { keepAlive: wanted } = behaviour;
    if (wanted === false) return;
    keepAlive = clock.setTimer(wanted.intervalMs, () => {
      plane.keepAlive(wanted.kind);
      scheduleKeepAlive();
    });
  };
  scheduleKeepAlive();

  return {
    url,
    environmentId: environment.id,
    environmentKey,
    apiKey,
    agentId,
    createSession: (session = {}) => createSession(plane, { agentId, environmentId: environment.id }, session),
    session(id) {
      const record = plane.sessions.get(id);
      return record && sessionHandle(plane, record);
    },
    createMemoryStore: (store) => createMemoryStore(plane, store),
    memoryStore(id) {
      const store = plane.memoryStores.find(id);
      return store && memoryStoreHandle(plane, store);
    },
    createSkill: (skill) => skillHandle(plane.skills, plane.skills.create(skill)),
    createEnvironment(name = "another", type = "self_hosted") {
      const { id } = plane.createEnvironment(name, type);
      return { id, key: issueKey(id) };
    },
    revokeEnvironmentKey: (key = environmentKey) => plane.credentials.revoke(key),
    issueEnvironmentKey: (environmentId = environment.id) => issueKey(plane.environment(environmentId).id),
    enqueueHealthcheck({ environmentId = environment.id, typed = true } = {}) {
      const id = mintId("hc");
      return wireWork(plane.environment(environmentId).queue.enqueue(typed ? { type: "healthcheck", id } : { id }));
    },
    createWebhook({ url: target, types }) {
      const subscription = plane.webhooks.subscribe(target, types);
      plane.credentials.remember(subscription.signingKey, "webhook_signing_key");
      return webhookHandle(plane.webhooks, subscription);
    },
    secretsIn: (text) => plane.credentials.kindsIn(text),
    get requests() {
      return log.all();
    },
    waitForRequest: (matches, signal) => log.waitFor(matches, signal),
    addRequestFault: (fault) => plane.faults.addRequestFault(fault),
    addStreamFault: (fault) => plane.faults.addStreamFault(fault),
    addWebhookFault: (fault) => plane.faults.addWebhookFault(fault),
    skewClock(skewMs) {
      clock.skewMs = skewMs;
    },
    clearFaults: () => plane.faults.clear(),
    async [Symbol.asyncDispose]() {
      keepAlive?.cancel();
      plane.close();
      if (!server.listening) return;
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

function createSession(
  plane: ControlPlane,
  defaults: { readonly agentId: string; readonly environmentId: string },
  options: CreateSessionOptions,
): SessionHandle {
  const { agent, script, prompt = "Begin.", memoryStores = [] } = options;
  if (script !== undefined && options.brain !== undefined) throw new TypeError("createSession: give script or brain, not both");
  const brain = options.brain ?? (script === undefined ? undefined : toBrain(script));
  const staged = stageScript(plane, script ?? { turns: [] });
  const record = plane.createSession({
    environmentId: options.environmentId ?? defaults.environmentId,
    agentId: typeof agent === "string" ? agent : defaults.agentId,
    ...(typeof agent === "object" ? { agent } : {}),
    ...(brain === undefined ? {} : { brain }),
    skills: staged.skills,
    title: options.title ?? script?.name ?? null,
    metadata: options.metadata ?? {},
    resources: [...memoryStores, ...staged.memoryStores].map(({ id, ...more }) => ({ type: "memory_store", memory_store_id: id, ...more })),
    events: prompt === null ? [] : [{ type: "user.message", content: textBlocks(prompt) }],
  });
  return sessionHandle(plane, record);
}

/** @throws {ScriptError} no script, or one with what only a session can have */
function checkAgentBrain(brain: Brain | Script): void {
  toBrain(brain);
  if (typeof brain === "function") return;
  if (brain.memoryStores !== undefined || brain.skills !== undefined) {
    throw new ScriptError("script: memoryStores and skills go with a session's own script, not with an agent's");
  }
}
