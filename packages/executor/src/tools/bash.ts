import { z } from "zod";
import { SandboxError } from "@glovebox/core";
import type { SandboxShell, ShellResult } from "@glovebox/core";
import { restartKey, shellNameFor } from "../routing.ts";
import { type AgentTool, type ToolContext, ToolError, agentTool } from "./tool.ts";

/** UTF-16 units of output that the model gets: the last ones. Source: the official toolset. */
const outputLimit = 102_400;
/** What that many units can be in UTF-8. */
const outputLimitBytes = outputLimit * 3;
/** Of threads for which the sandbox has no shell left. */
const sharedShellName = "threads";

// eslint-disable-next-line no-control-regex -- escape sequences begin with a control character
const escapeSequence = /\x1b\[[0-9;?]*[ -/]*[@-~]/gu;

/**
 * `bash`: a command in the session's persistent shell.
 *
 * Deliberately other than the official worker: the default time-out is the worker's (10 min), `timeout_ms: 0` means the default and a
 * longer one is bounded by it; a time-out and a shell that ended say what was lost and show the output so far.
 */
export const bashTool: AgentTool = agentTool({
  name: "bash",
  readOnly: false,
  onlyFiles: false,
  schema: z.object({ command: z.string().default(""), restart: z.boolean().default(false), timeout_ms: z.number().int().min(0).default(0) }),
  check: ({ command, restart }) => {
    if (command === "" && !restart) throw new ToolError("bash: command is required");
  },
  run: async (input, context) => {
    const { sandbox, threadId, remark } = context;
    const own = sandbox.shell(shellNameFor(threadId));
    try {
      return await runIn(own, input, context);
    } catch (error) {
      if (threadId === undefined || !hasNoShellLeft(error)) throw error;
      remark(sharedShell);
      return await runIn(sandbox.shell(sharedShellName), input, context);
    }
  },
});

interface BashInput {
  readonly command: string;
  readonly restart: boolean;
  readonly timeout_ms: number;
}

async function runIn(shell: SandboxShell, { command, restart, timeout_ms: asked }: BashInput, context: ToolContext): Promise<string> {
  const { signal, timeoutMs, call, remark, replayed } = context;
  if (restart) await shell.restart({ signal, ...(call === undefined ? {} : { call: restartKey(call) }) });
  if (command === "") return "bash session restarted";
  const limitMs = asked === 0 ? timeoutMs : Math.min(asked, timeoutMs);
  const options = { timeoutMs: limitMs, maxOutputBytes: outputLimitBytes, keep: "tail", env: { PS1: "", PS2: "", TERM: "dumb" }, signal } as const;
  let result: ShellResult;
  try {
    result = await shell.run(command, call === undefined ? options : { ...options, call });
  } catch (error) {
    if (signal.aborted) remark(freshShell);
    throw error;
  }
  if (result.replayed) replayed();
  return resultText(result, limitMs);
}

/** Refused before anything ran: the bound on shells is reached, or the call is known already as one of the shell that is shared. */
function hasNoShellLeft(error: unknown): boolean {
  return SandboxError.is(error) && error.effect === "none" && (error.code === "resource_exhausted" || error.reason === "call_mismatch");
}

const sharedShell =
  "Note: this session has more threads than its sandbox has shells. This command ran in a shell that several threads share: its directory and variables may change in between.";

const freshShell =
  "The shell was ended with the command before this one and a fresh one was started: its directory, variables, functions and background jobs are gone, files are not.";

function resultText(result: ShellResult, limitMs: number): string {
  const output = shownOutput(result);
  if (result.timedOut) throw new ToolError(withOutput(`bash: bash command timed out after ${limitMs}ms\n${lostShell}`, output));
  if (!result.shellKept) {
    const how = result.signal === null ? `with exit code ${result.code}` : `by ${result.signal}`;
    throw new ToolError(withOutput(`bash: bash session terminated\nThe shell ended ${how}. ${lostShell}`, output));
  }
  if (result.code === 0) return output;
  if (output !== "") throw new ToolError(output);
  throw new ToolError(result.code === null ? `killed by ${result.signal}` : `exit ${result.code}`);
}

const lostShell = "The next command gets a fresh shell: directory, variables, functions and background jobs are gone, files are not.";

function withOutput(text: string, output: string): string {
  return output === "" ? text : `${text}\nOutput before that:\n${output}`;
}

/** The last part of what was written, without escape sequences and the line ends at its end. */
function shownOutput({ output, droppedBytes }: ShellResult): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(droppedBytes > 0 ? output.subarray(firstCharacter(output)) : output);
  const cut = droppedBytes > 0 || text.length > outputLimit;
  const shown = text.slice(-outputLimit).replace(escapeSequence, "").replace(/\n+$/u, "");
  return cut ? `[output truncated]\n${shown}` : shown;
}

/** Where the first whole UTF-8 character begins in bytes that were cut anywhere. */
function firstCharacter(bytes: Uint8Array): number {
  let index = 0;
  while (index < 3 && index < bytes.length && ((bytes[index] ?? 0) & 0xc0) === 0x80) index++;
  return index;
}
