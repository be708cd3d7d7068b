import type { Credential } from "./credentials.ts";
import type { RateClass } from "./rate-limits.ts";

export type EndpointName =
  | "environments.retrieve"
  | "work.poll"
  | "work.stats"
  | "work.list"
  | "work.retrieve"
  | "work.update"
  | "work.ack"
  | "work.heartbeat"
  | "work.stop"
  | "sessions.create"
  | "sessions.list"
  | "sessions.retrieve"
  | "sessions.update"
  | "sessions.delete"
  | "sessions.archive"
  | "resources.list"
  | "resources.add"
  | "resources.retrieve"
  | "resources.update"
  | "resources.delete"
  | "threads.list"
  | "threads.retrieve"
  | "threads.archive"
  | "threads.events"
  | "threads.stream"
  | "events.list"
  | "events.stream"
  | "events.send"
  | "memory_stores.create"
  | "memory_stores.list"
  | "memory_stores.retrieve"
  | "memory_stores.update"
  | "memory_stores.delete"
  | "memory_stores.archive"
  | "memories.list"
  | "memories.create"
  | "memories.retrieve"
  | "memories.update"
  | "memories.delete"
  | "memory_versions.list"
  | "memory_versions.retrieve"
  | "memory_versions.redact"
  | "skills.create"
  | "skills.list"
  | "skills.retrieve"
  | "skills.delete"
  | "skill_versions.create"
  | "skill_versions.list"
  | "skill_versions.retrieve"
  | "skill_versions.delete"
  | "skill_versions.content";

type Kind = Credential["kind"];
type Kinds = readonly Kind[];

/** Method, path, who may call it, and for whom the documentation says neither yes nor no. */
type Row = readonly [method: "GET" | "POST" | "DELETE", path: string, allows: Kinds, undocumented?: Kinds];

const everyone: Kinds = ["api_key", "environment_key", "sessions_token"];
const application: Kinds = ["api_key"];
const workers: Kinds = ["environment_key", "sessions_token"];
const environment = "/v1/environments/:environment";
const session = "/v1/sessions/:session";
const store = "/v1/memory_stores/:store";
const skill = "/v1/skills/:skill";

/** Source: reference 3.3. Stores as a whole are the application's: a sessions token has its session, and with it what is in the stores attached. */
const table: Readonly<Record<EndpointName, Row>> = {
  "environments.retrieve": ["GET", environment, application, workers],
  "work.poll": ["GET", `${environment}/work/poll`, ["environment_key"], ["api_key", "sessions_token"]],
  "work.stats": ["GET", `${environment}/work/stats`, ["api_key", "environment_key"], ["sessions_token"]],
  "work.list": ["GET", `${environment}/work`, ["environment_key"], ["sessions_token"]],
  "work.retrieve": ["GET", `${environment}/work/:work`, application],
  "work.update": ["POST", `${environment}/work/:work`, application],
  "work.ack": ["POST", `${environment}/work/:work/ack`, workers, ["api_key"]],
  "work.heartbeat": ["POST", `${environment}/work/:work/heartbeat`, workers, ["api_key"]],
  "work.stop": ["POST", `${environment}/work/:work/stop`, everyone],
  "sessions.create": ["POST", "/v1/sessions", application, workers],
  "sessions.list": ["GET", "/v1/sessions", application, workers],
  "sessions.retrieve": ["GET", session, everyone],
  "sessions.update": ["POST", session, application, workers],
  "sessions.delete": ["DELETE", session, application, workers],
  "sessions.archive": ["POST", `${session}/archive`, application, workers],
  "resources.list": ["GET", `${session}/resources`, application, workers],
  "resources.add": ["POST", `${session}/resources`, application, workers],
  "resources.retrieve": ["GET", `${session}/resources/:resource`, application, workers],
  "resources.update": ["POST", `${session}/resources/:resource`, application, workers],
  "resources.delete": ["DELETE", `${session}/resources/:resource`, application, workers],
  "threads.list": ["GET", `${session}/threads`, application, workers],
  "threads.retrieve": ["GET", `${session}/threads/:thread`, application, workers],
  "threads.archive": ["POST", `${session}/threads/:thread/archive`, application, workers],
  "threads.events": ["GET", `${session}/threads/:thread/events`, application, workers],
  "threads.stream": ["GET", `${session}/threads/:thread/stream`, application, workers],
  "events.list": ["GET", `${session}/events`, everyone],
  "events.stream": ["GET", `${session}/events/stream`, everyone],
  "events.send": ["POST", `${session}/events`, everyone],
  "memory_stores.create": ["POST", "/v1/memory_stores", application, ["sessions_token"]],
  "memory_stores.list": ["GET", "/v1/memory_stores", application, ["sessions_token"]],
  "memory_stores.retrieve": ["GET", store, ["api_key", "sessions_token"]],
  "memory_stores.update": ["POST", store, application, ["sessions_token"]],
  "memory_stores.delete": ["DELETE", store, application, ["sessions_token"]],
  "memory_stores.archive": ["POST", `${store}/archive`, application, ["sessions_token"]],
  "memories.list": ["GET", `${store}/memories`, ["api_key", "sessions_token"]],
  "memories.create": ["POST", `${store}/memories`, ["api_key", "sessions_token"]],
  "memories.retrieve": ["GET", `${store}/memories/:memory`, ["api_key", "sessions_token"]],
  "memories.update": ["POST", `${store}/memories/:memory`, ["api_key", "sessions_token"]],
  "memories.delete": ["DELETE", `${store}/memories/:memory`, ["api_key", "sessions_token"]],
  "memory_versions.list": ["GET", `${store}/memory_versions`, ["api_key", "sessions_token"]],
  "memory_versions.retrieve": ["GET", `${store}/memory_versions/:version`, ["api_key", "sessions_token"]],
  "memory_versions.redact": ["POST", `${store}/memory_versions/:version/redact`, application, ["sessions_token"]],
  "skills.create": ["POST", "/v1/skills", application, workers],
  "skills.list": ["GET", "/v1/skills", application, workers],
  "skills.retrieve": ["GET", skill, application, workers],
  "skills.delete": ["DELETE", skill, application, workers],
  "skill_versions.create": ["POST", `${skill}/versions`, application, workers],
  "skill_versions.list": ["GET", `${skill}/versions`, application, workers],
  "skill_versions.retrieve": ["GET", `${skill}/versions/:version`, everyone],
  "skill_versions.delete": ["DELETE", `${skill}/versions/:version`, application, workers],
  "skill_versions.content": ["GET", `${skill}/versions/:version/content`, everyone],
};

/** Which `anthropic-beta` a path is behind. `memory`: either of two, and not both. */
export type Gate = "managed_agents" | "memory" | "none";

export interface Endpoint {
  readonly name: EndpointName;
  readonly gate: Gate;
  readonly rateClass: RateClass;
  readonly allows: Kinds;
  readonly undocumented: Kinds;
}

export interface Match {
  readonly endpoint: Endpoint;
  readonly parameters: ReadonlyMap<string, string>;
}

interface Pattern {
  readonly endpoint: Endpoint;
  readonly method: string;
  readonly segments: readonly string[];
}

const patterns: readonly Pattern[] = Object.entries(table).map(([name, [method, path, allows, undocumented = []]]) => ({
  endpoint: { name: name as EndpointName, gate: gateOf(path), rateClass: rateClassOf(name, method), allows, undocumented },
  method,
  segments: path.split("/"),
}));

/** The endpoint of a request, its parameters decoded; literal segments win because they stand first in the table. */
export function matchEndpoint(method: string, path: string): Match | undefined {
  const segments = path.split("/");
  for (const pattern of patterns) {
    if (pattern.method !== method || pattern.segments.length !== segments.length) continue;
    const parameters = new Map<string, string>();
    const matches = pattern.segments.every((expected, index) => {
      const actual = segments[index] ?? "";
      if (!expected.startsWith(":")) return expected === actual;
      const decoded = decodeSegment(actual);
      if (decoded === undefined || decoded === "") return false;
      parameters.set(expected.slice(1), decoded);
      return true;
    });
    if (matches) return { endpoint: pattern.endpoint, parameters };
  }
  return undefined;
}

function gateOf(path: string): Gate {
  if (path.startsWith("/v1/skills")) return "none";
  return path.startsWith("/v1/memory_stores") ? "memory" : "managed_agents";
}

function rateClassOf(name: string, method: string): RateClass {
  if (method === "GET") return "read";
  return name.endsWith(".create") ? "create" : "other";
}

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
