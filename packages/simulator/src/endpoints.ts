import type { Credential } from "./credentials.ts";

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
  | "events.list"
  | "events.stream"
  | "events.send";

type Kinds = readonly Credential["kind"][];

const everyone: Kinds = ["api_key", "environment_key", "sessions_token"];
const application: Kinds = ["api_key"];

/**
 * Method, path and the credentials that may call it. Source: reference 3.3; where it is silent (API keys on poll, ack and heartbeat, sessions
 * tokens on stats) the call is refused, so that nothing works here by accident.
 */
const table: Readonly<Record<EndpointName, readonly ["GET" | "POST" | "DELETE", string, Kinds]>> = {
  "environments.retrieve": ["GET", "/v1/environments/:environment", application],
  "work.poll": ["GET", "/v1/environments/:environment/work/poll", ["environment_key"]],
  "work.stats": ["GET", "/v1/environments/:environment/work/stats", ["api_key", "environment_key"]],
  "work.list": ["GET", "/v1/environments/:environment/work", ["environment_key"]],
  "work.retrieve": ["GET", "/v1/environments/:environment/work/:work", application],
  "work.update": ["POST", "/v1/environments/:environment/work/:work", application],
  "work.ack": ["POST", "/v1/environments/:environment/work/:work/ack", ["environment_key", "sessions_token"]],
  "work.heartbeat": ["POST", "/v1/environments/:environment/work/:work/heartbeat", ["environment_key", "sessions_token"]],
  "work.stop": ["POST", "/v1/environments/:environment/work/:work/stop", everyone],
  "sessions.create": ["POST", "/v1/sessions", application],
  "sessions.list": ["GET", "/v1/sessions", application],
  "sessions.retrieve": ["GET", "/v1/sessions/:session", everyone],
  "sessions.update": ["POST", "/v1/sessions/:session", application],
  "sessions.delete": ["DELETE", "/v1/sessions/:session", application],
  "sessions.archive": ["POST", "/v1/sessions/:session/archive", application],
  "events.list": ["GET", "/v1/sessions/:session/events", everyone],
  "events.stream": ["GET", "/v1/sessions/:session/events/stream", everyone],
  "events.send": ["POST", "/v1/sessions/:session/events", everyone],
};

interface Endpoint {
  readonly name: EndpointName;
  readonly allows: Kinds;
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

const patterns: readonly Pattern[] = Object.entries(table).map(([name, [method, path, allows]]) => ({
  endpoint: { name: name as EndpointName, allows },
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

function decodeSegment(segment: string): string | undefined {
  try {
    return decodeURIComponent(segment);
  } catch {
    return undefined;
  }
}
