import type { SkillHandle } from "./simulator.ts";
import type { Skill, Skills } from "./skills.ts";

export function skillHandle(skills: Skills, skill: Skill): SkillHandle {
  return {
    id: skill.id,
    get versions() {
      return skill.versions.map(({ id }) => id);
    },
    reference: (version = "latest") => ({ type: skill.source, skill_id: skill.id, version }),
    addVersion: (content) => skills.addVersion(skill, content).id,
  };
}
