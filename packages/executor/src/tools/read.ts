import { SandboxError } from "@glovebox/core";
import { z } from "zod";
import { type ResultBlock, mediaBlock } from "../content.ts";
import { type MediaType, flawOf, maxBytesOf, signatureBytes, signatureOf } from "../media.ts";
import { type AgentTool, type ToolContext, ToolError, absolutePath, agentTool, fileFailure, optionalText, toolRoots } from "./tool.ts";

/** Of a whole text file, or of the lines asked for. Source: the official toolset. */
export const maxFileBytes = 262_144;

/**
 * `read`: a text file, or lines of it; an image or a PDF as a block that the model sees.
 *
 * Deliberately other than the official worker: images and PDFs are told by their content and not refused, and other bytes that are no UTF-8 are
 * refused instead of being replaced.
 */
export const readTool: AgentTool = agentTool({
  name: "read",
  readOnly: true,
  onlyFiles: true,
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

async function readWhole(path: string, context: ToolContext): Promise<string | ResultBlock> {
  const { sandbox, signal, timeoutMs } = context;
  const limits = { roots: toolRoots(sandbox), signal, timeoutMs };
  try {
    const { content } = await sandbox.files.readLines(absolutePath(sandbox, path), { ...limits, maxBytes: maxFileBytes });
    const type = signatureOf(content);
    return type === undefined ? decode(path, content) : asMedia(path, type, content);
  } catch (error) {
    if (!isTooLarge(error)) throw error;
  }
  const { sizeBytes } = await sandbox.files.stat(absolutePath(sandbox, path), limits);
  const type = await typeOf(path, context);
  if (type === undefined) throw tooLargeFile(path, sizeBytes);
  if (sizeBytes > maxBytesOf(type)) {
    throw new ToolError(`read: ${path} is ${sizeBytes} bytes, exceeds ${maxBytesOf(type)}-byte limit for image/PDF files.`);
  }
  const media = asMedia(path, type, await readBytes(path, maxBytesOf(type), context));
  if (typeof media === "string") throw tooLargeFile(path, sizeBytes);
  return media;
}

/** Text may begin like a GIF or a PDF, and is text then. */
function asMedia(path: string, type: MediaType, content: Uint8Array): string | ResultBlock {
  const flaw = flawOf(type, content);
  if (flaw === undefined) return mediaBlock(type, content);
  const text = textIn(content);
  if (text === undefined) throw new ToolError(`read: ${path} begins like ${type}, but ${flaw}`);
  return text;
}

async function typeOf(path: string, context: ToolContext): Promise<MediaType | undefined> {
  return signatureOf(await readBytes(path, signatureBytes, context));
}

/** The first bytes of a file. The time-out holds for all of them. */
async function readBytes(path: string, length: number, { sandbox, signal, timeoutMs }: ToolContext): Promise<Uint8Array> {
  const stop = new AbortController();
  const late = new SandboxError("deadline_exceeded", `reading took longer than ${timeoutMs} ms`, { effect: "none" });
  const timer = setTimeout(() => stop.abort(late), timeoutMs);
  try {
    const options = { roots: toolRoots(sandbox), length, signal: AbortSignal.any([signal, stop.signal]) };
    return await sandbox.files.read(absolutePath(sandbox, path), options);
  } finally {
    clearTimeout(timer);
  }
}

/** Lines joined by line feeds: the last one comes without its own. */
async function readRange(path: string, first: number, last: number, context: ToolContext): Promise<string> {
  const { sandbox, signal, timeoutMs } = context;
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
    const text = textIn(content);
    // a PDF may be all ASCII
    if (text === undefined || (/\.pdf$/iu.test(path) && (await typeOf(path, context)) !== undefined)) throw await noLines(path, context);
    const whole = last > 0 && count(text, "\n") === last - start + 1 ? text.slice(0, -1) : text;
    if (Buffer.byteLength(whole) > maxFileBytes) throw tooLargeRange(path, first, last, start);
    return whole;
  } catch (error) {
    if (!isTooLarge(error)) throw error;
    const isText = (await typeOf(path, context)) === undefined;
    throw isText ? tooLargeRange(path, first, last, start) : await noLines(path, context);
  }
}

/** What to say of a file whose lines were asked for and that has none. */
async function noLines(path: string, context: ToolContext): Promise<ToolError> {
  const type = await typeOf(path, context);
  return type === undefined ? noText(path) : new ToolError("read: view_range is not supported for image/PDF files");
}

function tooLargeFile(path: string, sizeBytes: number): ToolError {
  return new ToolError(
    `read: ${path} is ${sizeBytes} bytes, exceeds ${maxFileBytes}-byte limit. ` +
      "Use the view_range parameter to read specific line ranges, e.g. view_range: [1, 500].",
  );
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
  const text = textIn(content);
  if (text === undefined) throw noText(path);
  return text;
}

function textIn(content: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    return undefined;
  }
}

function noText(path: string): ToolError {
  return new ToolError(`read: ${path} is not valid UTF-8; look at it with bash, for example: head -c 1000 FILE | xxd`);
}

function count(text: string, character: string): number {
  let found = 0;
  for (let at = text.indexOf(character); at !== -1; at = text.indexOf(character, at + 1)) found++;
  return found;
}
