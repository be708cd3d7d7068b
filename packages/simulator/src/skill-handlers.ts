import type { ControlPlane } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import { pageOf } from "./paging.ts";
import { ok, parameter, type ApiRequest, type HandlersOf } from "./request.ts";
import { readUpload } from "./skill-upload.ts";
import { versionOf, type Skill, type SkillVersion } from "./skills.ts";
import { betaHeaders, timestamp, type JsonObject } from "./wire.ts";

/** Handlers of `/v1/skills` and what is beneath. */
export function skillHandlers(plane: ControlPlane): HandlersOf<"skills" | "skill_versions"> {
  const skills = plane.skills;
  const skillOf = (request: ApiRequest): Skill => {
    refuseOldShapes(request);
    return skills.get(parameter(request, "skill"));
  };
  return {
    async "skills.create"(request) {
      refuseOldShapes(request);
      const { displayName, ...fields } = await readUpload(request);
      return ok(wireSkill(skills.create({ ...fields, displayName: displayName ?? fields.name })));
    },

    "skills.list"(request) {
      refuseOldShapes(request);
      const source = request.query.get("source");
      const shown = skills.all().filter((skill) => source === null || skill.source === source);
      const { data, next } = pageOf(shown, request.query, { keyOf: (skill) => skill.sequence, descending: true });
      return ok({ data: data.map(wireSkill), next_page: next });
    },

    "skills.retrieve": (request) => ok(wireSkill(skillOf(request))),

    "skills.delete"(request) {
      const skill = skillOf(request);
      skills.delete(skill);
      return ok({ id: skill.id, type: "skill_deleted" });
    },

    async "skill_versions.create"(request) {
      const skill = skillOf(request);
      const { name, ...content } = await readUpload(request);
      if (name !== skill.name) throw new ApiFailure(400, `SKILL.md: its name is ${name}, and that of the skill ${skill.name}.`);
      return ok(wireVersion(skill, skills.addVersion(skill, content)));
    },

    "skill_versions.list"(request) {
      const skill = skillOf(request);
      const { data, next } = pageOf(skill.versions, request.query, { descending: true });
      return ok({ data: data.map((version) => wireVersion(skill, version)), next_page: next });
    },

    "skill_versions.retrieve"(request) {
      const skill = skillOf(request);
      return ok(wireVersion(skill, versionOf(skill, parameter(request, "version"), "latest")));
    },

    "skill_versions.delete"(request) {
      const skill = skillOf(request);
      const version = versionOf(skill, parameter(request, "version"), "none");
      skills.deleteVersion(skill, version);
      return ok({ id: version.id, type: "skill_version_deleted" });
    },

    "skill_versions.content"(request) {
      const { archive } = versionOf(skillOf(request), parameter(request, "version"), "none");
      return { bytes: archive, contentType: contentTypeOf(archive) };
    },
  };
}

/** @throws {ApiFailure} 400 */
function refuseOldShapes({ betas }: ApiRequest): void {
  if (betas.includes(betaHeaders.oldSkills)) throw new ApiFailure(400, `anthropic-beta: the shapes of ${betaHeaders.oldSkills} are not simulated.`);
}

function wireSkill(skill: Skill): JsonObject {
  return {
    id: skill.id,
    type: "skill",
    display_name: skill.displayName,
    latest_version_id: skill.versions.at(-1)?.id,
    source: { type: skill.source },
    created_at: timestamp(skill.createdAtMs),
    updated_at: timestamp(skill.updatedAtMs),
  };
}

function wireVersion(skill: Skill, version: SkillVersion): JsonObject {
  return {
    id: version.id,
    type: "skill_version",
    skill_id: skill.id,
    name: skill.name,
    description: version.description,
    created_at: timestamp(version.createdAtMs),
  };
}

function contentTypeOf(archive: Uint8Array): string {
  if (archive[0] === 0x50 && archive[1] === 0x4b) return "application/zip";
  return archive[0] === 0x1f && archive[1] === 0x8b ? "application/gzip" : "application/octet-stream";
}
