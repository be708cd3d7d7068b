import { SandboxError } from "@glovebox/core";
import { type Command, type CommandContext, type CommandInput, Interruption } from "./command.ts";
import { commands } from "./commands/index.ts";
import { CommandError, exitCodes, UsageError } from "./failure.ts";
import { type FlagTable, parseFlags } from "./flags.ts";
import { commandHelp, mainHelp } from "./help.ts";
import { redactor } from "./redact.ts";
import { sanitiseText } from "./sanitise.ts";
import { suggest } from "./suggest.ts";

/** Which command the arguments name, or what to say instead. */
type Selection = { readonly command: Command; readonly args: readonly string[] } | { readonly help: string };

/** @throws {UsageError} an unknown command */
function select(args: readonly string[]): Selection {
  const [first, second] = args;
  if (first === undefined || first === "--help" || first === "-h" || (first === "help" && second === undefined)) return { help: mainHelp(commands) };
  if (first === "help") return { help: commandHelp(find(second ?? "")) };
  if (first === "--version" || first === "-V") return { command: find("version"), args: args.slice(1) };
  const command = find(first);
  const rest = args.slice(1);
  const end = rest.indexOf("--");
  const own = end === -1 ? rest : rest.slice(0, end);
  return own.includes("--help") || own.includes("-h") ? { help: commandHelp(command) } : { command, args: rest };
}

function find(name: string): Command {
  const found = commands.find((command) => command.name === name);
  if (found !== undefined) return found;
  const what = name.startsWith("-") ? "flag" : "command";
  const hint = suggest(
    name,
    commands.map((command) => command.name),
    (known) => `glovebox ${known}`,
  );
  throw new UsageError(`unknown ${what} ${name}${hint}\nglovebox --help lists the commands`);
}

/**
 * Run one command.
 * @returns the exit code; failures were told on stderr
 */
export async function run(
  args: readonly string[],
  context: CommandContext,
  onSelected: (command: Command) => void = () => undefined,
): Promise<number> {
  let name: string | undefined;
  try {
    const selection = select(args);
    if ("help" in selection) {
      context.stdout.write(selection.help);
      return exitCodes.done;
    }
    const { command } = selection;
    name = command.name;
    onSelected(command);
    // a program that lacks its -- comes with its own flags, which are none of ours
    const parsed = parseFlags(command.flags, selection.args, context.env, { endAtPositional: command.takesRest === true });
    checkPositionals(command, parsed.positionals, parsed.rest);
    return await command.run({ ...parsed, flags: parsed.values as CommandInput<FlagTable>["flags"] }, context);
  } catch (error) {
    const interrupted = context.signal.aborted && (error === context.signal.reason || isAbort(error)) ? context.signal.reason : undefined;
    if (interrupted instanceof Interruption) return interrupted.exitCode;
    const message = redactor(context.env, args)(explain(error));
    context.stderr.write(`glovebox${name === undefined ? "" : ` ${name}`}: ${sanitiseText(message)}\n`);
    if (error instanceof UsageError && name !== undefined) context.stderr.write(`glovebox ${name} --help lists the flags\n`);
    return exitCodeOf(error);
  }
}

function checkPositionals({ name, positionals, takesRest }: Command, given: readonly string[], rest: readonly string[] | undefined): void {
  if (given.length < positionals.min) throw new UsageError(`${positionals.name} is missing`);
  if (given.length > positionals.max) {
    const [extra = ""] = given.slice(positionals.max);
    const hint = takesRest ? `; put -- before the program: glovebox ${name} -- ${given.join(" ")}` : "";
    throw new UsageError(`unexpected argument ${JSON.stringify(extra)}${hint}`);
  }
  if (rest !== undefined && !takesRest) throw new UsageError("nothing may follow --");
}

/** What a provider or the worker finds wrong in a value that it was given is the user's to put right, as what the command itself finds. */
function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError || (SandboxError.is(error) && error.code === "invalid_argument" && error.effect === "none")) return exitCodes.usage;
  return error instanceof CommandError ? error.exitCode : exitCodes.failed;
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === "AbortError";
}

/** What went wrong, for the user: our own errors as they stand, with their causes; a stack only for what is a bug. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const expected = SandboxError.is(error) || error instanceof UsageError || error instanceof CommandError;
  const own = expected ? error.message : (error.stack ?? error.message);
  const cause = error.cause instanceof Error && !error.message.includes(error.cause.message) ? `\n  because: ${error.cause.message}` : "";
  return `${own}${cause}`;
}
