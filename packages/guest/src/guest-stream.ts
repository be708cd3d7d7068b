/**
 * A duplex byte stream to a guest, as little as a multiplexer needs of one, so that a socket is wrapped without a copy.
 * Made by an adapter, owned from then on by the connection that reads it.
 */
export interface GuestStream {
  /** Begin to deliver. Called once; what arrived before is delivered too. `receiver` is not called after {@link close}. */
  start(receiver: GuestStreamReceiver): void;
  /**
   * Send these bytes in order, in as few writes as can be. They are not changed by the caller any more.
   * @returns whether more is welcome at once; if not, {@link GuestStreamReceiver.drained} follows. What was given is sent in any case
   */
  write(chunks: readonly Uint8Array[]): boolean;
  /** End both directions now. Idempotent. */
  close(): void;
}

export interface GuestStreamReceiver {
  /** Never empty. The receiver may keep a view of it: it is not written to again. */
  bytes(chunk: Uint8Array): void;
  /** What {@link GuestStream.write} was given when it last returned `false` has gone out. */
  drained(): void;
  /** The last call: the other side ended or the stream broke. */
  closed(cause: Error | undefined): void;
}
