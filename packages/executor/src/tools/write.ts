import { z } from "zod";
import { type AgentTool, ToolError, absolutePath, agentTool, fileFailure, optionalText, toolRoots } from "./tool.ts";

/** `write`: a whole file, with the directories above it. New ones are the owner's alone, as the official toolset makes them. */
export const writeTool: AgentTool = agentTool({
  name: "write",
  readOnly: false,
  onlyFiles: true,
  schema: z.object({ file_path: optionalText, content: optionalText }),
  check: ({ file_path: path }) => {
    if (path === "") throw new ToolError("write: file_path is required");
  },
  run: async ({ file_path: path, content }, { sandbox, signal, timeoutMs, call }) => {
    const roots = toolRoots(sandbox);
    const bytes = Buffer.from(content);
    const options = { roots, mode: 0o600, createParents: true, parentMode: 0o700, signal, timeoutMs };
    try {
      await sandbox.files.write(absolutePath(sandbox, path), bytes, call === undefined ? options : { ...options, call });
    } catch (error) {
      throw fileFailure("write", path, error, roots);
    }
    return `wrote ${bytes.byteLength} bytes to ${path}`;
  },
});
