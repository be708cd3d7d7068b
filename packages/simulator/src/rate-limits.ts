import type { Clock } from "./clock.ts";
import { ApiFailure } from "./failure.ts";

/** `create`: makes a resource. `read`: retrievals, lists, polls and streams. `other`: the rest; nothing is documented for it. */
export type RateClass = "create" | "read" | "other";

const minuteMs = 60_000;

interface Bucket {
  readonly perMinute: number;
  tokens: number;
  filledAtMs: number;
}

/** Requests that the organisation may still make: a bucket for each class, which fills evenly over a minute. */
export class RateLimits {
  readonly #clock: Clock;
  readonly #buckets = new Map<RateClass, Bucket>();

  constructor(clock: Clock, perMinute: Readonly<Partial<Record<RateClass, number>>>) {
    this.#clock = clock;
    for (const [rateClass, limit] of Object.entries(perMinute)) {
      this.#buckets.set(rateClass as RateClass, { perMinute: limit, tokens: limit, filledAtMs: clock.now() });
    }
  }

  /** @throws {ApiFailure} 429, with the time after which there is one more */
  take(rateClass: RateClass): void {
    const bucket = this.#buckets.get(rateClass);
    if (bucket === undefined) return;
    const nowMs = this.#clock.now();
    bucket.tokens = Math.min(bucket.perMinute, bucket.tokens + ((nowMs - bucket.filledAtMs) * bucket.perMinute) / minuteMs);
    bucket.filledAtMs = nowMs;
    if (bucket.tokens >= 1) {
      bucket.tokens -= 1;
      return;
    }
    const waitMs = ((1 - bucket.tokens) * minuteMs) / bucket.perMinute;
    throw new ApiFailure(429, `This organization may make ${bucket.perMinute} ${rateClass} requests a minute.`, {
      headers: { "retry-after": String(Math.ceil(waitMs / 1000)), "retry-after-ms": String(Math.ceil(waitMs)) },
    });
  }
}
