import { type Effect, SandboxError } from "@glovebox/core";

/** What the guest may not send. Thrown inside a connection it ends that connection and nothing else. */
export function violation(what: string): SandboxError {
  return new SandboxError("unavailable", `the guest broke the protocol: ${what}`, { effect: "unknown", reason: "protocol_violation" });
}

/** What the caller may not ask for; nothing was sent. */
export function invalidRequest(what: string): SandboxError {
  return new SandboxError("invalid_argument", what, { effect: "none" });
}

/** The stream to the guest ended. */
export function disconnected(cause: unknown, effect: Effect): SandboxError {
  return new SandboxError("unavailable", "the connection to the guest was lost", { cause, effect, reason: "disconnected" });
}

/** The same error with what is known here of its effect. */
export function withEffect(error: SandboxError, effect: Effect): SandboxError {
  if (error.effect === effect) return error;
  const message = error.message.slice(`[${error.code}] `.length);
  return new SandboxError(error.code, message, { cause: error.cause, effect, ...(error.reason !== undefined && { reason: error.reason }) });
}

/** What a call is told when its connection ended: a violation stays what it is, anything else is a loss. */
export function lossOf(failure: SandboxError, effect: Effect): SandboxError {
  return failure.reason === "protocol_violation" ? withEffect(failure, effect) : disconnected(failure, effect);
}
