import type { SessionRecord } from "./control-plane.ts";
import type { AgentSpec } from "./simulator.ts";
import { timestamp, type JsonObject } from "./wire.ts";

export function wireSession(record: SessionRecord): JsonObject {
  const { session } = record;
  return {
    id: session.id,
    type: "session",
    status: session.status,
    environment_id: record.environment.id,
    agent: record.agent,
    resources: record.memoryStores,
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
