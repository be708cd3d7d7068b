import { type Effect, SandboxError, type SandboxErrorCode } from "@glovebox/core";

/** What the engine answered in place of success. */
export class EngineFailure extends Error {
  override readonly name = "EngineFailure";
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** The request went out, or did not, and no answer came. */
export class EngineUnreachable extends Error {
  override readonly name = "EngineUnreachable";
  /** Node's error code, such as `ECONNREFUSED`. */
  readonly reason: string;
  /** Such as `unix:///var/run/docker.sock`. */
  readonly address: string;

  constructor(reason: string, address: string, options: ErrorOptions) {
    super(`${reason} at ${address}`, options);
    this.reason = reason;
    this.address = address;
  }
}

/**
 * Source: the engine's API reference, "Errors", and the answers of engine 20.10. 500 is what it says of many requests that it could not carry out, so whether
 * anything happened cannot be told.
 */
const byStatus: Readonly<Record<number, readonly [SandboxErrorCode, Effect]>> = {
  400: ["invalid_argument", "none"],
  401: ["unauthenticated", "none"],
  403: ["permission_denied", "none"],
  404: ["not_found", "none"],
  409: ["failed_precondition", "none"],
  503: ["unavailable", "none"],
};

/** What Node says when no connection came about, so that nothing was sent. */
const byReason: Readonly<Record<string, readonly [SandboxErrorCode, (address: string) => string]>> = {
  ENOENT: ["unavailable", (address) => `no Docker engine at ${address}; ${startIt}`],
  ECONNREFUSED: ["unavailable", (address) => `no Docker engine answers at ${address}; ${startIt}`],
  EACCES: ["permission_denied", mayNotOpen],
  EPERM: ["permission_denied", mayNotOpen],
  ENOTFOUND: ["unavailable", (address) => `${address} has no address; correct DOCKER_HOST`],
  EHOSTUNREACH: ["unavailable", (address) => `${address} cannot be reached; check DOCKER_HOST and the network`],
};
const startIt = "start it (`systemctl start docker`, or Docker Desktop), or name another in DOCKER_HOST";

function mayNotOpen(address: string): string {
  return `this user may not open ${address}; join the group that owns it (\`usermod -aG docker USER\`, then log in again), or name a rootless engine in DOCKER_HOST`;
}

/**
 * What the engine said of only some failures in words, beside the answer as engine 20.10 gives it.
 * - `OCI runtime create failed: … exec format error` (400 or 500): the image is for another processor.
 * - `invalid mount config for type "bind": bind source path does not exist: /run/…` (400): the engine does not see this machine's files.
 * - `Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available` (400).
 */
const byWording: readonly (readonly [RegExp, SandboxErrorCode, string])[] = [
  [/exec format error/u, "unsupported", "the image is for another processor than the engine's"],
  [/bind source path does not exist/u, "failed_precondition", 'the engine does not see this machine\'s files; give docker({ transport: "exec" })'],
  [/Range of CPUs/u, "unsupported", "ask for fewer cores"],
  [/no space left on device/u, "resource_exhausted", "the engine's disk is full; free some (`docker system df`)"],
];

/**
 * Turn what the client threw into a coded error.
 * @param operation such as `create gb-1`
 * @param otherwise the effect where nothing tells whether it happened
 */
export function toSandboxError(cause: unknown, operation: string, otherwise: Effect): unknown {
  if (cause instanceof EngineUnreachable) {
    const known = byReason[cause.reason];
    if (known !== undefined)
      return new SandboxError(known[0], `docker ${operation}: ${known[1](cause.address)}`, { cause, effect: "none", reason: cause.reason });
    const tls = /^(ERR_TLS|CERT_|UNABLE_TO|DEPTH_ZERO|SELF_SIGNED|EPROTO|ERR_SSL)/u.test(cause.reason);
    if (tls) {
      const message = `docker ${operation}: TLS with ${cause.address} failed (${cause.reason}); check DOCKER_CERT_PATH and DOCKER_TLS_VERIFY`;
      return new SandboxError("unauthenticated", message, { cause, effect: "none", reason: cause.reason });
    }
    return new SandboxError("unavailable", `docker ${operation}: the engine at ${cause.address} gave no answer (${cause.reason})`, {
      cause,
      effect: otherwise,
    });
  }
  if (cause instanceof EngineFailure) {
    const worded = byWording.find(([wording]) => wording.test(cause.message));
    if (worded !== undefined) {
      return new SandboxError(worded[1], `docker ${operation}: ${worded[2]} (${cause.message})`, { cause, effect: "none" });
    }
    const [code, effect] = byStatus[cause.status] ?? (["unknown", otherwise] as const);
    return new SandboxError(code, `docker ${operation}: ${cause.message}`, { cause, effect });
  }
  return cause; // an abort reason, a coded error, or a bug of ours
}

/** For `catch`: {@link toSandboxError}, thrown. */
export const rethrow =
  (operation: string, otherwise: Effect) =>
  (cause: unknown): never => {
    throw toSandboxError(cause, operation, otherwise);
  };
