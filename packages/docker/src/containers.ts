import { SandboxError } from "@glovebox/core";
import type { Engine } from "./engine.ts";
import { EngineFailure, EngineUnreachable, rethrow, toSandboxError } from "./errors.ts";
import { DISK_LIMIT_EXIT_CODE, containerName } from "./container.ts";
import { type Labels, labelNames } from "./labels.ts";

/** The part of `GET /containers/{id}/json` that is read. */
export interface ContainerDetails {
  readonly Id: string;
  /** Its image's id. */
  readonly Image: string;
  readonly State: {
    readonly Status: "created" | "running" | "paused" | "restarting" | "removing" | "exited" | "dead";
    readonly OOMKilled: boolean;
    readonly ExitCode: number;
    readonly Error: string;
  };
  readonly Config: { readonly Labels: Labels | null };
  readonly Mounts: readonly { readonly Destination: string; readonly Source: string }[];
}

/** The part of an entry of `GET /containers/json` that is read. */
export interface ContainerSummary {
  readonly Id: string;
  readonly Created: number;
  readonly State: ContainerDetails["State"]["Status"];
  readonly Labels: Labels;
}

const REMOVED_POLL_MS = 50;

/** The engine's calls about containers, each a request or two. */
export class Containers {
  readonly #engine: Engine;

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /**
   * Not abortable, because what the engine began must be known; a container whose creation got no answer is removed.
   * @returns the container's id
   * @throws {SandboxError} `already_exists`: the name is taken
   */
  async create(id: string, creation: string, body: unknown): Promise<string> {
    try {
      return (await this.#engine.json<{ Id: string }>("POST", "/containers/create", { query: { name: containerName(id) }, body })).Id;
    } catch (cause) {
      if (cause instanceof EngineFailure && cause.status === 409) {
        const message = `docker create ${id}: the id is taken; attach to it, destroy it, or choose another`;
        throw new SandboxError("already_exists", message, { cause, effect: "none" });
      }
      if (!(cause instanceof EngineFailure)) await this.#discard(id, creation);
      throw toSandboxError(cause, `create ${id}`, "none");
    }
  }

  async start(container: string, id: string): Promise<void> {
    await this.#engine.bytes("POST", `/containers/${container}/start`).catch(rethrow(`start ${id}`, "unknown")); // 304, started already, is no failure
  }

  async putArchive(container: string, id: string, archive: Uint8Array): Promise<void> {
    await this.#engine
      .bytes("PUT", `/containers/${container}/archive`, { query: { path: "/" }, archive })
      .catch(rethrow(`put the guest into ${id}`, "unknown"));
  }

  /** @returns `undefined` when there is none of this name or id */
  async find(container: string, signal?: AbortSignal): Promise<ContainerDetails | undefined> {
    const path = `/containers/${encodeURIComponent(container)}/json`;
    return await this.#engine.json<ContainerDetails>("GET", path, { ...(signal && { signal }) }).catch((cause: unknown): undefined => {
      if (cause instanceof EngineFailure && cause.status === 404) return undefined;
      throw toSandboxError(cause, "inspect", "none");
    });
  }

  async list(labels: readonly string[], signal: AbortSignal): Promise<readonly ContainerSummary[]> {
    const query = { all: "1", filters: JSON.stringify({ label: [labelNames.id, ...labels] }) };
    return await this.#engine.json<readonly ContainerSummary[]>("GET", "/containers/json", { query, signal }).catch(rethrow("list", "none"));
  }

  /** Wait until it does not run; at once when it does not. */
  async ended(container: string, signal: AbortSignal): Promise<void> {
    const path = `/containers/${container}/wait`;
    await this.#engine.bytes("POST", path, { query: { condition: "not-running" }, signal, timeoutMs: 0 });
  }

  /** Kill and remove it with its anonymous volumes. An absent one is success; one that is being removed is waited for. */
  async remove(container: string, id: string, signal?: AbortSignal): Promise<void> {
    try {
      await this.#engine.bytes("DELETE", `/containers/${container}`, { query: { force: "1", v: "1" }, ...(signal && { signal }) });
    } catch (cause) {
      if (cause instanceof EngineFailure && cause.status === 404) return;
      if (!(cause instanceof EngineFailure && cause.status === 409)) throw toSandboxError(cause, `destroy ${id}`, "unknown");
      while ((await this.find(container, signal)) !== undefined) await pause(REMOVED_POLL_MS, signal); // another call removes it
    }
  }

  /**
   * Remove it, or leave it where it runs.
   * @returns whether it is gone
   */
  async removeIdle(container: string, id: string): Promise<boolean> {
    try {
      await this.#engine.bytes("DELETE", `/containers/${container}`, { query: { v: "1" } });
      return true;
    } catch (cause) {
      if (cause instanceof EngineFailure && cause.status === 404) return true;
      if (cause instanceof EngineFailure && cause.status === 409) return false;
      throw toSandboxError(cause, `destroy ${id}`, "unknown");
    }
  }

  /** Why a sandbox does not answer. `undefined`: its container runs. */
  async diagnose(container: string, id: string, signal: AbortSignal): Promise<SandboxError | undefined> {
    let details: ContainerDetails | undefined;
    try {
      details = await this.find(container, signal);
    } catch (cause) {
      if (!(SandboxError.is(cause) && cause.cause instanceof EngineUnreachable)) throw cause;
      const message = `sandbox ${id} was lost with its engine, which does not answer any more; start the engine, then attach again`;
      return new SandboxError("unavailable", message, { cause, effect: "unknown", reason: "engine_gone" });
    }
    if (details === undefined) return new SandboxError("not_found", `sandbox ${id} was removed from outside`, { effect: "unknown" });
    return details.State.Status === "running" || details.State.Status === "paused" ? undefined : endOf(id, details.State);
  }

  async #discard(id: string, creation: string): Promise<void> {
    const details = await this.find(containerName(id)).catch(() => undefined); // the engine is gone: its own start-up shows it to the next list
    if (details?.Config.Labels?.[labelNames.creation] === creation) await this.remove(details.Id, id);
  }
}

function endOf(id: string, { ExitCode: code, OOMKilled: outOfMemory, Error: error }: ContainerDetails["State"]): SandboxError {
  const options = { effect: "unknown" } as const;
  if (code === DISK_LIMIT_EXIT_CODE) {
    const message = `sandbox ${id} was stopped because it wrote more than its disk limit; attach again to take files out or remove some, or ask for a larger diskBytes.max`;
    return new SandboxError("resource_exhausted", message, { ...options, reason: "disk_limit" });
  }
  if (outOfMemory && code === 137) {
    const message = `sandbox ${id} ran out of memory and its guest was killed; attach again to start it anew, or ask for a larger memoryBytes.max`;
    return new SandboxError("resource_exhausted", message, { ...options, reason: "out_of_memory" });
  }
  const how =
    code > 128
      ? `was killed from outside (exit ${code})`
      : code === 0
        ? "ended in order (stopped, or no worker was connected for too long)"
        : `ended (exit ${code})`;
  return new SandboxError(
    "unavailable",
    `sandbox ${id} ${how}${error === "" ? "" : `: ${error}`}; attach again to start it anew, its files are kept`,
    {
      ...options,
      reason: "stopped",
    },
  );
}

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted();
  await new Promise((resolve) => setTimeout(resolve, ms));
  signal?.throwIfAborted();
}
