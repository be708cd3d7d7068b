import { LineCounter, parseDocument, type Document } from "yaml";
import { z } from "zod";
import type { Expectation, Script } from "./script.ts";

/** A script that is not one. The message names each wrong value by its path and, for text, its line. */
export class ScriptError extends Error {
  override readonly name = "ScriptError";
}

const duration = z.number().min(0);
const fields = z.record(z.string(), z.unknown());
const expression = z.string().refine(isExpression, "is not a regular expression");

const expectation = z.strictObject({
  equals: z.string().optional(),
  contains: z.union([z.string(), z.array(z.string())]).optional(),
  matches: z.union([expression, z.instanceof(RegExp)]).optional(),
  isError: z.boolean().optional(),
  outcome: z.enum(["open", "result", "denied", "interrupted", "dropped"]).optional(),
  check: z.custom<NonNullable<Expectation["check"]>>((value) => typeof value === "function", "must be a function").optional(),
});

const call = z
  .strictObject({
    name: z.string().min(1),
    input: fields.optional(),
    kind: z.enum(["agent", "custom", "mcp"]).optional(),
    thread: z.string().min(1).optional(),
    permission: z.string().min(1).optional(),
    confirm: z.strictObject({ result: z.enum(["allow", "deny"]), denyMessage: z.string().optional(), afterMs: duration.optional() }).optional(),
    answer: z
      .strictObject({ by: z.enum(["server", "application"]), text: z.string(), isError: z.boolean().optional(), afterMs: duration.optional() })
      .optional(),
    expect: expectation.optional(),
  })
  .refine((value) => value.confirm === undefined || !["allow", "deny", "absent", undefined].includes(value.permission), {
    message: "goes only with a permission that gates: ask, or an unknown one",
    path: ["confirm"],
  })
  .refine((value) => value.kind !== "mcp" || value.answer?.by !== "application", {
    message: "an mcp call is answered by the server only",
    path: ["answer", "by"],
  });

const turn = z.strictObject({
  user: z.string().optional(),
  pauseMs: duration.optional(),
  thinking: z.boolean().optional(),
  message: z.string().optional(),
  events: z.array(z.looseObject({ type: z.string().min(1) })).optional(),
  calls: z.array(call).optional(),
  terminateThreads: z.array(z.string()).optional(),
  idleDelayMs: duration.optional(),
  interrupt: z.strictObject({ afterSettled: z.int().min(0).optional(), afterMs: duration.optional(), thread: z.string().optional() }).optional(),
  idle: z
    .looseObject({ type: z.string().min(1) })
    .refine((value) => value.type !== "requires_action", "open calls cause it by themselves")
    .optional(),
  stopDetails: fields.optional(),
  end: z.enum(["terminated", "deleted"]).optional(),
});

const store = z.strictObject({
  name: z.string().min(1),
  description: z.string().optional(),
  access: z.enum(["read_write", "read_only"]).optional(),
  instructions: z.string().optional(),
  memories: z.record(z.string().startsWith("/"), z.string()).optional(),
});

const skill = z.strictObject({
  name: z.string().min(1),
  description: z.string().optional(),
  files: z
    .record(
      z.string().min(1),
      z.union([z.string(), z.strictObject({ content: z.union([z.string(), z.instanceof(Uint8Array)]), executable: z.boolean().optional() })]),
    )
    .optional(),
});

const script = z.strictObject({
  name: z.string().optional(),
  memoryStores: z.array(store).optional(),
  skills: z.array(skill).optional(),
  turns: z.array(turn),
});

/** @throws {ScriptError} naming each wrong value by its path */
export function checkScript(value: unknown): asserts value is Script {
  const problems = problemsOf(value);
  if (problems.length > 0) throw new ScriptError(problems.map(({ path, message }) => `script${pathText(path)}: ${message}`).join("\n"));
}

/**
 * Read a script from YAML (or JSON).
 * @param options.file named in errors. Default `script`
 * @throws {ScriptError} one line for each problem: `file:line:column: path: what is wrong`
 */
export function parseScript(text: string, options: { readonly file?: string } = {}): Script {
  const file = options.file ?? "script";
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines });
  const place = (offset: number): string => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${line}:${col}`;
  };
  if (document.errors.length > 0) {
    throw new ScriptError(document.errors.map((error) => `${place(error.pos[0])}: ${error.message.split("\n")[0] ?? error.code}`).join("\n"));
  }
  const value: unknown = document.toJS();
  const problems = problemsOf(value);
  if (problems.length === 0) return value as Script;
  throw new ScriptError(
    problems.map(({ path, message }) => `${place(offsetOf(document, path))}: ${pathText(path).slice(1) || "script"}: ${message}`).join("\n"),
  );
}

interface Problem {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

function problemsOf(value: unknown): readonly Problem[] {
  const { error } = script.safeParse(value);
  return error === undefined ? [] : error.issues.map(({ path, message }) => ({ path, message }));
}

/** Where the value at `path` stands; for one that is missing, the nearest that is there. */
function offsetOf(document: Document, path: readonly PropertyKey[]): number {
  for (let length = path.length; length > 0; length--) {
    const node: unknown = document.getIn(path.slice(0, length), true);
    const range = typeof node === "object" && node !== null && "range" in node ? node.range : undefined;
    if (Array.isArray(range) && typeof range[0] === "number") return range[0];
  }
  return 0;
}

function pathText(path: readonly PropertyKey[]): string {
  return path.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`)).join("");
}

function isExpression(source: string): boolean {
  try {
    RegExp(source);
    return true;
  } catch {
    return false;
  }
}
