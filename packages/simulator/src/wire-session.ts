import type { Thread } from "./calls.ts";
import type { SkewableClock } from "./clock.ts";
import type { SessionRecord } from "./control-plane.ts";
import type { AgentSpec } from "./simulator.ts";
import { timestamp, type JsonObject } from "./wire.ts";

export function wireSession(record: SessionRecord): JsonObject {
  const { session } = record;
  return {
    id: session.id,
    type: "session",
    status: session.shownStatus,
    environment_id: record.environment.id,
    agent: record.agent,
    resources: record.resources,
    metadata: record.metadata,
    title: record.title,
    vault_ids: [],
    budget: null,
    usage: { ...session.usage, active_seconds: session.activeSeconds },
    stats: { active_seconds: session.activeSeconds },
    outcome_evaluations: [],
    deployment_id: null,
    created_at: timestamp(session.createdAtMs),
    updated_at: timestamp(record.updatedAtMs),
    archived_at: record.archivedAtMs === null ? null : timestamp(record.archivedAtMs),
  };
}

export function wireThread({ session, agent }: SessionRecord, thread: Thread, clock: SkewableClock): JsonObject {
  const activeSeconds = (thread.ranMs + (thread.runningSinceMs === null ? 0 : clock.now() - thread.runningSinceMs)) / 1000;
  const endMs = thread.archivedAtMs ?? clock.stampMs();
  return {
    id: thread.id,
    type: "session_thread",
    session_id: session.id,
    agent: { ...agent, name: thread.agentName },
    parent_thread_id: thread.label === null ? null : session.threads[0]?.id,
    status: thread.state,
    stats: thread.hasChanged ? { active_seconds: activeSeconds, duration_seconds: (endMs - thread.createdAtMs) / 1000, startup_seconds: 0 } : null,
    usage: thread.hasIdled ? { active_seconds: activeSeconds, ...(thread.label === null ? session.usage : {}) } : null,
    workflow_run_id: null,
    created_at: timestamp(thread.createdAtMs),
    updated_at: timestamp(thread.updatedAtMs),
    archived_at: thread.archivedAtMs === null ? null : timestamp(thread.archivedAtMs),
  };
}

/** An agent as a session shows it. */
export function wireAgent(id: string, spec: AgentSpec): JsonObject & { readonly name: string } {
  return {
    type: "agent",
    id,
    version: 1,
    name: spec.name ?? id,
    description: null,
    system: spec.system ?? null,
    model: { id: "scripted" },
    tools: spec.tools ?? [
      { type: "agent_toolset_20260401", configs: [], default_config: { enabled: true, permission_policy: { type: "always_allow" } } },
    ],
    mcp_servers: [],
    skills: spec.skills ?? [],
    multiagent: null,
    execution_identity: { type: "api_key" },
  };
}
