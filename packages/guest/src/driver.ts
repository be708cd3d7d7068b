import type { AttachMode, CallOptions, Capabilities, SandboxDriver, SandboxError, SandboxRef } from "@glovebox/core";
import { guestClient } from "./client.ts";
import type { GuestStream } from "./guest-stream.ts";
import { ReconnectingLink } from "./link.ts";

const DEFAULT_RECONNECT_MS = 10_000;
const DEFAULT_HELLO_MS = 10_000;

/** What an adapter adds to what the guest gives. */
export type AdapterFacets = Pick<
  SandboxDriver,
  "pausing" | "suspending" | "snapshots" | "forking" | "resizing" | "ports" | "egress" | "expiry" | "labels"
>;

export interface GuestDriverOptions extends AdapterFacets {
  readonly ref: SandboxRef;
  /** Absolute. */
  readonly workdir: string;
  /** Of this sandbox, resolved. `shell`, `text` and `calls` become facets exactly where it says so; {@link guestCapabilities} is the guest's part. */
  readonly capabilities: Capabilities;
  /** A created sandbox is taken over. */
  readonly mode: AttachMode;
  /**
   * Open one stream to the guest: at once, and again after each loss. It may wait for the guest; the signal fires when it need not wait any more.
   * A stream that arrives after that is closed by the adapter.
   * @throws {SandboxError} whatever it throws at first is thrown by {@link guestDriver}; later it is tried again
   */
  readonly connect: (signal: AbortSignal) => Promise<GuestStream>;
  /** Free the sandbox. Called by the driver's `destroy` after its own connection was closed. Idempotent, as the driver's. */
  readonly destroy: (options: CallOptions) => Promise<void>;
  /** Free what the adapter holds for this driver, such as a listening socket, and leave the sandbox as it is. Called once, by `close`, `destroy` or a loss. */
  readonly release?: () => Promise<void>;
  /**
   * Asked after each loss of the stream.
   * @returns why the sandbox is gone (`container was killed (exit 137)`), which ends the driver at once; `undefined` while it lives
   */
  readonly diagnose?: (signal: AbortSignal) => Promise<SandboxError | undefined>;
  /** What the guest was started with, where any process could reach it. */
  readonly secret?: string;
  /** How long to go on trying after a loss, in milliseconds. Default 10,000. */
  readonly reconnectMs?: number;
  /** How long the guest may take for its hello, in milliseconds. Default 10,000. */
  readonly helloMs?: number;
}

/**
 * A duplex stream to a guest becomes a whole driver.
 * @throws {SandboxError} what `connect` throws; `unavailable`: the guest gave no hello, or broke the protocol; `unauthenticated`: it refused the secret;
 * `failed_precondition`: it speaks another protocol. The abort reason is thrown as it is. Nothing stays open then.
 */
export async function guestDriver(options: GuestDriverOptions, { signal }: CallOptions): Promise<SandboxDriver> {
  const { ref, workdir, capabilities, mode, connect, destroy, release, diagnose, secret, reconnectMs, helloMs, ...adapterFacets } = options;
  const link = await ReconnectingLink.open(
    { mode, connect, diagnose, secret, reconnectMs: reconnectMs ?? DEFAULT_RECONNECT_MS, helloMs: helloMs ?? DEFAULT_HELLO_MS },
    signal,
  );
  const client = guestClient(link);
  let released: Promise<void> | undefined;
  const releaseOnce = (): Promise<void> => (released ??= release?.() ?? Promise.resolve());
  const close = (): Promise<void> => {
    link.close();
    return releaseOnce();
  };
  void link.lost.then(() => releaseOnce().catch(() => undefined)); // a close after the loss gets the same failure
  return {
    ...adapterFacets,
    ref,
    workdir,
    capabilities,
    lost: link.lost,
    spawn: client.spawn,
    files: client.files,
    ...(capabilities.shell !== false && { shell: client.shell }),
    ...(capabilities.text === "native" && { text: client.text }),
    ...(capabilities.calls !== false && { calls: { ...client.calls, generation: link.generation } }),
    close,
    destroy: async (call) => {
      await close();
      await destroy(call);
    },
  };
}
