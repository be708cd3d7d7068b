import type { ResultBlock } from "./content.ts";

/** What a call was answered with. */
export interface CallResult {
  readonly isError: boolean;
  readonly content: readonly ResultBlock[];
}

/**
 * How far a call got. `started`: its effect may have happened. `finished`: the result is known and not yet with the control plane.
 * `sent`: the control plane has an answer, or wants none.
 */
export type JournalEntry = { readonly state: "started" } | { readonly state: "finished"; readonly result: CallResult } | { readonly state: "sent" };

/** Which call: session and event id, as the control plane gave them. */
export interface CallId {
  readonly sessionId: string;
  readonly callId: string;
}

/**
 * What a worker must remember so that no call happens twice and no result is made again. A write has happened when its promise resolves.
 * Entries only advance.
 */
export interface Journal {
  read(call: CallId): Promise<JournalEntry | undefined>;
  started(call: CallId): Promise<void>;
  finished(call: CallId, result: CallResult): Promise<void>;
  /** The result may be forgotten, that it was sent may not. */
  sent(call: CallId): Promise<void>;
  /** The session is over: forget all of it. */
  forget(sessionId: string): Promise<void>;
}

/** Lasts as long as the process. Across processes the sandbox's own record of calls takes over; custom tools have none. */
export class MemoryJournal implements Journal {
  readonly #sessions = new Map<string, Map<string, JournalEntry>>();

  async read({ sessionId, callId }: CallId): Promise<JournalEntry | undefined> {
    return this.#sessions.get(sessionId)?.get(callId);
  }

  async started(call: CallId): Promise<void> {
    if ((await this.read(call)) === undefined) this.#set(call, { state: "started" });
  }

  async finished(call: CallId, result: CallResult): Promise<void> {
    if ((await this.read(call))?.state !== "sent") this.#set(call, { state: "finished", result });
  }

  async sent(call: CallId): Promise<void> {
    this.#set(call, { state: "sent" });
  }

  async forget(sessionId: string): Promise<void> {
    this.#sessions.delete(sessionId);
  }

  #set({ sessionId, callId }: CallId, entry: JournalEntry): void {
    const calls = this.#sessions.get(sessionId) ?? new Map<string, JournalEntry>();
    this.#sessions.set(sessionId, calls.set(callId, entry));
  }
}
