import type { Behaviour } from "./behaviour.ts";
import type { SkewableClock } from "./clock.ts";
import { Credentials, mintId } from "./credentials.ts";
import type { EventStream } from "./event-stream.ts";
import { ApiFailure } from "./failure.ts";
import { FaultPlan } from "./faults.ts";
import { MemoryStores } from "./memory-stores.ts";
import { play, type Play } from "./play.ts";
import { WorkQueue } from "./queue.ts";
import { RateLimits } from "./rate-limits.ts";
import { scriptBrain, type Brain, type Script } from "./script.ts";
import { checkScript } from "./script-schema.ts";
import { Session } from "./session.ts";
import { toResources, type ResourceParams, type SessionResource } from "./session-resources.ts";
import { Skills } from "./skills.ts";
import type { AgentSpec, SkillReference } from "./simulator.ts";
import { Webhooks } from "./webhooks.ts";
import type { EventParams, JsonObject, SessionEvent } from "./wire.ts";
import { wireAgent } from "./wire-session.ts";
import type { WorkItem } from "./work-item.ts";

/** Where tools run: on workers of the customer's, or in the service's containers, which nobody plays here but the script. */
export type EnvironmentType = "self_hosted" | "cloud";

export interface Environment {
  readonly id: string;
  readonly name: string;
  readonly type: EnvironmentType;
  readonly createdAtMs: number;
  readonly queue: WorkQueue;
}

/** A session with what surrounds it: how the API shows it, who plays its model, who watches its stream. */
export interface SessionRecord {
  readonly session: Session;
  /** Grows with each session. */
  readonly sequence: number;
  readonly environment: Environment;
  agent: JsonObject;
  readonly resources: SessionResource[];
  readonly play: Play;
  readonly streams: Set<EventStream>;
  readonly work: WorkItem[];
  title: string | null;
  metadata: Record<string, string>;
  updatedAtMs: number;
  archivedAtMs: number | null;
}

/** Hears of each new session, with `null`, and of each of its events. */
export type SessionObserver = (record: SessionRecord, event: SessionEvent | null) => void;

export interface NewSession {
  readonly environmentId: string;
  readonly agentId: string;
  /** Replaces fields of the known agent, for this session only. */
  readonly overrides?: JsonObject;
  readonly agent?: AgentSpec;
  readonly brain?: Brain;
  /** Beside those of the agent. */
  readonly skills: readonly SkillReference[];
  readonly title: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  readonly resources: readonly ResourceParams[];
  readonly events: readonly EventParams[];
}

/** Everything that the service knows, without HTTP. */
export class ControlPlane {
  readonly clock: SkewableClock;
  readonly behaviour: Behaviour;
  readonly credentials: Credentials;
  readonly faults: FaultPlan = new FaultPlan();
  readonly rateLimits: RateLimits;
  readonly webhooks: Webhooks;
  readonly memoryStores: MemoryStores;
  readonly skills: Skills;
  readonly sessions: Map<string, SessionRecord> = new Map();
  readonly #environments = new Map<string, Environment>();
  readonly #agents: ReadonlyMap<string, AgentSpec>;
  readonly #observe: SessionObserver;
  #created = 0;

  constructor(clock: SkewableClock, behaviour: Behaviour, agents: ReadonlyMap<string, AgentSpec>, observe: SessionObserver) {
    this.clock = clock;
    this.behaviour = behaviour;
    this.credentials = new Credentials(clock);
    this.rateLimits = new RateLimits(clock, behaviour.rateLimits === false ? {} : behaviour.rateLimits);
    this.webhooks = new Webhooks(clock, behaviour, this.faults);
    this.memoryStores = new MemoryStores(clock, behaviour, this.webhooks);
    this.skills = new Skills(clock);
    this.#agents = agents;
    this.#observe = observe;
  }

  createEnvironment(name: string, type: EnvironmentType): Environment {
    const id = mintId("env");
    const environment: Environment = { id, name, type, createdAtMs: this.clock.stampMs(), queue: new WorkQueue(id, this.clock, this.behaviour) };
    this.#environments.set(id, environment);
    return environment;
  }

  /** @throws {ApiFailure} 404 */
  environment(id: string): Environment {
    const environment = this.#environments.get(id);
    if (environment === undefined) throw new ApiFailure(404, `Environment ${id} not found.`, { details: { error_code: "environment_not_found" } });
    return environment;
  }

  /** @throws {ApiFailure} 404 */
  record(sessionId: string): SessionRecord {
    const record = this.sessions.get(sessionId);
    if (record === undefined) throw new ApiFailure(404, `Session ${sessionId} not found.`);
    return record;
  }

  /** @throws {ApiFailure} 404: unknown environment or agent; what {@link toResources} refuses */
  createSession(request: NewSession): SessionRecord {
    const environment = this.environment(request.environmentId);
    const spec = request.agent ?? this.#agents.get(request.agentId);
    if (spec === undefined) throw new ApiFailure(404, `Agent ${request.agentId} not found.`);
    const resources = toResources(this, environment, request.resources);
    const work: WorkItem[] = [];
    const selfHosted = environment.type === "self_hosted";
    const wake = (): void => {
      if (!selfHosted) return;
      const live = work.at(-1);
      if (live !== undefined && live.state !== "stopping" && live.state !== "stopped") return;
      work.push(environment.queue.enqueue({ type: "session", id: session.id }));
    };
    const known = wireAgent(request.agentId, { ...spec, skills: [...(spec.skills ?? []), ...request.skills] });
    const agent = { ...known, ...request.overrides };
    const session = new Session(agent.name, { clock: this.clock, behaviour: this.behaviour, selfHosted, wake, deleted: () => this.#forget(record) });
    const record: SessionRecord = {
      session,
      sequence: this.#created++,
      environment,
      agent,
      resources,
      play: play(session, request.brain ?? toBrain(spec.brain ?? { turns: [] }), this.clock),
      streams: new Set(),
      work,
      title: request.title,
      metadata: { ...request.metadata },
      updatedAtMs: session.createdAtMs,
      archivedAtMs: null,
    };
    this.sessions.set(session.id, record);
    this.#observe(record, null);
    session.log.listen((event) => {
      this.webhooks.tellOfSession(session.id, event);
      this.#observe(record, event);
    });
    wake();
    if (request.events.length > 0) session.accept(request.events);
    return record;
  }

  /** @throws {ApiFailure} 400: it runs */
  archiveSession(record: SessionRecord): void {
    refuseWhileRunning(record, "archived");
    record.archivedAtMs ??= this.clock.stampMs();
    record.updatedAtMs = this.clock.stampMs();
    record.session.end("session.status_terminated", true);
  }

  /** @throws {ApiFailure} 400: it runs */
  deleteSession(record: SessionRecord): void {
    refuseWhileRunning(record, "deleted");
    record.session.end("session.deleted", true);
  }

  /** Send every open stream a keep-alive of the configured kind. */
  keepAlive(kind: "ping" | "comment"): void {
    for (const record of this.sessions.values()) for (const stream of record.streams) stream.keepAlive(kind);
  }

  close(): void {
    this.webhooks.close();
    for (const record of this.sessions.values()) {
      record.session.abandon();
      for (const stream of record.streams) stream.end();
    }
    for (const environment of this.#environments.values()) environment.queue.close();
  }

  #forget(record: SessionRecord): void {
    for (const stream of record.streams) stream.end();
    record.streams.clear();
    this.sessions.delete(record.session.id);
  }
}

/** @throws {ScriptError} naming each wrong value by its path */
export function toBrain(source: Brain | Script): Brain {
  if (typeof source === "function") return source;
  checkScript(source);
  return scriptBrain(source);
}

function refuseWhileRunning(record: SessionRecord, verb: string): void {
  if (record.session.status === "running")
    throw new ApiFailure(400, `Session ${record.session.id} is running and cannot be ${verb}; interrupt it first.`);
}
