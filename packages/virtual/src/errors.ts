import type { Effect, SandboxErrorCode } from "@glovebox/core";
import { SandboxError } from "@glovebox/core";
import type { Errno } from "./disk-error.ts";
import { DiskError } from "./disk-error.ts";

const codes: Readonly<Record<Errno, SandboxErrorCode>> = {
  ENOENT: "not_found",
  EACCES: "permission_denied",
  ENOTDIR: "failed_precondition",
  EISDIR: "failed_precondition",
  EEXIST: "already_exists",
  ENOTEMPTY: "failed_precondition",
  ELOOP: "failed_precondition",
  ENOSPC: "resource_exhausted",
  EINVAL: "invalid_argument",
  ENAMETOOLONG: "invalid_argument",
  EBUSY: "failed_precondition",
  not_regular_file: "failed_precondition",
  outside_roots: "permission_denied",
  read_only_root: "permission_denied",
};

/** A disk's failure as the contract names it; anything else passes as it is. Disk calls do everything or nothing. */
export function rethrow(error: unknown): never {
  if (!(error instanceof DiskError)) throw error;
  throw new SandboxError(codes[error.errno], error.message, { cause: error, effect: "none", reason: error.errno });
}

export const gone = (id: string): SandboxError =>
  new SandboxError("not_found", `sandbox ${id} is not in this process; embedded sandboxes end with the provider that made them`, { effect: "none" });

/** Why a thread ended by itself; Node's codes stand in its documentation of `worker_threads`. */
export function threadFailure(cause: unknown, effect: Effect): SandboxError {
  const code = typeof cause === "object" && cause !== null && "code" in cause ? cause.code : undefined;
  if (code === "ERR_WORKER_OUT_OF_MEMORY") {
    return new SandboxError("resource_exhausted", "the program needed more memory than threadMemoryBytes allows and was ended; files are kept", {
      cause,
      effect,
      reason: "ENOMEM",
    });
  }
  return new SandboxError("internal", "the thread that ran the program failed; files are kept", { cause, effect });
}
