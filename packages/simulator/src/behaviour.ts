import type { RateClass } from "./rate-limits.ts";

/** Every point on which nothing is published, and a position for it. */
export interface Behaviour {
  /** Lease duration without a heartbeat. Default 120,000. */
  readonly leaseTtlMs: number;
  /** Bounds for `desired_ttl_seconds`. Default 5,000 to 300,000; outside is clamped. */
  readonly leaseTtlBoundsMs: readonly [number, number];
  /** What makes an item `active`. Default `first_heartbeat`. */
  readonly activeFrom: "first_heartbeat" | "ack";
  /** A heartbeat without `expected_last_heartbeat`. Default `unconditional`; `refuse` is 400. */
  readonly omittedExpectation: "unconditional" | "refuse";
  /** `lease_extended` in the heartbeats of an item that is being stopped. Default false. */
  readonly extendedWhileStopping: boolean;
  /** An item whose lease ran out. Default `requeue`; `strand`: it keeps its state and is never delivered again. */
  readonly expiredLease: "requeue" | "strand";
  /** Used when a poll names none. Default 5,000. */
  readonly reclaimOlderThanMs: number;
  /** How a poll says "nothing". Default `null` (200 and JSON `null`); `no_content` is 204, `empty` 200 with a JSON content type and no body. */
  readonly emptyPoll: "null" | "no_content" | "empty";
  /** Form of `work.secret`. Default `unpadded`. */
  readonly workSecret: "unpadded" | "padded" | "extra_fields" | "api_base_url" | "no_token" | "garbage" | "absent";
  /** Ack of an item that is not queued any more. Default `idempotent`. */
  readonly secondAck: "idempotent" | "conflict" | "not_found";
  /** The tokens of an item that is delivered again. Default `per_delivery`: a new one each time, and older ones stay valid. */
  readonly sessionsTokens: "per_delivery" | "per_delivery_revoking" | "per_item";
  /** How long a sessions token is valid. Default `null`: for good. */
  readonly sessionsTokenLifetimeMs: number | null;
  /** `work list` with an API key. Default `refuse` (403), as the API's reference says; older prose has it accepted. */
  readonly workListWithApiKey: "refuse" | "accept";
  /** `workers_polling` when nobody polled with a worker's id. Default 0. */
  readonly workersPollingWithoutIds: 0 | null;
  /** A credential on another environment's or session's path, or on a memory store that its session has not. Default 403. */
  readonly foreignStatus: 403 | 404;
  /** A credential on an endpoint for which the documentation names it neither allowed nor refused. Default `refuse` (403). */
  readonly undocumentedCredentials: "refuse" | "accept";
  /** A result for a call that still waits for its confirmation. Default `refuse` (400). */
  readonly resultBeforeConfirmation: "refuse" | "accept";
  /** A result of the other kind than its call. Default `refuse` (400); `ignore` stores it and leaves the call open. */
  readonly wrongKindResult: "refuse" | "ignore";
  /** A result for a call that is settled already, or that nobody made. Default 400. */
  readonly settledResultStatus: 400 | 404 | 409;
  /** A text block without text. Default `refuse` (400). */
  readonly emptyText: "refuse" | "accept";
  /** After an `allow`, until the result: does the session show `running`, or idle anew with what is open? Default `running`. */
  readonly afterAllow: "running" | "requires_action";
  /** Where the tool uses of a model request stand. Default `before_span_end`. */
  readonly toolUsePosition: "before_span_end" | "after_span_end";
  /** What orders the history. Default `processed_at`, what waits to be applied last; `created_at`: an event keeps its place when it is applied later. */
  readonly historyOrder: "processed_at" | "created_at";
  /** How long a session's retrieval still shows `running` after its idle event. Default 0. */
  readonly statusLagMs: number;
  /** From an interrupt's arrival to its application. Default 0. */
  readonly interruptLagMs: number;
  /** Requests a minute, for each class of endpoint; what is not named is unlimited. Default false. Documented: `create` 300, `read` 1200. */
  readonly rateLimits: false | Readonly<Partial<Record<RateClass, number>>>;
  /** What keeps a silent stream open. Default `ping` every 15,000 ms. */
  readonly keepAlive: { readonly kind: "ping" | "comment"; readonly intervalMs: number } | false;
  /** Line ends of stream frames. Default `lf`. */
  readonly lineEnds: "lf" | "crlf";
  /** Directory of the `mount_path` that attached memory stores show. Default `/mnt/memory`; `null`: they show none. */
  readonly memoryMountRoot: string | null;
  /** Two stores of one session whose names give the same `mount_path`. Default `number`: the later one gets `-2` at its end. */
  readonly mountPathClash: "number" | "same";
  /** A write to a store that is attached read-only. Default 403. */
  readonly readOnlyWriteStatus: 400 | 403 | 409;
  /** A write to an archived store, and its attachment to a new session. Default 400. */
  readonly archivedStoreStatus: 400 | 403 | 409;
  /** Bounds of the wait before a webhook is tried again. Default 5,000 to 120,000, as documented; shorter ones scale it for real time. */
  readonly webhookDelayBoundsMs: readonly [number, number];
  /** How long a webhook's endpoint has to answer. Default 10,000. */
  readonly webhookTimeoutMs: number;
  /** Dropped events in a row after which an endpoint is disabled. Default 20. */
  readonly webhookDisabledAfter: number;
}

export const defaultBehaviour: Behaviour = {
  leaseTtlMs: 120_000,
  leaseTtlBoundsMs: [5_000, 300_000],
  activeFrom: "first_heartbeat",
  omittedExpectation: "unconditional",
  extendedWhileStopping: false,
  expiredLease: "requeue",
  reclaimOlderThanMs: 5_000,
  emptyPoll: "null",
  workSecret: "unpadded",
  secondAck: "idempotent",
  sessionsTokens: "per_delivery",
  sessionsTokenLifetimeMs: null,
  workListWithApiKey: "refuse",
  workersPollingWithoutIds: 0,
  foreignStatus: 403,
  undocumentedCredentials: "refuse",
  resultBeforeConfirmation: "refuse",
  wrongKindResult: "refuse",
  settledResultStatus: 400,
  emptyText: "refuse",
  afterAllow: "running",
  toolUsePosition: "before_span_end",
  historyOrder: "processed_at",
  statusLagMs: 0,
  interruptLagMs: 0,
  rateLimits: false,
  keepAlive: { kind: "ping", intervalMs: 15_000 },
  lineEnds: "lf",
  memoryMountRoot: "/mnt/memory",
  mountPathClash: "number",
  readOnlyWriteStatus: 403,
  archivedStoreStatus: 400,
  webhookDelayBoundsMs: [5_000, 120_000],
  webhookTimeoutMs: 10_000,
  webhookDisabledAfter: 20,
};
