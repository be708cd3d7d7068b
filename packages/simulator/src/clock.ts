/** Time as the simulator sees it: leases, reclaim, long polls, pings, pauses and stamps all hang on it. */
export interface Clock {
  /** Milliseconds since the epoch, with a fraction where the source has one. Never goes back. */
  now(): number;
  /** Run `action` once, `delayMs` from now. */
  setTimer(delayMs: number, action: () => void): Timer;
}

export interface Timer {
  /** Idempotent; too late once the action has run. */
  cancel(): void;
}

/** Wall-clock time at sub-millisecond resolution. Its timers keep no process alive. */
export function realClock(): Clock {
  return {
    now: () => performance.timeOrigin + performance.now(),
    setTimer(delayMs, action) {
      const handle = setTimeout(action, delayMs);
      handle.unref();
      return { cancel: () => clearTimeout(handle) };
    },
  };
}

/** A clock whose face can be wrong, as a host's can: what it stamps is off by the skew, what it measures is not. */
export class SkewableClock implements Clock {
  readonly #base: Clock;
  /** Added to what it stamps from now on. */
  skewMs = 0;

  constructor(base: Clock) {
    this.#base = base;
  }

  now(): number {
    return this.#base.now();
  }

  setTimer(delayMs: number, action: () => void): Timer {
    return this.#base.setTimer(delayMs, action);
  }

  /** The time as others get to see it. */
  stampMs(): number {
    return this.#base.now() + this.skewMs;
  }
}

interface Pending {
  readonly dueMs: number;
  readonly action: () => void;
}

/** A clock that stands still until told otherwise. Long polls of a simulator on it return when an item arrives or the clock is advanced. */
export class VirtualClock implements Clock {
  #nowMs: number;
  readonly #pending = new Set<Pending>();

  /** @param startMs milliseconds since the epoch; default 2026-01-01T00:00:00Z */
  constructor(startMs: number = Date.UTC(2026, 0, 1)) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, action: () => void): Timer {
    const pending: Pending = { dueMs: this.#nowMs + Math.max(0, delayMs), action };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Move on by `durationMs`, running what falls due on the way in order of time; what a timer sets in motion settles before the next one runs. */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#nowMs + durationMs;
    for (;;) {
      const next = [...this.#pending].filter((pending) => pending.dueMs <= untilMs).sort((left, right) => left.dueMs - right.dueMs)[0];
      if (next === undefined) break;
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.action();
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.#nowMs = untilMs;
  }
}
