import type { Behaviour } from "./behaviour.ts";
import type { SkewableClock } from "./clock.ts";
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

/** The events of one session. */
export class EventLog {
  readonly #clock: SkewableClock;
  readonly #order: Behaviour["historyOrder"];
  /** As they arrived; one that is stamped later keeps its place. */
  readonly #arrived: SessionEvent[] = [];
  readonly #positions = new Map<string, number>();
  /** As they were stamped. */
  readonly #processed: SessionEvent[] = [];
  readonly #queued = new Map<string, SessionEvent>();
  readonly #listeners = new Set<EventListener>();
  #lastMicros = 0;

  constructor(clock: SkewableClock, order: Behaviour["historyOrder"]) {
    this.#clock = clock;
    this.#order = order;
  }

  /** The history, ascending. What waits to be applied comes last where stamps decide. */
  get events(): readonly SessionEvent[] {
    return this.#order === "created_at" ? this.#arrived : [...this.#processed, ...this.#queued.values()];
  }

  append(params: EventParams, options: AppendOptions = {}): SessionEvent {
    const { type, ...fields } = params;
    const id = options.id ?? mintId("sevt");
    const event: SessionEvent = { type, ...fields, id, processed_at: options.queued === true ? null : this.#stamp() };
    this.#positions.set(id, this.#arrived.length);
    this.#arrived.push(event);
    if (event.processed_at === null) this.#queued.set(id, event);
    else this.#processed.push(event);
    if (options.live !== false) this.#notify(event);
    return event;
  }

  /** Stamp a queued event as applied now, and show it again. */
  process(id: string): SessionEvent {
    const position = this.#positions.get(id);
    const queued = this.#queued.get(id);
    if (position === undefined || queued === undefined) throw new RangeError(`no event ${id} that waits`);
    const event: SessionEvent = { ...queued, processed_at: this.#stamp() };
    this.#arrived[position] = event;
    this.#queued.delete(id);
    this.#processed.push(event);
    this.#notify(event);
    return event;
  }

  list(query: ListQuery): { readonly events: readonly SessionEvent[]; readonly next: number | null } {
    const history = this.events;
    const events: SessionEvent[] = [];
    const step = query.descending ? -1 : 1;
    let last = query.after;
    for (let index = query.after === null ? (query.descending ? history.length - 1 : 0) : query.after + step; ; index += step) {
      const event = history[index];
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
    this.#lastMicros = Math.max(this.#lastMicros + 1, toMicros(this.#clock.stampMs()));
    return timestampOfMicros(this.#lastMicros);
  }

  #notify(event: SessionEvent): void {
    for (const listener of this.#listeners) listener(event);
  }
}
