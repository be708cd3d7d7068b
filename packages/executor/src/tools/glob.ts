import { SandboxError } from "@glovebox/core";
import { z } from "zod";
import { type AgentTool, ToolError, absolutePath, agentTool, fileFailure, optionalText, toolRoots } from "./tool.ts";

const maxResults = 200;
const maxEntries = 50_000;

/** `glob`: files that match a pattern, newest first. */
export const globTool: AgentTool = agentTool({
  name: "glob",
  readOnly: true,
  onlyFiles: true,
  schema: z.object({ pattern: optionalText, path: optionalText }),
  check: ({ pattern }) => {
    if (pattern === "") throw new ToolError("glob: pattern is required");
    if (pattern.startsWith("/")) throw new ToolError("glob: absolute pattern not permitted; pass a relative pattern (and optionally path)");
    if (pattern.split(/[\\/{},]/u).includes("..")) throw new ToolError('glob: ".." is not permitted in the pattern');
  },
  run: async ({ pattern, path }, { sandbox, signal, timeoutMs }) => {
    const roots = toolRoots(sandbox);
    try {
      const { paths } = await sandbox.files.glob(pattern, { path: absolutePath(sandbox, path), roots, signal, timeoutMs, maxResults, maxEntries });
      return paths.length === 0 ? "no matches" : paths.join("\n");
    } catch (error) {
      // a directory that is not there has no matches, as in the official toolset
      if (SandboxError.is(error) && (error.reason === "ENOENT" || error.reason === "ENOTDIR")) return "no matches";
      throw fileFailure("glob", path === "" ? "." : path, error, roots);
    }
  },
});
