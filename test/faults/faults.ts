import type { EndpointName, RequestFault, StreamFaultKind } from "@glovebox/simulator";

/** Endpoints that a worker calls. */
export const endpoints = [
  "work.poll",
  "work.ack",
  "work.heartbeat",
  "work.stop",
  "sessions.retrieve",
  "events.list",
  "events.stream",
  "events.send",
] as const satisfies readonly EndpointName[];

const statuses = [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 503, 529] as const;

/** What happens to the first request of an endpoint, by name. */
export const requestFaults: Readonly<Record<string, Omit<RequestFault, "endpoint">>> = {
  ...Object.fromEntries(statuses.map((status) => [`status ${status}`, { status }])),
  "no answer, nothing happened": { cut: "before" },
  "answer lost": { cut: "after" },
  "slow (1.5 s)": { latencyMs: 1_500 },
};

/** What happens to the frame of the session's second call. */
export const streamFaults: readonly StreamFaultKind[] = [
  "cut",
  "cut_after",
  "cut_mid_frame",
  "end",
  "drop",
  "duplicate",
  "split",
  "error",
  "invalid_json",
  "no_event_name",
];

/** One row of the matrix. */
export interface FaultCase {
  readonly where: (typeof endpoints)[number] | "stream frame";
  readonly fault: string;
}

export const cases: readonly FaultCase[] = [
  ...endpoints.flatMap((where) => Object.keys(requestFaults).map((fault) => ({ where, fault }))),
  ...streamFaults.map((fault) => ({ where: "stream frame" as const, fault })),
];
