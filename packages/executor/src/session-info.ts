import { z } from "zod";
import type { SkillReference } from "./skill-cache.ts";

/** A session as the application made it, for who prepares its sandbox. */
export interface SessionInfo {
  readonly id: string;
  readonly title: string | null;
  /** The application's own: file references, say, since a self-hosted session takes no files. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly agent: { readonly id: string; readonly name: string };
}

/** What a session's sandbox is prepared by. */
export interface SessionNeeds {
  readonly info: SessionInfo;
  readonly skills: readonly SkillReference[];
}

const text = z.string().catch("");
const skill = z.object({ skill_id: z.string().min(1), version: z.string().min(1).catch("latest") });

/** Everything but what is used is left out, and what is missing is empty: nobody promises that a session has it. */
const schema = z.object({
  title: z.string().nullable().catch(null),
  metadata: z.record(z.string(), z.string()).catch({}),
  agent: z.object({ id: text, name: text, skills: z.array(z.unknown()).catch([]) }).catch({ id: "", name: "", skills: [] }),
});

/** @param session as the control plane answers it */
export function needsOf(id: string, session: unknown): SessionNeeds {
  const { success, data } = schema.safeParse(session);
  if (!success) return { info: { id, title: null, metadata: {}, agent: { id: "", name: "" } }, skills: [] };
  const { title, metadata, agent } = data;
  return { info: { id, title, metadata, agent: { id: agent.id, name: agent.name } }, skills: agent.skills.flatMap(skillOf) };
}

function skillOf(given: unknown): readonly SkillReference[] {
  const { success, data } = skill.safeParse(given);
  return success ? [{ skillId: data.skill_id, version: data.version }] : [];
}
