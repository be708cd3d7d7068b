import { randomBytes } from "node:crypto";
import { destroySandbox, listSandboxes, Sandbox, type SandboxEntry, type SandboxProvider } from "@glovebox/core";
import { docker } from "@glovebox/docker";
import type { Simulator } from "@glovebox/simulator";

/** Shared by the workers that this process starts and by what looks at their sandboxes. */
export const ownerKey: Uint8Array = randomBytes(32);

/** Of all sessions of this simulator, in any state. */
export async function sandboxesOf(simulator: Simulator, provider: SandboxProvider = docker()): Promise<SandboxEntry[]> {
  const entries = await Array.fromAsync(listSandboxes(provider));
  return entries.filter(({ ownership }) => ownership?.by === "session" && simulator.session(ownership.session) !== undefined);
}

/** Destroys, at the end of its scope, the sandboxes of every session of this simulator. */
export function removeSandboxes(simulator: Simulator): AsyncDisposable {
  return {
    [Symbol.asyncDispose]: async () => {
      for (const { ref } of await sandboxesOf(simulator)) await destroySandbox(docker(), ref, { ownerKey });
    },
  };
}

/** Waits until a session has a sandbox, and joins it: the worker goes on serving. */
export async function ownedSandbox(simulator: Simulator, sessionId: string, provider: SandboxProvider = docker()): Promise<Sandbox> {
  for (;;) {
    const entry = (await sandboxesOf(simulator, provider)).find(
      ({ ownership, state }) => ownership?.by === "session" && ownership.session === sessionId && state === "running",
    );
    if (entry !== undefined) return Sandbox.attach(provider, entry.ref, { ownerKey });
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits until a file is there: for commands that say so how far they are. */
export async function untilFile(sandbox: Sandbox, path: string): Promise<void> {
  while (!(await sandbox.files.exists(path))) await new Promise((resolve) => setTimeout(resolve, 50));
}
