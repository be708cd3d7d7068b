import { SandboxError } from "@glovebox/core";
import { z } from "zod";
import { type AgentTool, type ToolContext, ToolError, absolutePath, agentTool, fileFailure, optionalText, toolRoots } from "./tool.ts";

/** Of a whole file, or of the lines asked for. Source: the official toolset. */
export const maxFileBytes = 262_144;

/**
 * `read`: a text file, or lines of it.
 *
 * Deliberately other than the official worker: bytes that are no UTF-8 are refused instead of being replaced.
 */
export const readTool: AgentTool = agentTool({
  name: "read",
  readOnly: true,
  schema: z.object({ file_path: optionalText, view_range: z.array(z.number().int()).default([]) }),
  check: ({ file_path: path, view_range: range }) => {
    if (path === "") throw new ToolError("read: file_path is required");
    if (range.length !== 0 && range.length !== 2) throw new ToolError("read: view_range must be [start_line, end_line]");
  },
  run: async ({ file_path: path, view_range: [first, last] }, context) => {
    const roots = toolRoots(context.sandbox);
    try {
      return first === undefined || last === undefined ? await readWhole(path, context) : await readRange(path, first, last, context);
    } catch (error) {
      throw fileFailure("read", path, error, roots);
    }
  },
});

async function readWhole(path: string, { sandbox, signal, timeoutMs }: ToolContext): Promise<string> {
  const limits = { roots: toolRoots(sandbox), signal, timeoutMs };
  try {
    const { content } = await sandbox.files.readLines(absolutePath(sandbox, path), { ...limits, maxBytes: maxFileBytes });
    return decode(path, content);
  } catch (error) {
    if (!isTooLarge(error)) throw error;
    const { sizeBytes } = await sandbox.files.stat(absolutePath(sandbox, path), limits);
    throw new ToolError(
      `read: ${path} is ${sizeBytes} bytes, exceeds ${maxFileBytes}-byte limit. ` +
        "Use the view_range parameter to read specific line ranges, e.g. view_range: [1, 500].",
    );
  }
}

/** Lines joined by line feeds: the last one comes without its own. */
async function readRange(path: string, first: number, last: number, { sandbox, signal, timeoutMs }: ToolContext): Promise<string> {
  const start = Math.max(1, first);
  const limits = { roots: toolRoots(sandbox), signal, timeoutMs };
  if (last > 0 && last < start) {
    const { type } = await sandbox.files.stat(absolutePath(sandbox, path), limits);
    if (type !== "file") throw new ToolError(`read: ${path} is not a regular file`);
    return "";
  }
  try {
    // one more, for the line feed at the end that is not counted
    const { content } = await sandbox.files.readLines(absolutePath(sandbox, path), {
      ...limits,
      start,
      ...(last > 0 ? { end: last } : {}),
      maxBytes: maxFileBytes + 1,
    });
    const text = decode(path, content);
    const whole = last > 0 && count(text, "\n") === last - start + 1 ? text.slice(0, -1) : text;
    if (Buffer.byteLength(whole) > maxFileBytes) throw tooLargeRange(path, first, last, start);
    return whole;
  } catch (error) {
    throw isTooLarge(error) ? tooLargeRange(path, first, last, start) : error;
  }
}

function tooLargeRange(path: string, first: number, last: number, start: number): ToolError {
  if (last === start) {
    return new ToolError(
      `read: line ${start} of ${path} alone exceeds ${maxFileBytes}-byte limit. ` +
        "The read tool cannot return part of a line, so view_range cannot narrow this further.",
    );
  }
  return new ToolError(
    `read: view_range [${first}, ${last}] of ${path} exceeds ${maxFileBytes}-byte limit. Narrow the view_range to read a smaller portion.`,
  );
}

export function isTooLarge(error: unknown): boolean {
  return SandboxError.is(error) && error.reason === "too_large";
}

function decode(path: string, content: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    throw new ToolError(`read: ${path} is not valid UTF-8; look at it with bash, for example: head -c 1000 FILE | xxd`);
  }
}

function count(text: string, character: string): number {
  let found = 0;
  for (let at = text.indexOf(character); at !== -1; at = text.indexOf(character, at + 1)) found++;
  return found;
}
