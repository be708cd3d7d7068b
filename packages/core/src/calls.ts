import { type Effect, SandboxError } from "./errors.ts";
import { settleOrDiscard } from "./settle.ts";

/** What every call of the portable API takes. */
export interface Limits {
  /** Ends the call; what was given to `abort` is thrown as it is. */
  readonly signal?: AbortSignal;
  /** For the whole call, in milliseconds, 1 to 2,000,000,000. Then it fails with `deadline_exceeded`. */
  readonly timeoutMs?: number;
}

/** What a call is, for its errors. */
export interface CallInfo<T> {
  /** Such as `docker exec`. */
  readonly name: string;
  /** Whether the call may have happened when it did not end well. */
  readonly effect: Effect;
  /** What to do with a value that came after the call was given up. */
  readonly discard?: (late: T) => Promise<void>;
}

/** The longest time that `setTimeout` holds, with room for a grace beyond it. */
const longestMs = 2_000_000_000;

/** A signal with a deadline that can be called off, unlike `AbortSignal.timeout`. */
interface Deadline extends Disposable {
  readonly signal: AbortSignal;
}

/** Follow `limits.signal`, and abort with `deadline_exceeded` when the time is over. */
function deadline(name: string, effect: Effect, limits: Limits): Deadline {
  checkTimeout(limits.timeoutMs);
  const controller = new AbortController();
  const { signal, timeoutMs } = limits;
  const follow = (): void => controller.abort(signal?.reason);
  if (signal?.aborted === true) follow();
  else signal?.addEventListener("abort", follow, { once: true });
  const expire = (): void =>
    controller.abort(new SandboxError("deadline_exceeded", `${name} took longer than ${timeoutMs} ms; give a larger timeoutMs`, { effect }));
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
  return {
    signal: controller.signal,
    [Symbol.dispose]: () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", follow);
    },
  };
}

/**
 * Run one driver call so that its time-out and abort hold even where the driver ignores them, and its errors are ours.
 * @throws {SandboxError} `deadline_exceeded`; `internal` with the cause where the driver threw anything else
 */
export async function bounded<T>(info: CallInfo<T>, limits: Limits, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  using limit = deadline(info.name, info.effect, limits);
  limit.signal.throwIfAborted();
  try {
    return await settleOrDiscard(attempt(work, limit.signal), limit.signal, info.discard ?? nothing, (error) => reportLate(info.name, error));
  } catch (error) {
    if (limit.signal.aborted && error === limit.signal.reason) throw error;
    throw asSandboxError(error, info.name);
  }
}

/** What is no `SandboxError` is a bug of the driver: it may have happened, and the cause tells what it was. */
export function asSandboxError(error: unknown, name: string): SandboxError {
  if (SandboxError.is(error)) return error;
  return new SandboxError("internal", `${name} failed with something that is not a SandboxError; see its cause`, { effect: "unknown", cause: error });
}

/** @throws {SandboxError} `invalid_argument` */
export function checkTimeout(timeoutMs: number | undefined): void {
  if (timeoutMs === undefined || (Number.isInteger(timeoutMs) && timeoutMs >= 1 && timeoutMs <= longestMs)) return;
  throw new SandboxError("invalid_argument", `timeoutMs is ${timeoutMs}; give a whole number from 1 to ${longestMs}`, { effect: "none" });
}

/** Only the limits, without members that are there but undefined, which would hide a default. */
export function limitsOf({ signal, timeoutMs }: Limits): Limits {
  return { ...(signal === undefined ? {} : { signal }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

/** The one place for failures that no caller waits for, such as the destruction of a sandbox that arrived after its abort. */
export function reportLate(name: string, error: unknown): void {
  // oxlint-disable-next-line no-console -- nobody else is there to hear of it
  console.error(`glovebox: clean-up after ${name} failed`, error);
}

async function attempt<T>(work: (signal: AbortSignal) => Promise<T>, signal: AbortSignal): Promise<T> {
  return await work(signal); // a driver that throws before its first await rejects like any other
}

async function nothing(): Promise<void> {}
