import { bashTool } from "./bash.ts";
import { editTool } from "./edit.ts";
import { globTool } from "./glob.ts";
import { grepTool } from "./grep.ts";
import { readTool } from "./read.ts";
import type { AgentTool } from "./tool.ts";
import { writeTool } from "./write.ts";

/** The tools of `agent_toolset_20260401` that run on the client's side, by name. */
export const agentToolset: ReadonlyMap<string, AgentTool> = new Map(
  [bashTool, readTool, writeTool, editTool, globTool, grepTool].map((tool) => [tool.name, tool]),
);
