import { z } from "zod";
import type { ShellResult } from "@glovebox/core";
import { restartKey } from "../routing.ts";
import { type AgentTool, ToolError, agentTool } from "./tool.ts";

/** UTF-16 units of output that the model gets: the last ones. Source: the official toolset. */
const outputLimit = 102_400;
/** What that many units can be in UTF-8. */
const outputLimitBytes = outputLimit * 3;
const shellName = "main";

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
  schema: z.object({ command: z.string().default(""), restart: z.boolean().default(false), timeout_ms: z.number().int().min(0).default(0) }),
  check: ({ command, restart }) => {
    if (command === "" && !restart) throw new ToolError("bash: command is required");
  },
  run: async ({ command, restart, timeout_ms: asked }, { sandbox, signal, timeoutMs, call, remark, replayed }) => {
    const shell = sandbox.shell(shellName);
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
  },
});

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
