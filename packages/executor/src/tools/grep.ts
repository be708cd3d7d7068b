import { SandboxError } from "@glovebox/core";
import { z } from "zod";
import { type AgentTool, ToolError, absolutePath, agentTool, fileFailure, optionalText, plainMessage, toolRoots } from "./tool.ts";

const maxBytes = 102_400;
const searchTimeoutMs = 60_000;

/**
 * `grep`: lines that match a regular expression.
 *
 * Deliberately other than the official worker: one that is not there is named as the model wrote it, not by ripgrep's own message.
 */
export const grepTool: AgentTool = agentTool({
  name: "grep",
  readOnly: true,
  onlyFiles: true,
  schema: z.object({ pattern: optionalText, path: optionalText }),
  check: ({ pattern }) => {
    if (pattern === "") throw new ToolError("grep: pattern is required");
  },
  run: async ({ pattern, path }, { sandbox, signal, timeoutMs }) => {
    const roots = toolRoots(sandbox);
    const limitMs = Math.min(timeoutMs, searchTimeoutMs);
    try {
      const target = absolutePath(sandbox, path);
      const { output, matched, cut } = await sandbox.files.grep(pattern, { path: target, roots, signal, timeoutMs: limitMs, maxBytes });
      if (!matched) return "no matches";
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(output);
      return cut ? `${text}\n[output truncated at ${maxBytes} bytes]` : text;
    } catch (error) {
      if (SandboxError.is(error) && error.code === "deadline_exceeded") throw new ToolError(`grep: timed out after ${limitMs / 1000}s`);
      if (SandboxError.is(error) && error.reason === "grep_failed") throw new ToolError(`grep: rg failed: ${plainMessage(error)}`);
      if (SandboxError.is(error) && error.code === "invalid_argument" && error.reason === undefined)
        throw new ToolError(`grep: invalid regex: ${plainMessage(error)}`);
      throw fileFailure("grep", path === "" ? "." : path, error, roots);
    }
  },
});
