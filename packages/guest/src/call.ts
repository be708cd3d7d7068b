import { type CallKey, type Effect, SandboxError } from "@glovebox/core";
import type { GuestConnection } from "./connection.ts";
import { lossOf, violation, withEffect } from "./failures.ts";
import type { JsonObject } from "./json.ts";
import type { CallStream } from "./mux.ts";
import { joined } from "./output.ts";

/** Where calls go: one connection, or one after another. */
export interface GuestLink {
  /**
   * The connection that lives, at once; or a wait for the next one.
   * @throws {SandboxError} why there will be none, effect `none`; the abort reason
   */
  connection(signal: AbortSignal): GuestConnection | Promise<GuestConnection>;
}

/** A call whose output fits into memory and whose input is at hand. */
export interface GuestCall<T> {
  /** `op` and its members. */
  readonly request: JsonObject & { readonly op: string };
  /** Whether it only looks, so that a lost answer means that nothing happened. */
  readonly readOnly: boolean;
  readonly key?: CallKey | undefined;
  readonly input?: readonly Uint8Array[];
  /** The most bytes of output that the request allows; more breaks the protocol. */
  readonly maxOutputBytes: number;
  /** @throws {SandboxError} reason `protocol_violation` */
  readonly parse: (result: JsonObject, output: Uint8Array) => T;
}

/**
 * Make a call and wait for its end. With a key it is asked for again on the next connection, and so joined or replayed, when one is lost.
 * An abort cancels it and is thrown at once.
 * @throws {SandboxError} what the guest answers; `unavailable`, reason `disconnected`, with effect `none` if it only looks
 */
export function callGuest<T>(link: GuestLink, call: GuestCall<T>, signal: AbortSignal): Promise<T> {
  return askAgain(link, call.key, call.readOnly ? "none" : "unknown", signal, (connection) => attempt(connection, call, signal));
}

/**
 * Make an attempt; with a key, on each next connection after one that was lost.
 * @param effect of a lost connection on an attempt
 */
export async function askAgain<T>(
  link: GuestLink,
  key: CallKey | undefined,
  effect: Effect,
  signal: AbortSignal,
  make: (connection: GuestConnection) => Promise<T>,
): Promise<T> {
  let asked = false;
  for (;;) {
    signal.throwIfAborted();
    let connection: GuestConnection | undefined;
    try {
      const next = link.connection(signal);
      connection = next instanceof Promise ? await next : next;
      if (connection.failure !== undefined) continue;
      return await make(connection);
    } catch (error) {
      if (!SandboxError.is(error) || error === signal.reason) throw error;
      if (connection !== undefined && error === connection.failure) {
        if (key === undefined) throw lossOf(error, effect);
        asked = true;
        continue;
      }
      // The first asking may have begun what a later one was refused.
      throw asked && (connection === undefined || error.reason === "fenced") ? withEffect(error, "unknown") : error;
    }
  }
}

function attempt<T>(connection: GuestConnection, call: GuestCall<T>, signal: AbortSignal): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const pieces: Uint8Array[] = [];
  let length = 0;
  let stream: CallStream | undefined;
  const onAbort = (): void => {
    stream?.cancel();
    reject(signal.reason);
  };
  const settle = (): void => signal.removeEventListener("abort", onAbort);
  const request = call.key === undefined ? call.request : { ...call.request, call: call.key.id };
  stream = connection.call(
    request,
    {
      data: (channel, bytes) => {
        length += bytes.length;
        if (length > call.maxOutputBytes) throw violation(`more output than ${call.request.op} was allowed`);
        pieces.push(bytes);
        stream?.consumed(channel, bytes.length);
      },
      end: () => undefined,
      event: () => undefined,
      result: (result) => {
        resolve(call.parse(result, joined(pieces, length)));
        settle();
      },
      fail: (error) => {
        reject(error);
        settle();
      },
    },
    call.input,
  );
  signal.addEventListener("abort", onAbort, { once: true });
  return promise;
}
