import { z } from "zod";
import { isTooLarge, maxFileBytes } from "./read.ts";
import { type AgentTool, ToolError, absolutePath, agentTool, fileFailure, optionalText, toolRoots } from "./tool.ts";

/**
 * `edit`: replace literal text in a file.
 *
 * Deliberately other than the official worker: a missing `new_string` is refused instead of writing `undefined`, and bytes that are no UTF-8
 * stay as they are.
 */
export const editTool: AgentTool = agentTool({
  name: "edit",
  readOnly: false,
  onlyFiles: true,
  keyedText: "native",
  schema: z.object({ file_path: optionalText, old_string: optionalText, new_string: z.string().optional(), replace_all: z.boolean().default(false) }),
  check: ({ file_path: path, old_string: oldString, new_string: newString }) => {
    if (path === "") throw new ToolError("edit: file_path is required");
    if (oldString === "") throw new ToolError("edit: old_string is required");
    if (newString === undefined) throw new ToolError("edit: new_string is required");
  },
  run: async (
    { file_path: path, old_string: oldString, new_string: newString = "", replace_all: replaceAll },
    { sandbox, signal, timeoutMs, call },
  ) => {
    const roots = toolRoots(sandbox);
    const limits = { roots, signal, timeoutMs };
    // text with a lone surrogate cannot be in a file
    if (!oldString.isWellFormed()) throw new ToolError(`edit: old_string not found in ${path}`);
    try {
      const options = { ...limits, replaceAll, maxBytes: maxFileBytes, ...(call === undefined ? {} : { call }) };
      const { occurrences } = await sandbox.files.edit(absolutePath(sandbox, path), oldString, newString.toWellFormed(), options);
      if (occurrences === 0) throw new ToolError(`edit: old_string not found in ${path}`);
      if (occurrences > 1 && !replaceAll) throw new ToolError(`edit: old_string appears ${occurrences} times in ${path} (must be unique)`);
      return `edited ${path} (${replaceAll ? occurrences : 1} replacement(s))`;
    } catch (error) {
      if (!isTooLarge(error)) throw fileFailure("edit", path, error, roots);
      const { sizeBytes } = await sandbox.files.stat(absolutePath(sandbox, path), limits);
      throw new ToolError(
        `edit: ${path} is ${sizeBytes} bytes, exceeds ${maxFileBytes}-byte limit. The edit tool loads the whole file and cannot modify a file this large.`,
      );
    }
  },
});
