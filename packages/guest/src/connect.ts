import type { CallOptions } from "@glovebox/core";
import { type GuestClient, guestClient } from "./client.ts";
import { GuestConnection } from "./connection.ts";
import { disconnected } from "./failures.ts";
import type { GuestStream } from "./guest-stream.ts";
import type { ClientHello, GuestHello } from "./hello.ts";

export interface ConnectGuestOptions extends ClientHello {
  /** How long the guest may take for its hello, in milliseconds. Default 10,000. */
  readonly helloMs?: number;
}

/** One connection to a guest; when it is lost, so is this. For tools and tests: a worker wants {@link guestDriver}. */
export interface ConnectedGuest extends GuestClient, Disposable {
  readonly hello: GuestHello;
  /** Resolves when the connection has ended, with the reason. */
  readonly ended: Promise<Error>;
  /** Calls under way, cancelled ones that the guest has not ended included. */
  readonly openStreams: number;
  /** A round trip through the guest's frame loop. */
  ping(signal: AbortSignal): Promise<void>;
}

/**
 * Say hello over a stream, which belongs to the result from then on.
 * @throws {SandboxError} as {@link guestDriver}
 */
export async function connectGuest(
  stream: GuestStream,
  { helloMs = 10_000, ...hello }: ConnectGuestOptions,
  { signal }: CallOptions,
): Promise<ConnectedGuest> {
  const connection = await GuestConnection.open(stream, { ...hello, helloMs }, signal);
  const client = guestClient({
    connection: () => {
      if (connection.failure !== undefined) throw disconnected(connection.failure, "none");
      return connection;
    },
  });
  return {
    ...client,
    hello: connection.hello,
    ended: connection.ended,
    get openStreams() {
      return connection.openStreams;
    },
    ping: (pingSignal) => connection.ping(pingSignal),
    [Symbol.dispose]: () => connection.close(),
  };
}
