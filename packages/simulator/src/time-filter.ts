import { ApiFailure } from "./failure.ts";

const bounds = ["gt", "gte", "lt", "lte"] as const;

/**
 * The bounds `created_at[gt]`, `[gte]`, `[lt]` and `[lte]` of a query, as a test of RFC 3339 times. Without bounds everything passes; with one,
 * what has no time does not.
 * @throws {ApiFailure} 400: a bound is no time
 */
export function timeFilter(query: URLSearchParams): (time: string | null) => boolean {
  const wanted = bounds.flatMap((bound) => {
    const text = query.get(`created_at[${bound}]`);
    if (text === null) return [];
    if (Number.isNaN(Date.parse(text))) throw new ApiFailure(400, `created_at[${bound}]: is not an RFC 3339 time.`);
    return [{ bound, atMicros: microsOf(text) }];
  });
  return (time) => {
    if (wanted.length === 0) return true;
    if (time === null) return false;
    const micros = microsOf(time);
    return wanted.every(({ bound, atMicros }) => {
      if (bound === "gt") return micros > atMicros;
      if (bound === "gte") return micros >= atMicros;
      return bound === "lt" ? micros < atMicros : micros <= atMicros;
    });
  };
}

/** Microseconds since the epoch; `Date` itself stops at milliseconds. */
function microsOf(text: string): number {
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? "";
  return Math.floor(Date.parse(text) / 1000) * 1_000_000 + Number(fraction.padEnd(6, "0").slice(0, 6));
}
