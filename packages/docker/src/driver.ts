import type { AttachMode, CallOptions, Capabilities, SandboxDriver, SandboxRef } from "@glovebox/core";
import { type GuestStream, guestDriver } from "@glovebox/guest";
import type { Containers } from "./containers.ts";

/** A way to the guest that can be gone again and again. */
export interface Door {
  accept(signal: AbortSignal): Promise<GuestStream>;
  /** Idempotent. */
  close(): Promise<void>;
}

export interface DockerDriverOptions {
  readonly ref: SandboxRef & { readonly vendorId: string };
  readonly workdir: string;
  readonly capabilities: Capabilities;
  readonly mode: AttachMode;
  readonly containers: Containers;
  readonly door: Door;
  readonly destroy: (call: CallOptions) => Promise<void>;
}

/**
 * A container with a running guest as a driver. Owns `door` from then on, also when it fails.
 * @throws {SandboxError} as `guestDriver`; when the container ends meanwhile, why
 */
export async function dockerDriver(options: DockerDriverOptions, { signal }: CallOptions): Promise<SandboxDriver> {
  const { ref, workdir, capabilities, mode, containers, door, destroy } = options;
  const diagnose = (during: AbortSignal): ReturnType<Containers["diagnose"]> => containers.diagnose(ref.vendorId, ref.id, during);
  try {
    return await guestDriver(
      {
        ref,
        workdir,
        capabilities,
        mode,
        diagnose,
        destroy,
        connect: (during) => acceptOrEnd(options, diagnose, during),
        release: () => door.close(),
      },
      { signal },
    );
  } catch (error) {
    await door.close();
    // a guest that came and went says less than its container
    throw signal.aborted ? error : ((await diagnose(AbortSignal.timeout(5_000)).catch(() => undefined)) ?? error);
  }
}

/** Wait for the guest's connection, or for its container to end. */
async function acceptOrEnd(
  { ref, containers, door }: DockerDriverOptions,
  diagnose: (signal: AbortSignal) => ReturnType<Containers["diagnose"]>,
  signal: AbortSignal,
): Promise<GuestStream> {
  const settled = new AbortController();
  const either = AbortSignal.any([signal, settled.signal]);
  const ended = async (): Promise<GuestStream> => {
    await containers.ended(ref.vendorId, either).catch(() => undefined); // removed, or the engine is gone: diagnose tells
    either.throwIfAborted();
    throw (await diagnose(either)) ?? new Error(`the container of ${ref.id} runs again`);
  };
  try {
    return await Promise.race([door.accept(either), ended()]);
  } finally {
    settled.abort();
  }
}
