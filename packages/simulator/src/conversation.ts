import type { LoggedRequest } from "./request-log.ts";

/**
 * What a worker's requests have to keep to. Source: reference 1, 3.4, 5.6.
 * - `worker_credential`: a helper's request carries an environment key or an item's token, never the key of the client that it was made from.
 * - `ack_first`: nothing is asked for an item before it was acknowledged.
 * - `staging_first`: skills and memory stores are there before the stream is opened, so before a tool runs.
 * - `stream_first`: the stream is open before the history is read. `history_first`: the history is read before a result is sent.
 * - `one_result`: once a result was accepted or refused for good, no other is sent for its call.
 * - `one_stop`: an item is stopped once, and not at all by a worker that lost it. `stop_last`: nothing is asked for it afterwards.
 */
export type ConversationRule =
  | "worker_credential"
  | "ack_first"
  | "staging_first"
  | "stream_first"
  | "history_first"
  | "one_result"
  | "one_stop"
  | "stop_last";

export interface Violation {
  readonly rule: ConversationRule;
  readonly message: string;
  /** `id` of the request that broke it. */
  readonly requestId: string;
}

export interface ConversationOptions {
  /** The workers are gone, so whatever they claimed has to be stopped or lost. Default false: it may still be served. */
  readonly over?: boolean;
}

/** What workers asked for with the token of one delivery of an item, in order of arrival. */
interface Claim {
  readonly workId: string;
  readonly delivery: number;
  readonly requests: LoggedRequest[];
}

/**
 * Which rules the workers broke, by the log of their requests. A claim is told by its token, so items have to be delivered with one each time.
 * @param requests whole, or from the start: `simulator.requests`
 */
export function checkConversation(requests: readonly LoggedRequest[], { over = false }: ConversationOptions = {}): readonly Violation[] {
  const claims = claimsIn(requests);
  return [
    ...requests.flatMap(checkCredential),
    ...checkResults(requests),
    ...claims.flatMap((claim) => [
      ...checkAck(claim, requests),
      ...checkOrder(claim.requests),
      ...checkStop(claim, over && !claims.some((other) => other.workId === claim.workId && other.delivery > claim.delivery)),
    ]),
  ];
}

function claimsIn(requests: readonly LoggedRequest[]): readonly Claim[] {
  const claims = new Map<string, Claim>();
  for (const request of requests) {
    if (request.token === null) continue;
    const { workId, delivery } = request.token;
    const key = `${workId} ${delivery}`;
    const claim = claims.get(key) ?? { workId, delivery, requests: [] };
    claims.set(key, claim);
    claim.requests.push(request);
  }
  return [...claims.values()];
}

function checkCredential(request: LoggedRequest): readonly Violation[] {
  const { helper, credential } = request;
  if (helper === null || ["environment_key", "sessions_token", "revoked"].includes(credential)) return [];
  return [broken("worker_credential", request, `${describe(request)} of ${helper} came with ${credential}`)];
}

function checkAck({ workId, delivery, requests: own }: Claim, requests: readonly LoggedRequest[]): readonly Violation[] {
  const [first] = own;
  if (first === undefined) return [];
  const from = requests.findIndex(({ delivered }) => delivered?.workId === workId && delivered.delivery === delivery);
  const acked = requests
    .slice(Math.max(0, from), requests.indexOf(first) + 1)
    .some((request) => request.endpoint === "work.ack" && request.workId === workId);
  return acked ? [] : [broken("ack_first", first, `${describe(first)} came before ${workId} was acknowledged`)];
}

function checkOrder(own: readonly LoggedRequest[]): readonly Violation[] {
  const at = (matches: (request: LoggedRequest) => boolean): number => {
    const position = own.findIndex(matches);
    return position === -1 ? Infinity : position;
  };
  const stream = at(({ endpoint }) => endpoint === "events.stream");
  const history = at(({ endpoint }) => endpoint === "events.list");
  const skill = own.findLastIndex(({ endpoint }) => endpoint?.startsWith("skill_versions.") === true);
  const memory = at(({ endpoint }) => endpoint === "memories.list");
  const result = at(({ sent }) => sent.some(isResult));
  const rules: readonly (readonly [ConversationRule, boolean, number, string])[] = [
    ["staging_first", skill > stream, skill, "a skill was asked for after the stream was opened"],
    ["staging_first", memory !== Infinity && memory > stream, memory, "memories were first listed after the stream was opened"],
    ["stream_first", history < stream, history, "the history was read before the stream was opened"],
    ["history_first", result < history, result, "a result was sent before the history was read"],
  ];
  return rules.flatMap(([rule, isBroken, position, message]) => {
    const request = own[position];
    return isBroken && request !== undefined ? [broken(rule, request, message)] : [];
  });
}

function checkStop({ workId, requests: own }: Claim, mustBeOver: boolean): readonly Violation[] {
  const lost = own.findIndex(({ endpoint, status }) => endpoint === "work.heartbeat" && status === 412);
  const stops = own.filter(({ endpoint }) => endpoint === "work.stop");
  const stopped = own.findIndex(({ endpoint, status }) => endpoint === "work.stop" && status === 200);
  const [last, late] = [own.at(-1), stopped === -1 ? undefined : own[stopped + 1]];
  if (lost !== -1) return stops.map((stop) => broken("one_stop", stop, `${workId} was stopped by a worker that had lost it`));
  if (late !== undefined) {
    if (late.endpoint === "work.stop") return [broken("one_stop", late, `${workId} was stopped again`)];
    return [broken("stop_last", late, `${describe(late)} came after ${workId} was stopped`)];
  }
  return mustBeOver && stops.length === 0 && last !== undefined ? [broken("one_stop", last, `${workId} was never stopped`)] : [];
}

function checkResults(requests: readonly LoggedRequest[]): readonly Violation[] {
  const settled = new Set<string>();
  const violations: Violation[] = [];
  for (const request of requests) {
    if (request.credential === "api_key") continue;
    for (const event of request.sent) {
      if (!isResult(event) || event.toolUseId === null) continue;
      if (settled.has(event.toolUseId)) violations.push(broken("one_result", request, `another result was sent for ${event.toolUseId}`));
      if (isFinal(request.status)) settled.add(event.toolUseId);
    }
  }
  return violations;
}

/** Whether a client has nothing to wait for any more: an answer that no repetition can change. */
function isFinal(status: number | null): boolean {
  return status !== null && status < 500 && ![408, 409, 429].includes(status);
}

function isResult({ type }: { readonly type: string }): boolean {
  return type === "user.tool_result" || type === "user.custom_tool_result";
}

function describe({ endpoint, method, path }: LoggedRequest): string {
  return endpoint ?? `${method} ${path}`;
}

function broken(rule: ConversationRule, { id }: LoggedRequest, message: string): Violation {
  return { rule, message, requestId: id };
}
