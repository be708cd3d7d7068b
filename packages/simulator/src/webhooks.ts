import { randomBytes, randomUUID } from "node:crypto";
import type { Behaviour } from "./behaviour.ts";
import type { SkewableClock } from "./clock.ts";
import { mintId } from "./credentials.ts";
import type { FaultPlan } from "./faults.ts";
import { Lifetime } from "./lifetime.ts";
import { checkDeliveryUrl, deliver } from "./webhook-delivery.ts";
import { signedHeaders } from "./webhook-signature.ts";
import { timestamp, type SessionEvent } from "./wire.ts";

const maxAttempts = 3;

/** Webhook types by the type of the session event that sets them off. Source: reference 13.1 */
const typeBySessionEvent: ReadonlyMap<string, WebhookEventType> = new Map([
  ["session.status_running", "session.status_run_started"],
  ["session.status_idle", "session.status_idled"],
  ["session.status_rescheduled", "session.status_rescheduled"],
  ["session.status_terminated", "session.status_terminated"],
  ["session.updated", "session.updated"],
  ["session.deleted", "session.deleted"],
  ["session.thread_created", "session.thread_created"],
  ["session.thread_status_idle", "session.thread_idled"],
  ["session.thread_status_terminated", "session.thread_terminated"],
]);

/** What the simulator sends of the types that exist. */
export type WebhookEventType =
  | "session.status_run_started"
  | "session.status_idled"
  | "session.status_rescheduled"
  | "session.status_terminated"
  | "session.updated"
  | "session.deleted"
  | "session.thread_created"
  | "session.thread_idled"
  | "session.thread_terminated"
  | "memory_store.created"
  | "memory_store.archived"
  | "memory_store.deleted";

export interface WebhookEvent {
  readonly type: "event";
  readonly id: string;
  readonly created_at: string;
  readonly data: {
    readonly type: WebhookEventType;
    /** Of the session or store. */
    readonly id: string;
    readonly organization_id: string;
    readonly workspace_id: string;
    readonly session_thread_id?: string;
  };
}

/** One request to a webhook's endpoint. */
export interface WebhookAttempt {
  readonly event: WebhookEvent;
  /** 1 to 3. */
  readonly number: number;
  readonly atMs: number;
  /** `null`: nobody answered. */
  readonly status: number | null;
}

/** Why an endpoint gets nothing any more. `redirect`: it answered 3xx. `failures`: too many events in a row were dropped. `address`: not loopback. */
export type WebhookDisabledBecause = "redirect" | "failures" | "address";

export interface WebhookSubscription {
  readonly url: URL;
  /** `null`: all. */
  readonly types: ReadonlySet<WebhookEventType> | null;
  readonly signingKey: string;
  /** Answered or given up, in that order. */
  readonly attempts: WebhookAttempt[];
  readonly listeners: Set<(attempt: WebhookAttempt) => void>;
  disabledBecause: WebhookDisabledBecause | null;
  droppedInARow: number;
}

/** Who is told what, and the requests that tell it. Deliveries do not wait for each other, so their order is no order. */
export class Webhooks {
  readonly #clock: SkewableClock;
  readonly #behaviour: Behaviour;
  readonly #faults: FaultPlan;
  readonly #organizationId = randomUUID();
  readonly #workspaceId = mintId("wrkspc");
  readonly #subscriptions = new Set<WebhookSubscription>();
  readonly #life: Lifetime;

  constructor(clock: SkewableClock, behaviour: Behaviour, faults: FaultPlan) {
    this.#clock = clock;
    this.#life = new Lifetime(clock);
    this.#behaviour = behaviour;
    this.#faults = faults;
  }

  /** @throws {TypeError} `url` is none that is delivered to */
  subscribe(url: string, types: readonly WebhookEventType[] | undefined): WebhookSubscription {
    const subscription: WebhookSubscription = {
      url: checkDeliveryUrl(url),
      types: types === undefined ? null : new Set(types),
      signingKey: `whsec_${randomBytes(32).toString("base64")}`,
      attempts: [],
      listeners: new Set(),
      disabledBecause: null,
      droppedInARow: 0,
    };
    this.#subscriptions.add(subscription);
    return subscription;
  }

  unsubscribe(subscription: WebhookSubscription): void {
    this.#subscriptions.delete(subscription);
  }

  tellOfSession(sessionId: string, event: SessionEvent): void {
    const type = typeBySessionEvent.get(event.type);
    if (type === undefined) return;
    const thread = type.startsWith("session.thread_") ? { session_thread_id: String(event["session_thread_id"]) } : {};
    this.tell(type, sessionId, thread);
  }

  tell(type: WebhookEventType, id: string, more: { readonly session_thread_id?: string } = {}): void {
    const interested = [...this.#subscriptions].filter(({ types, disabledBecause }) => disabledBecause === null && (types?.has(type) ?? true));
    if (interested.length === 0) return;
    const data = { type, id, organization_id: this.#organizationId, workspace_id: this.#workspaceId, ...more };
    const event: WebhookEvent = { type: "event", id: mintId("whe"), created_at: timestamp(this.#clock.stampMs()), data };
    for (const subscription of interested) void this.#attempt(subscription, event, 1);
  }

  close(): void {
    this.#subscriptions.clear();
    this.#life.end(new Error("the simulator is closed"));
  }

  async #attempt(subscription: WebhookSubscription, event: WebhookEvent, number: number): Promise<void> {
    if (subscription.disabledBecause !== null || !this.#subscriptions.has(subscription)) return;
    const atMs = this.#clock.now();
    const fault = this.#faults.forDelivery(event);
    if (fault === "lost") return;
    const body = JSON.stringify(event);
    const headers = signedHeaders({ id: event.id, atMs: this.#clock.stampMs(), body, signingKey: subscription.signingKey, fault });
    if (fault === "duplicate") void this.#send(subscription, headers, body);
    const status = await this.#send(subscription, headers, body);
    if (this.#life.signal.aborted) return;
    this.#conclude(subscription, { event, number, atMs, status });
  }

  #conclude(subscription: WebhookSubscription, attempt: WebhookAttempt): void {
    const { event, number, status } = attempt;
    if (status !== null && status >= 300 && status < 400) subscription.disabledBecause = "redirect";
    else if (status !== null && status >= 200 && status < 300) subscription.droppedInARow = 0;
    else if (number < maxAttempts) this.#life.later(this.#delayMs(number), () => void this.#attempt(subscription, event, number + 1));
    else if (++subscription.droppedInARow >= this.#behaviour.webhookDisabledAfter) subscription.disabledBecause ??= "failures";
    subscription.attempts.push(attempt);
    for (const notify of subscription.listeners) notify(attempt);
  }

  async #send(subscription: WebhookSubscription, headers: Readonly<Record<string, string>>, body: string): Promise<number | null> {
    const tooLong = new AbortController();
    const timer = this.#clock.setTimer(this.#behaviour.webhookTimeoutMs, () => tooLong.abort());
    const answer = await deliver(subscription.url, { headers, body, signal: AbortSignal.any([tooLong.signal, this.#life.signal]) });
    timer.cancel();
    if (answer === "not_loopback") subscription.disabledBecause ??= "address";
    return typeof answer === "number" ? answer : null;
  }

  /** Exponential, and anywhere between this step and the next. */
  #delayMs(attempt: number): number {
    const [shortest, longest] = this.#behaviour.webhookDelayBoundsMs;
    const steps = maxAttempts - 1;
    return shortest * (longest / shortest) ** ((attempt - 1 + Math.random()) / steps);
  }
}
