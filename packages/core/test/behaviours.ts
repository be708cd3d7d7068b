import type { Behaviours } from "./behaviours/behave.ts";
import { fileBehaviours } from "./behaviours/files.ts";
import { programBehaviours } from "./behaviours/programs.ts";
import { sandboxBehaviours } from "./behaviours/sandboxes.ts";

/** All that core does, by name. */
export const behaviours: Behaviours = { ...sandboxBehaviours, ...programBehaviours, ...fileBehaviours };
