import { posix } from "node:path";
import { SandboxError } from "@glovebox/core";
import type { Capabilities, Root, Sandbox } from "@glovebox/core";
import { z } from "zod";
import type { ResultBlock } from "../content.ts";

/** An error result for the model: `message` is its whole text. */
export class ToolError extends Error {
  override readonly name = "ToolError";
}

export interface ToolContext {
  readonly sandbox: Sandbox;
  /** Aborts when the call is dropped, or the worker stops. */
  readonly signal: AbortSignal;
  /** The thread that the call is of; `undefined`: the primary one. */
  readonly threadId: string | undefined;
  /** The most that this tool may take, in ms. */
  readonly timeoutMs: number;
  /** Makes the call happen at most once; absent where the provider keeps no record of calls. */
  readonly call: string | undefined;
  /** The tool lost the shell's state, or something else that the next result should tell. */
  remark(text: string): void;
  /** The result had been produced before and was kept in the sandbox. */
  replayed(): void;
}

/** One tool of `agent_toolset_20260401`. */
export interface AgentTool {
  readonly name: string;
  /** Changes nothing in the sandbox, so that such calls may overlap. */
  readonly readOnly: boolean;
  /** Does nothing but look at or replace files. */
  readonly onlyFiles: boolean;
  /** Whether such a sandbox can hold a call of it to at most one run. */
  keyed(capabilities: Capabilities): boolean;
  /**
   * Check the input, and get what runs it.
   * @throws {ToolError} what is wrong with the input, for the model
   */
  prepare(input: unknown): (context: ToolContext) => Promise<string | ResultBlock>;
}

/** A tool from its schema and its run. */
export function agentTool<Input>(tool: {
  readonly name: string;
  readonly readOnly: boolean;
  readonly onlyFiles: boolean;
  /** Where text calls are emulated, they keep no record. Default: any. */
  readonly keyedText?: "native";
  readonly schema: z.ZodType<Input>;
  readonly check?: (input: Input) => void;
  readonly run: (input: Input, context: ToolContext) => Promise<string | ResultBlock>;
}): AgentTool {
  return {
    name: tool.name,
    readOnly: tool.readOnly,
    onlyFiles: tool.onlyFiles,
    keyed: ({ calls, text }) => !tool.readOnly && calls !== false && (tool.keyedText === undefined || text === tool.keyedText),
    prepare: (raw) => {
      const input = parseInput(tool.name, tool.schema, withoutNulls(raw));
      tool.check?.(input);
      return (context) => tool.run(input, context);
    },
  };
}

/** @throws {ToolError} naming every wrong member */
export function parseInput<Input>(tool: string, schema: z.ZodType<Input>, raw: unknown): Input {
  const { success, data, error } = schema.safeParse(raw);
  if (success) return data;
  const said = error.issues.map((issue) => `${issue.path.length === 0 ? "the input" : issue.path.join(".")}: ${issue.message}`);
  throw new ToolError(`${tool}: invalid input: ${said.join("; ")}`);
}

/** Text members may be left out here; each tool says itself, in the official words, which one it needs. */
export const optionalText: z.ZodDefault<z.ZodString> = z.string().default("");

/** Models write `null` for what they leave out, be it everything. */
function withoutNulls(raw: unknown): unknown {
  if (raw === null || raw === undefined) return {};
  if (typeof raw !== "object" || Array.isArray(raw)) return raw;
  return Object.fromEntries(Object.entries(raw).filter(([, value]) => value !== null));
}

/** The tree in which file tools stay: the sandbox's work directory. */
export function toolRoots(sandbox: Sandbox): readonly Root[] {
  return [{ path: sandbox.workdir, writable: true }];
}

/** A path of the model's, from the work directory; `..` collapses before any link is followed, as in the official toolset. */
export function absolutePath(sandbox: Sandbox, path: string): string {
  return path === "" ? sandbox.workdir : posix.resolve(sandbox.workdir, path);
}

/** Texts of POSIX errors, as the official toolset has them. Source: reference/managed-agents-protocol.md, 10.7. */
const errnoTexts: ReadonlyMap<string, string> = new Map([
  ["ENOENT", "no such file or directory"],
  ["EACCES", "permission denied"],
  ["EPERM", "permission denied"],
  ["ENOTDIR", "not a directory"],
  ["EISDIR", "is a directory"],
  ["ENOSPC", "no space left on device"],
  ["EMFILE", "too many open files"],
  ["ENFILE", "too many open files"],
  // not in the official toolset, which knows no limit: a file larger than all that the sandbox may write
  ["EFBIG", "file too large"],
]);

/** Texts of errors of the path itself, which the official toolset tells before any tool's name. */
const unresolvedTexts: ReadonlyMap<string, string> = new Map([
  ["ELOOP", "too many levels of symbolic links"],
  ["ENAMETOOLONG", "file name too long"],
]);

/**
 * What to throw for a failed file call: the official text where the file is to blame, the error itself where the sandbox is.
 * @param path as the model wrote it
 */
export function fileFailure(tool: string, path: string, error: unknown, roots: readonly Root[]): unknown {
  if (!SandboxError.is(error)) return error;
  const { reason } = error;
  if (reason === "outside_roots") return new ToolError(`path ${JSON.stringify(path)} is outside the session's working directory`);
  if (reason === "read_only_root") {
    return new ToolError(`${tool}: ${path} is inside read-only directory ${roots.find(({ writable }) => !writable)?.path ?? "/"}`);
  }
  if (reason === "not_regular_file") return new ToolError(`${tool}: ${path} is not a regular file`);
  const unresolved = reason === undefined ? undefined : unresolvedTexts.get(reason);
  if (unresolved !== undefined) return new ToolError(`path ${JSON.stringify(path)}: ${unresolved}`);
  if (reason !== undefined && /^E[A-Z0-9]+$/u.test(reason)) {
    return new ToolError(`${tool}: ${path}: ${errnoTexts.get(reason) ?? `i/o error (${reason})`}`);
  }
  if (error.code === "invalid_argument" && reason === undefined) return new ToolError(`${tool}: ${plainMessage(error)}`);
  return error;
}

/** An error's message without its code in front. */
export function plainMessage(error: SandboxError): string {
  return error.message.replace(/^\[\w+\] /u, "");
}
