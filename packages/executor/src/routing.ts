import { hash } from "node:crypto";

/**
 * The sandbox of a session: the same for every worker of the environment, so that whoever serves the session next finds it.
 * Ids of the control plane are opaque, so they are hashed.
 */
export function sandboxIdFor(environmentId: string, sessionId: string): string {
  return `session-${digest(["glovebox.session.1", environmentId, sessionId]).slice(0, 40)}`;
}

/** The key under which a call happens at most once in its sandbox. */
export function callKeyFor(sessionId: string, callId: string): string {
  return `call-${digest(["glovebox.call.1", sessionId, callId]).slice(0, 40)}`;
}

/** The shell of a thread's `bash` calls. */
export function shellNameFor(threadId: string | undefined): string {
  return threadId === undefined ? "main" : `thread-${digest(["glovebox.thread.1", threadId]).slice(0, 40)}`;
}

/** The key of the restart that a `bash` call begins with. */
export function restartKey(callKey: string): string {
  return `${callKey}-restart`;
}

/** All keys that a call of the agent's tools can have used. */
export function keysOf(sessionId: string, call: { readonly id: string; readonly input: unknown }): readonly string[] {
  const key = callKeyFor(sessionId, call.id);
  const { input } = call;
  const restarts = typeof input === "object" && input !== null && "restart" in input && input.restart === true;
  return restarts ? [key, restartKey(key)] : [key];
}

/** Of names, in hexadecimal. As JSON, so that no two lists of them give the same text. */
export function digest(names: readonly string[]): string {
  return hash("sha256", JSON.stringify(names));
}
