import type { Behaviour } from "./behaviour.ts";
import type { Clock } from "./clock.ts";
import type { SecretKind } from "./credentials.ts";
import type { AddedFault, RequestFault, StreamFault, WebhookFault } from "./faults.ts";
import type { SessionReport } from "./report.ts";
import type { LoggedRequest } from "./request-log.ts";
import type { Brain, Script } from "./script.ts";
import type { SkillContent } from "./skills.ts";
import type { WebhookAttempt, WebhookDisabledBecause, WebhookEventType } from "./webhooks.ts";
import type { ContentBlock, EventParams, JsonObject, SessionEvent, SessionStatus, WireWork } from "./wire.ts";

/** What an agent is to the simulator: what `session.agent` shows, and who plays its model. */
export interface AgentSpec {
  readonly name?: string;
  readonly system?: string | null;
  readonly tools?: readonly JsonObject[];
  readonly skills?: readonly SkillReference[];
  /** Plays the model of sessions that are created over the API. Default: one that ends every turn at once and says nothing. */
  readonly brain?: Brain | Script;
}

export interface SimulatorOptions {
  /** Default `127.0.0.1`. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** Default: real time. */
  readonly clock?: Clock;
  /** Agents that `POST /v1/sessions` may name, by id. An agent that is not here is unknown (404). Default: none but `simulator.agentId`. */
  readonly agents?: Readonly<Record<string, AgentSpec>>;
  readonly behaviour?: Partial<Behaviour>;
  /** Hears of what happens, while it happens. It must not throw. */
  readonly observer?: (observation: Observation) => void;
  /** Requests that the log keeps. Default 100,000. */
  readonly requestLogCapacity?: number;
}

/** A request that was answered or cut off; a session that is new; an event that was appended, or stamped as applied. */
export type Observation =
  | { readonly type: "request"; readonly request: LoggedRequest }
  | { readonly type: "session"; readonly session: SessionHandle }
  | { readonly type: "event"; readonly session: SessionHandle; readonly event: SessionEvent };

export interface CreateSessionOptions {
  /** What the model does, as data. It is checked; what is wrong is named with its path. Not together with `brain`. */
  readonly script?: Script;
  /** What the model does, as code. With neither, the agent's own brain plays. */
  readonly brain?: Brain;
  /** Text of the first user's message, sent at once. `null`: the session waits for `sendMessage`. Default `"Begin."` */
  readonly prompt?: string | null;
  readonly title?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** The id of a known agent, or one of its own. Default `simulator.agentId`. */
  readonly agent?: string | AgentSpec;
  /** Default `simulator.environmentId`. */
  readonly environmentId?: string;
  /** Memory stores that it has, by id. Default: none. */
  readonly memoryStores?: readonly StoreAttachment[];
}

export interface StoreAttachment {
  readonly id: string;
  /** Default `read_write`. */
  readonly access?: "read_write" | "read_only";
  readonly instructions?: string;
}

/** How an agent names a skill. `version` may be `latest`. */
export interface SkillReference {
  readonly type: "anthropic" | "custom";
  readonly skill_id: string;
  readonly version: string;
}

export interface CreateSkillOptions extends SkillContent {
  /** The directory that workers give it. Any text: what a worker makes of a hostile one can be tested. */
  readonly name: string;
  /** Default: a fresh one. Skills of the service have words such as `pdf`. */
  readonly id?: string;
  /** Default `custom`. */
  readonly source?: "custom" | "anthropic";
}

export interface SkillHandle {
  readonly id: string;
  /** Ids, oldest first. */
  readonly versions: readonly string[];
  /** For an agent's `skills`. Default version: `latest`. */
  reference(version?: string): SkillReference;
  /** Returns the new version's id. */
  addVersion(content: SkillContent): string;
}

export interface CreateMemoryStoreOptions {
  /** Its mount path is made of it. */
  readonly name: string;
  /** Default: empty. */
  readonly description?: string;
  /** Contents by path; a path starts with `/`. Default: none. */
  readonly memories?: Readonly<Record<string, string>>;
}

/** A memory store from the application's side. Its methods do what the API's calls do, without HTTP. */
export interface MemoryStoreHandle {
  readonly id: string;
  readonly name: string;
  /** Contents by path, as they are now. */
  readonly memories: Readonly<Record<string, string>>;
  /** Create a memory or overwrite it, as another client would. @throws {ApiFailure} what the API would refuse */
  write(path: string, content: string): void;
  /** @throws {ApiFailure} 404 */
  remove(path: string): void;
  archive(): void;
}

/** A session from the application's and the test's side. Its methods do what the API's calls do, without HTTP. */
export interface SessionHandle {
  readonly id: string;
  readonly status: SessionStatus;
  /** The history as it is now, ascending. */
  readonly events: readonly SessionEvent[];
  /** Resolves when the brain ended or the session did; never rejects. */
  readonly finished: Promise<SessionReport>;
  /** The report as it would be now. */
  report(): SessionReport;
  /** The memory stores that it has, those that exist no more left out. */
  readonly memoryStores: readonly MemoryStoreHandle[];
  /** Work items of this session, oldest first, as the API shows them. */
  readonly work: readonly WireWork[];
  /** Send any events. @throws {ApiFailure} what the API would refuse */
  send(events: readonly EventParams[]): readonly SessionEvent[];
  sendMessage(text: string): SessionEvent;
  /** @param thread label or id; default: all threads */
  interrupt(thread?: string): SessionEvent;
  confirm(toolUseId: string, result: "allow" | "deny", denyMessage?: string): SessionEvent;
  /** Answer a call as the application would: for tools that the worker does not own. */
  answer(toolUseId: string, content: string | readonly ContentBlock[], isError?: boolean): SessionEvent;
  /** Append an event as it is, of any type. `live: false`: into history only, as for a client that was disconnected. */
  emit(event: EventParams, options?: { readonly live?: boolean }): SessionEvent;
  /** `live: false`: nobody sees it on a stream. */
  terminate(options?: { readonly live?: boolean }): void;
  terminateThread(thread: string): void;
  /** @throws {ApiFailure} while it runs */
  archive(): void;
  /** @throws {ApiFailure} while it runs */
  delete(): void;
  /** The first event, past or to come, for which `matches` is true. Rejects with the signal's reason. */
  waitForEvent(matches: (event: SessionEvent) => boolean, signal?: AbortSignal): Promise<SessionEvent>;
  /** Reset every open stream of this session. Returns how many there were. */
  cutStreams(): number;
  /** The next poll gets the newest work item again, whoever has it. @throws {Error} there is none */
  redeliver(): void;
  /** Let the lease of the live work item run out now. @throws {Error} when no item has one */
  expireLease(): void;
}

export interface CreateWebhookOptions {
  /** `http:` and a loopback host: the simulator never sends anywhere else. */
  readonly url: string;
  /** Default: all that it sends. */
  readonly types?: readonly WebhookEventType[];
}

export interface WebhookHandle {
  /** For `ANTHROPIC_WEBHOOK_SIGNING_KEY`. */
  readonly signingKey: string;
  /** `null` while it is enabled. */
  readonly disabledBecause: WebhookDisabledBecause | null;
  /** Answered or given up, in that order. */
  readonly attempts: readonly WebhookAttempt[];
  /** The first attempt, past or to come, for which `matches` is true. Rejects with the signal's reason. */
  waitForAttempt(matches: (attempt: WebhookAttempt) => boolean, signal?: AbortSignal): Promise<WebhookAttempt>;
  remove(): void;
}

export interface SimulatedEnvironment {
  readonly id: string;
  readonly key: string;
}

/** A control plane on a socket. Closing it ends every connection; unfinished sessions are reported as abandoned. */
export interface Simulator extends AsyncDisposable {
  /** `http://host:port`, for `ANTHROPIC_BASE_URL`. */
  readonly url: string;
  readonly environmentId: string;
  readonly environmentKey: string;
  readonly apiKey: string;
  /** The agent of sessions that name none. */
  readonly agentId: string;
  createSession(options?: CreateSessionOptions): SessionHandle;
  /** The handle of a session, however it was created. */
  session(id: string): SessionHandle | undefined;
  /** @throws {ApiFailure} what the API would refuse */
  createMemoryStore(options: CreateMemoryStoreOptions): MemoryStoreHandle;
  /** The handle of a memory store, however it was created. */
  memoryStore(id: string): MemoryStoreHandle | undefined;
  /** @throws {RangeError} members that its format has no place for */
  createSkill(options: CreateSkillOptions): SkillHandle;
  /**
   * Another environment with a key of its own.
   * @param type default `self_hosted`. In a `cloud` one nothing is queued, and the script answers for the service's containers
   */
  createEnvironment(name?: string, type?: "self_hosted" | "cloud"): SimulatedEnvironment;
  /** From now on the key is refused (401). Default: the first environment's. */
  revokeEnvironmentKey(key?: string): void;
  /** A new key for an environment. */
  issueEnvironmentKey(environmentId?: string): string;
  /** Queue an item that is no session. `typed: false` leaves `data.type` out. */
  enqueueHealthcheck(options?: { readonly environmentId?: string; readonly typed?: boolean }): WireWork;
  /** @throws {TypeError} `url` is none that the simulator sends to */
  createWebhook(options: CreateWebhookOptions): WebhookHandle;
  /** Kinds of the simulator's secrets that stand in a text, such as a worker's log; those out of force included. */
  secretsIn(text: string): readonly SecretKind[];
  readonly requests: readonly LoggedRequest[];
  /** The first answered request, past or to come, for which `matches` is true. */
  waitForRequest(matches: (request: LoggedRequest) => boolean, signal?: AbortSignal): Promise<LoggedRequest>;
  addRequestFault(fault: RequestFault): AddedFault;
  addStreamFault(fault: StreamFault): AddedFault;
  addWebhookFault(fault: WebhookFault): AddedFault;
  /** From now on every time that it stamps is off by this much; leases, reclaim and waits are not. 0 ends it. */
  skewClock(skewMs: number): void;
  clearFaults(): void;
}
