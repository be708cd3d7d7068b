import type Anthropic from "@anthropic-ai/sdk";
import { listSandboxes } from "@glovebox/core";
import type { SandboxProvider, SandboxSpec } from "@glovebox/core";
import { statusOf } from "./control-plane.ts";
import { sandboxIdFor } from "./routing.ts";

export interface SweepOptions {
  readonly client: Anthropic;
  readonly environmentId: string;
  readonly provider: SandboxProvider;
  readonly spec: SandboxSpec;
  readonly keepMs: number;
  readonly isServed: (sessionId: string) => boolean;
  readonly signal: AbortSignal;
}

/**
 * Sessions of this environment that have a sandbox and need it no more: the control plane knows them no longer, they were terminated, or
 * nothing happened in them for `keepMs`. What cannot be learned is left alone. Never rejects.
 */
export async function sweep({ client, environmentId, provider, spec, keepMs, isServed, signal }: SweepOptions): Promise<readonly string[]> {
  const over: string[] = [];
  if (provider.capabilitiesFor(spec).list === false) return over;
  try {
    for await (const { ref, ownership } of listSandboxes(provider, {}, { signal })) {
      if (ownership?.by !== "session" || isServed(ownership.session)) continue;
      // another environment's, or not made by a worker: none of ours
      if (ref.id !== sandboxIdFor(environmentId, ownership.session)) continue;
      if (await isOver(client, ownership.session, keepMs, signal)) over.push(ownership.session);
    }
  } catch {
    // the engine or the control plane does not answer now: the next sweep looks again
  }
  return over;
}

async function isOver(client: Anthropic, sessionId: string, keepMs: number, signal: AbortSignal): Promise<boolean> {
  try {
    const { status, updated_at: updatedAt } = await client.beta.sessions.retrieve(sessionId, {}, { signal });
    return status === "terminated" || (status === "idle" && Date.now() - Date.parse(updatedAt) > keepMs);
  } catch (error) {
    return statusOf(error) === 404;
  }
}
