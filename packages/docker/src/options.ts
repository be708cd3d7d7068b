import { tmpdir, userInfo } from "node:os";
import { join } from "node:path";
import { type EngineAddress, type EngineEnvironment, defaultEngineHost, parseEngineAddress } from "./address.ts";
import { DEFAULT_IMAGE } from "./default-image.ts";

/** How a worker reaches the guest: over a socket in a mounted directory, or over an engine exec that stays open. */
export type Transport = "socket" | "exec";

export interface DockerOptions {
  /** The engine's address. Default: `DOCKER_HOST`, else the local engine's socket; `DOCKER_CERT_PATH` and `DOCKER_TLS_VERIFY` hold as for Docker's own client. */
  readonly host?: string;
  /** The image when a spec names none. Default `glovebox/sandbox:latest`. */
  readonly image?: string;
  /** Default: `socket` where the engine runs on this machine, else `exec`. */
  readonly transport?: Transport;
  /** Where the sockets go, on this machine; made with mode 0700. Keep it short: a socket's path has at most 107 bytes. Default: `$XDG_RUNTIME_DIR/glovebox`, else `/run/glovebox` for root, else below the directory for temporary files. */
  readonly runtimeDirectory?: string;
  /** When a spec says nothing, in bytes. Default 2 GiB. */
  readonly memoryBytes?: number;
  /** What the agent may write when a spec says nothing, in bytes. Default 10 GiB. */
  readonly diskBytes?: number;
  /** Processes and threads when a spec says nothing. Default 512. */
  readonly processes?: number;
  /** With no worker connected for this long the sandbox stops, in milliseconds. Default 24 h when a session owns it, 10 min when a process does. */
  readonly orphanedMs?: number;
}

/** Complete. */
export interface ResolvedOptions {
  readonly address: EngineAddress;
  readonly image: string;
  readonly transport: Transport | undefined;
  readonly runtimeDirectory: string;
  readonly memoryBytes: number;
  readonly diskBytes: number;
  readonly processes: number;
  readonly orphanedMs: { readonly session: number; readonly process: number };
}

const GIB = 1024 ** 3;
const MINUTE_MS = 60_000;

export const defaultOrphanedMs: ResolvedOptions["orphanedMs"] = { session: 24 * 60 * MINUTE_MS, process: 10 * MINUTE_MS };

/** What is read of the environment. */
export interface Environment extends EngineEnvironment {
  readonly XDG_RUNTIME_DIR?: string | undefined;
}

/** @throws {SandboxError} `invalid_argument`: an address or certificates that cannot be used */
export function resolveOptions(options: DockerOptions, environment: Environment): ResolvedOptions {
  const { orphanedMs } = options;
  return {
    address: parseEngineAddress(options.host ?? (environment.DOCKER_HOST || defaultEngineHost), environment),
    image: options.image ?? DEFAULT_IMAGE,
    transport: options.transport,
    runtimeDirectory: options.runtimeDirectory ?? defaultRuntimeDirectory(environment),
    memoryBytes: options.memoryBytes ?? 2 * GIB,
    diskBytes: options.diskBytes ?? 10 * GIB,
    processes: options.processes ?? 512,
    orphanedMs: orphanedMs === undefined ? defaultOrphanedMs : { session: orphanedMs, process: orphanedMs },
  };
}

function defaultRuntimeDirectory({ XDG_RUNTIME_DIR }: Environment): string {
  const { uid } = userInfo();
  if (XDG_RUNTIME_DIR !== undefined && XDG_RUNTIME_DIR.startsWith("/")) return join(XDG_RUNTIME_DIR, "glovebox");
  return uid === 0 ? "/run/glovebox" : join(tmpdir(), `glovebox-${uid}`);
}
