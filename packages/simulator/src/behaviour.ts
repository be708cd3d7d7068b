/** Every point on which nothing is published, and a position for it. */
export interface Behaviour {
  /** Lease duration without a heartbeat. Default 120,000. */
  readonly leaseTtlMs: number;
  /** Bounds for `desired_ttl_seconds`. Default 5,000 to 300,000; outside is clamped. */
  readonly leaseTtlBoundsMs: readonly [number, number];
  /** Used when a poll names none. Default 5,000. */
  readonly reclaimOlderThanMs: number;
  /** How a poll says "nothing". Default `null` (200 and JSON `null`); `no_content` is 204, `empty` 200 with a JSON content type and no body. */
  readonly emptyPoll: "null" | "no_content" | "empty";
  /** Form of `work.secret`. Default `unpadded`. */
  readonly workSecret: "unpadded" | "padded" | "extra_fields" | "api_base_url" | "no_token" | "garbage" | "absent";
  /** Ack of an item that is not queued any more. Default `idempotent`. */
  readonly secondAck: "idempotent" | "conflict" | "not_found";
  /** A credential on another environment's or session's path, or on a memory store that its session has not. Default 403. */
  readonly foreignStatus: 403 | 404;
  /** A credential on an endpoint for which the documentation names it neither allowed nor refused. Default `refuse` (403). */
  readonly undocumentedCredentials: "refuse" | "accept";
  /** A result for a call that still waits for its confirmation. Default `refuse` (400). */
  readonly resultBeforeConfirmation: "refuse" | "accept";
  /** A result of the other kind than its call. Default `refuse` (400); `ignore` stores it and leaves the call open. */
  readonly wrongKindResult: "refuse" | "ignore";
  /** A text block without text. Default `refuse` (400). */
  readonly emptyText: "refuse" | "accept";
  /** After an `allow`, until the result: does the session show `running`, or idle anew with what is open? Default `running`. */
  readonly afterAllow: "running" | "requires_action";
  /** From an interrupt's arrival to its application. Default 0. */
  readonly interruptLagMs: number;
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
  reclaimOlderThanMs: 5_000,
  emptyPoll: "null",
  workSecret: "unpadded",
  secondAck: "idempotent",
  foreignStatus: 403,
  undocumentedCredentials: "refuse",
  resultBeforeConfirmation: "refuse",
  wrongKindResult: "refuse",
  emptyText: "refuse",
  afterAllow: "running",
  interruptLagMs: 0,
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
