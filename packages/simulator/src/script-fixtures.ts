import type { ControlPlane } from "./control-plane.ts";
import { createMemoryStore } from "./memory-store-handle.ts";
import type { Script } from "./script.ts";
import type { SkillReference, StoreAttachment } from "./simulator.ts";
import { skillHandle } from "./skill-handle.ts";

export interface Staged {
  readonly memoryStores: readonly StoreAttachment[];
  readonly skills: readonly SkillReference[];
}

/** Make what a script wants to be there. @throws {ApiFailure} what the API would refuse */
export function stageScript(plane: ControlPlane, { memoryStores = [], skills = [] }: Script): Staged {
  return {
    memoryStores: memoryStores.map(({ access, instructions, ...store }) => ({
      id: createMemoryStore(plane, store).id,
      ...(access === undefined ? {} : { access }),
      ...(instructions === undefined ? {} : { instructions }),
    })),
    skills: skills.map((skill) => skillHandle(plane.skills, plane.skills.create(skill)).reference()),
  };
}
