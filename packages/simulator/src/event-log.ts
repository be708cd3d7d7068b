import type { Clock } from "./clock.ts";
import { mintId } from "./credentials.ts";
import { timestampOfMicros, toMicros, type EventParams, type SessionEvent } from "./wire.ts";

/** Sees events as they are appended or stamped, in order, on the same tick. */
export type EventListener = (event: SessionEvent) => void;

export interface AppendOptions {
  /** The event waits to be applied: `processed_at` stays `null` until `process`. */
  readonly queued?: boolean;
  /** Default true. False: into history only. */
  readonly live?: boolean;
  /** Default: a fresh one. */
  readonly id?: string;
}

export interface ListQuery {
  readonly limit: number;
  readonly descending: boolean;
  /** Position that the page before ended at. */
  readonly after: number | null;
  readonly includes: (event: SessionEvent) => boolean;
}

/** The events of one session. An event keeps its place in history when it is stamped later. */
export class EventLog {
  readonly #clock: Clock;
  readonly #events: SessionEvent[] = [];
  readonly #positions = new Map<string, number>();
  readonly #listeners = new Set<EventListener>();
  #lastMicros = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get events(): readonly SessionEvent[] {
    return this.#events;
  }

  append(params: EventParams, options: AppendOptions = {}): SessionEvent {
    const { type, ...fields } = params;
    const id = options.id ?? mintId("sevt");
    const event: SessionEvent = { type, ...fields, id, processed_at: options.queued === true ? null : this.#stamp() };
    this.#positions.set(id, this.#events.length);
    this.#events.push(event);
    if (options.live !== false) this.#notify(event);
    return event;
  }

  /** Stamp a queued event as applied now, and show it again. */
  process(id: string): SessionEvent {
    const position = this.#positions.get(id);
    const queued = position === undefined ? undefined : this.#events[position];
    if (position === undefined || queued === undefined) throw new RangeError(`no event ${id}`);
    const event: SessionEvent = { ...queued, processed_at: this.#stamp() };
    this.#events[position] = event;
    this.#notify(event);
    return event;
  }

  list(query: ListQuery): { readonly events: readonly SessionEvent[]; readonly next: number | null } {
    const events: SessionEvent[] = [];
    const step = query.descending ? -1 : 1;
    let last = query.after;
    for (let index = query.after === null ? (query.descending ? this.#events.length - 1 : 0) : query.after + step; ; index += step) {
      const event = this.#events[index];
      if (event === undefined) return { events, next: null };
      if (!query.includes(event)) continue;
      if (events.length === query.limit) return { events, next: last };
      events.push(event);
      last = index;
    }
  }

  listen(listener: EventListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Strictly increasing, so that "at or before the interrupt" is decided for every pair of events. */
  #stamp(): string {
    this.#lastMicros = Math.max(this.#lastMicros + 1, toMicros(this.#clock.now()));
    return timestampOfMicros(this.#lastMicros);
  }

  #notify(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
