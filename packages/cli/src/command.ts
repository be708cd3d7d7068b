import type { Readable, Writable } from "node:stream";
import type { FlagTable, FlagValues, Parsed } from "./flags.ts";

/** What a command may touch of the process that it runs in. */
export interface CommandContext {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  readonly stdin: Readable & { readonly isTTY?: boolean };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number };
  readonly stderr: Writable & { readonly isTTY?: boolean };
  /** Aborted by the first SIGINT, SIGTERM or SIGHUP, or when the reader of stdout went away, with an {@link Interruption}. */
  readonly signal: AbortSignal;
  /** Called at each of these signals, the first included, until the process ends; see {@link Command.patience}. */
  readonly onInterrupt: (handler: (interruption: Interruption) => void) => void;
}

/** What can end a command early; `SIGPIPE` when the reader of stdout went away. */
export type SignalName = "SIGINT" | "SIGTERM" | "SIGHUP" | "SIGPIPE";

/** Why {@link CommandContext.signal} was aborted. */
export class Interruption extends Error {
  override readonly name = "Interruption";
  readonly signalName: SignalName;

  constructor(signalName: SignalName) {
    super(`stopped by ${signalName}`);
    this.signalName = signalName;
  }

  /** 128 + the signal's number, as shells report it. */
  get exitCode(): number {
    return { SIGHUP: 129, SIGINT: 130, SIGPIPE: 141, SIGTERM: 143 }[this.signalName];
  }
}

/** Arguments as a command gets them. */
export interface CommandInput<Table extends FlagTable> extends Omit<Parsed, "values"> {
  readonly flags: FlagValues<Table>;
}

/** A command as data, and what it does. */
export interface CommandDefinition<Table extends FlagTable> {
  readonly name: string;
  /** One line, without a full stop. */
  readonly summary: string;
  /** What follows `glovebox NAME`, once for each form. */
  readonly usage: readonly string[];
  /** Paragraphs for `--help`. */
  readonly details: readonly string[];
  /** A file that the command reads, shown after the details as it is. */
  readonly example?: { readonly title: string; readonly text: string };
  readonly flags: Table;
  /** How many arguments it takes besides flags. */
  readonly positionals: { readonly min: number; readonly max: number; readonly name: string };
  /** Whether a program may follow `--`. */
  readonly takesRest?: true;
  /** Lines of the help text's table of exit codes; absent: those that hold for all commands. */
  readonly exitCodes?: readonly (readonly [code: string, text: string])[];
  /** How many signals it handles by itself; the next one ends the process at once. Default 1. */
  readonly patience?: number;
  /**
   * @returns the exit code
   * @throws {UsageError} ends with 2. {CommandError} ends with its own code. Anything else ends with 1
   */
  readonly run: (input: CommandInput<Table>, context: CommandContext) => Promise<number>;
}

/** A command whose table of flags is nobody else's business. */
export type Command = CommandDefinition<FlagTable>;

/** Ties the flags' types to `run`, and then forgets them. */
export function defineCommand<const Table extends FlagTable>(definition: CommandDefinition<Table>): Command {
  return {
    ...definition,
    // the parser fills `flags` from this very table
    run: (input, context) => definition.run(input as unknown as CommandInput<Table>, context),
  };
}
