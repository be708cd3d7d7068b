/** Exit codes of `glovebox`, and what they mean; `--help` prints them. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  timedOut: 124,
  gloveboxFailed: 125,
  notExecutable: 126,
  notFound: 127,
} as const;

/** As printed by `glovebox --help`. */
export const exitCodeTexts: readonly (readonly [code: string, text: string])[] = [
  ["0", "done"],
  ["1", "it failed; the reason stands on stderr"],
  ["2", "the arguments, environment or configuration are wrong; nothing was done"],
  ["128+N", "ended by signal N (130: Ctrl-C, 143: SIGTERM)"],
];

/** Exit codes of `glovebox worker`, which serves until it is stopped. */
export const workerExitCodeTexts: readonly (readonly [code: string, text: string])[] = [["0", "stopped in order"], ...exitCodeTexts.slice(1)];

/** Codes of `glovebox exec` beyond those of the program itself; the same as those of `docker run` and `timeout`. */
export const execExitCodeTexts: readonly (readonly [code: string, text: string])[] = [
  ["0 to 255", "the program's own"],
  ["128+N", "signal N ended the program"],
  ["124", "--timeout ran out"],
  ["125", "glovebox itself failed: no engine, no such sandbox, lost connection"],
  ["126", "the program could not be started"],
  ["127", "the program was not found"],
  ["2", "wrong arguments (before anything ran)"],
];

/** Exit codes of `glovebox shell`. */
export const shellExitCodeTexts: readonly (readonly [code: string, text: string])[] = [
  ["0 to 255", "the script's own, or that of the last command"],
  ["128+N", "signal N ended it"],
  ["125", "glovebox itself failed: no engine, no such sandbox, lost connection"],
  ["2", "wrong arguments (before anything ran)"],
];

/** Something that the user can put right in the arguments, the environment or the configuration. Ends the command with exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** An expected failure whose message is for the user as it stands. Ends the command with `exitCode`. */
export class CommandError extends Error {
  override readonly name = "CommandError";
  readonly exitCode: number;

  constructor(message: string, options: ErrorOptions & { readonly exitCode?: number } = {}) {
    super(message, options);
    this.exitCode = options.exitCode ?? exitCodes.failed;
  }
}
