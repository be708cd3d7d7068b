import { SandboxError } from "@glovebox/core";
import type { Sandbox } from "@glovebox/core";
import { z } from "zod";
import type { ResultBlock } from "../content.ts";

/** What a tool says: text, or blocks; `isError` tells the model that it failed. */
export type ToolOutput = string | readonly ResultBlock[] | { readonly content: string | readonly ResultBlock[]; readonly isError?: boolean };

export interface CustomToolContext {
  /** Aborts at the time-out, an interrupt, the session's end or a shutdown. A tool that ignores it is abandoned 2 s later. */
  readonly signal: AbortSignal;
  readonly sessionId: string;
  /** The id of the call's event: the same when the call is tried again, so it can serve as an idempotency key. */
  readonly callId: string;
  /** The session's sandbox, made when it is first asked for. Borrowed. */
  sandbox(): Promise<Sandbox>;
}

/**
 * A tool that the application declares on its agent (`{ type: "custom" }`) and that runs in the worker's process, outside of every
 * sandbox. Calls of different sessions, and of different threads of one, overlap. A throw is an error result `Error: <message>`; to choose the text, return `{ content, isError: true }`.
 */
export interface CustomTool<Input = never> {
  /** 1 to 128 of `[A-Za-z0-9_-]`. */
  readonly name: string;
  /** What does not match is answered with an error result for the model, and `run` is not called. */
  readonly inputSchema: z.ZodType<Input> | JsonSchema;
  /** Changes nothing, so that it may run beside other calls that only read. Default false. */
  readonly readOnly?: boolean;
  run(input: Input, context: CustomToolContext): Promise<ToolOutput> | ToolOutput;
}

/** As declared on the agent: `{ type: "object", … }`. */
export type JsonSchema = { readonly type: "object" } & Readonly<Record<string, unknown>>;

/** A custom tool with its input's type taken from its zod schema. */
export function customTool<Input>(tool: CustomTool<Input>): CustomTool {
  return tool as CustomTool;
}

/** A tool by name, with its schema ready. */
export interface PreparedCustomTool {
  readonly tool: CustomTool;
  readonly schema: z.ZodType<never>;
}

/** @throws {SandboxError} `invalid_argument`: a name that is taken or no name, or a schema that is none */
export function prepareCustomTools(tools: readonly CustomTool[]): ReadonlyMap<string, PreparedCustomTool> {
  const prepared = new Map<string, PreparedCustomTool>();
  for (const tool of tools) {
    const wrong = (what: string, cause?: unknown): SandboxError =>
      new SandboxError("invalid_argument", `custom tool ${JSON.stringify(tool.name)}: ${what}`, { effect: "none", cause });
    if (!/^[A-Za-z0-9_-]{1,128}$/u.test(tool.name)) throw wrong("give a name of 1 to 128 characters of A-Z, a-z, 0-9, _ and -");
    if (prepared.has(tool.name)) throw wrong("registered twice");
    try {
      prepared.set(tool.name, {
        tool,
        schema: (isZod(tool.inputSchema) ? tool.inputSchema : z.fromJSONSchema(tool.inputSchema)) as z.ZodType<never>,
      });
    } catch (cause) {
      throw wrong("its inputSchema is neither a zod schema nor a JSON schema that can be checked", cause);
    }
  }
  return prepared;
}

function isZod(schema: z.ZodType<never> | JsonSchema): schema is z.ZodType<never> {
  return "safeParse" in schema && typeof schema.safeParse === "function";
}
