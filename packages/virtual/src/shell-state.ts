import { parse, serialize } from "just-bash";
import type { ShellState } from "./messages.ts";

/** The command by which the script of a shell hands its state over once the user's command is done. */
export const keepCommand = "glovebox-keep-state";

/** Set by the shell itself, so not handed on. */
const ownVariables = new Set([
  "BASHOPTS",
  "BASHPID",
  "BASH_VERSION",
  "EUID",
  "HOSTNAME",
  "HOSTTYPE",
  "LINENO",
  "MACHTYPE",
  "OPTIND",
  "OSTYPE",
  "PIPESTATUS",
  "PPID",
  "PWD",
  "RANDOM",
  "SECONDS",
  "SHELLOPTS",
  "SHLVL",
  "UID",
  "_",
]);

const identifier = /^[A-Za-z_][A-Za-z0-9_]*$/u;

/** One word of shell source that says exactly `text`. */
export const quote = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** Run `argv`, its first word a program and never a keyword, alias or function. */
export const programScript = (argv: readonly string[], merge: boolean): string => `${merge ? "exec 2>&1\n" : ""}${argv.map(quote).join(" ")}`;

/** Restore the state, run the command, hand the state over. Not reached by `exit`: then the shell is gone, as it would be. */
export function shellScript(command: string, state: ShellState): string {
  const lines = [
    ...state.functions.map(({ source }) => source),
    ...state.variables.map(({ name, value, exported }) => `${exported ? "export " : ""}${name}=${quote(value)}`),
    "exec 2>&1",
    `eval ${quote(command)}`,
    `/usr/bin/${keepCommand} "$?"`,
  ];
  return lines.join("\n");
}

/** Variables that go on: of the names that a shell can write, without arrays and what the shell sets itself. */
export function keptVariables(env: Iterable<readonly [string, string]>, exported: Readonly<Record<string, string>>): ShellState["variables"] {
  return [...env]
    .filter(([name]) => identifier.test(name) && !ownVariables.has(name))
    .map(([name, value]) => ({ name, value, exported: Object.hasOwn(exported, name) }));
}

/**
 * Functions that a shell has after a command: those it had, and those whose definition stands in the command's own text.
 * What `eval` or `source` defines is not found, because just-bash does not tell a function's body.
 */
export function keptFunctions(command: string, before: ShellState["functions"]): ShellState["functions"] {
  const found = new Map(before.map(({ name, source }) => [name, source]));
  try {
    collect(parse(command), found);
  } catch {
    return before; // a command that cannot be parsed defined nothing
  }
  return [...found].map(([name, source]) => ({ name, source }));
}

/** Why a command cannot be parsed, if it cannot: just-bash would give up the script around it too. */
export function parseFailure(command: string): string | undefined {
  try {
    parse(command);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

function collect(node: unknown, found: Map<string, string>): void {
  if (Array.isArray(node)) {
    for (const each of node) collect(each, found);
    return;
  }
  if (typeof node !== "object" || node === null) return;
  const fields = node as Readonly<Record<string, unknown>>;
  if (fields["type"] === "FunctionDef" && typeof fields["name"] === "string") {
    const statement = { type: "Statement", pipelines: [{ type: "Pipeline", commands: [node], negated: false }], operators: [], background: false };
    found.set(fields["name"], serialize({ type: "Script", statements: [statement] } as unknown as Parameters<typeof serialize>[0]));
    return;
  }
  if (fields["type"] === "Subshell") return; // what it defines ends with it
  for (const value of Object.values(fields)) collect(value, found);
}
