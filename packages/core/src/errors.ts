/**
 * Every way a Glovebox call can fail, named as gRPC names them, with `unsupported` for its `unimplemented`. Append only: callers switch on it.
 *
 * - `invalid_argument`: the request itself is wrong, whatever the sandbox. Correct it.
 * - `not_found`: the sandbox, path or process is not there. Create it, or stop using the reference.
 * - `already_exists`: the id or path is taken. Attach to it, or choose another.
 * - `permission_denied`: the sandbox's user may not, or the proof of ownership is wrong. Do not retry.
 * - `unauthenticated`: the provider refused the credentials. Renew them.
 * - `failed_precondition`: right request, wrong state (paused, destroyed, not a regular file). Change the state first.
 * - `resource_exhausted`: a limit was hit (disk, memory, processes, quota). Free something, or ask for more.
 * - `deadline_exceeded`: time ran out; read `effect` to learn whether it may have happened.
 * - `aborted`: another holder took over (`reason: "fenced"`). Let go.
 * - `unavailable`: the engine, network or guest does not answer now. Retry with back-off when `effect` is `none`.
 * - `unsupported`: this provider cannot do that for this spec. Choose another provider, or drop the option.
 * - `data_loss`: what was stored is gone or damaged.
 * - `unknown`: it cannot be known what happened. Read `effect`; look before repeating.
 * - `internal`: a bug of Glovebox or of the provider. Report it.
 */
export type SandboxErrorCode =
  | "invalid_argument"
  | "not_found"
  | "already_exists"
  | "permission_denied"
  | "unauthenticated"
  | "failed_precondition"
  | "resource_exhausted"
  | "deadline_exceeded"
  | "aborted"
  | "unavailable"
  | "unsupported"
  | "data_loss"
  | "unknown"
  | "internal";

/** Could the call have happened? `none`: nothing did, retry freely. `unknown`: it may have, so only idempotent calls retry. */
export type Effect = "none" | "unknown";

export interface SandboxErrorOptions extends ErrorOptions {
  readonly effect: Effect;
  /**
   * What exactly, for programs: a POSIX error name (`ENOENT`, `EISDIR`), or one of Glovebox's own:
   * `outside_roots`, `read_only_root`, `not_regular_file`, `too_large`, `fenced`, `call_mismatch`, `claim_without_result`, `disconnected`.
   */
  readonly reason?: string;
}

const brand = Symbol.for("glovebox.SandboxError");

/** The one error class of Glovebox. Abort reasons are not wrapped: what was given to `AbortController.abort` is what is thrown. */
export class SandboxError extends Error {
  override readonly name = "SandboxError";
  readonly code: SandboxErrorCode;
  readonly effect: Effect;
  readonly reason: string | undefined;

  /** @param message what was wrong, where, and what to do; never a secret */
  constructor(code: SandboxErrorCode, message: string, options: SandboxErrorOptions) {
    super(`[${code}] ${message}`, options);
    this.code = code;
    this.effect = options.effect;
    this.reason = options.reason;
    Object.defineProperty(this, brand, { value: true });
  }

  /** True for errors of any installed copy of this package, which `instanceof` is not. */
  static is(value: unknown): value is SandboxError {
    return typeof value === "object" && value !== null && brand in value;
  }
}
