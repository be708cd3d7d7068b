/** What an answer has to be: exactly this text, or one that matches. */
export interface Expected {
  readonly isError: boolean;
  readonly text: string | RegExp;
}

/** A difference that is wanted. It fails when either side changes. */
export interface Difference {
  readonly reason: string;
  readonly ours: Expected;
  readonly theirs: Expected;
}

const error = (text: string | RegExp): Expected => ({ isError: true, text });
const fine = (text: string | RegExp): Expected => ({ isError: false, text });

const freshShell = "The next command gets a fresh shell: directory, variables, functions and background jobs are gone, files are not.";
const terminated = error("bash: bash session terminated");
const timedOut = error("bash: bash command timed out after 1500ms");

const told = "what was lost, and what was written before, is told: the model need not guess";
const ended = (how: string, output?: string): Difference => ({
  reason: told,
  ours: error(
    `bash: bash session terminated\nThe shell ended ${how}. ${freshShell}${output === undefined ? "" : `\nOutput before that:\n${output}`}`,
  ),
  theirs: terminated,
});

const survives = "the command's own mistake neither ends the shell nor hangs it: its text and its status travel apart from it";
const survived = (ours: Expected, theirs: Expected): Difference => ({ reason: survives, ours, theirs });

export const differences: Readonly<Record<string, Difference>> = {
  "bash: a syntax error": survived(error(/^\/bin\/bash: eval: line \d+: syntax error near unexpected token `then'/u), terminated),
  "bash: a syntax error in a line of several": survived(error(/^before\n\/bin\/bash: eval: line \d+: syntax error near/u), terminated),
  "bash: an unexpected closing bracket": survived(error(/^\/bin\/bash: eval: line \d+: syntax error near unexpected token `\)'/u), terminated),
  "bash: an unbalanced quote": survived(error(/^\/bin\/bash: eval: line \d+: unexpected EOF while looking for matching `''$/u), timedOut),
  "bash: a here-document without its end": survived(fine(/warning: here-document at line \d+ delimited by end-of-file .*\nopen$/u), timedOut),
  "bash: an open brace": survived(error(/^\/bin\/bash: eval: line \d+: syntax error: unexpected end of file$/u), timedOut),
  "bash: a division by zero": survived(error(/^\/bin\/bash: line \d+: 1\/0: division by 0/u), timedOut),
  "bash: a bad substitution": survived(error(/^\/bin\/bash: line \d+: \$\{a b\}: bad substitution$/u), timedOut),
  "bash: a change of a readonly variable": survived(error(/^\/bin\/bash: line \d+: RO: readonly variable$/u), timedOut),
  "bash: a comment only": survived(fine("(no output)"), terminated),
  "bash: a backslash at the end": survived(fine("a \\"), timedOut),
  "bash: a redirection of the shell itself": survived(fine("(no output)"), timedOut),
  "bash: after a redirection of the shell itself": {
    reason: "the shell lives on, so what it was told to do with its output still holds",
    ours: fine("(no output)"),
    theirs: fine("again in /workspace"),
  },
  "bash: a time-out": {
    reason: told,
    ours: error(`bash: bash command timed out after 400ms\n${freshShell}\nOutput before that:\nbefore`),
    theirs: error("bash: bash command timed out after 400ms"),
  },
  "bash: exit 3": ended("with exit code 3", "bye"),
  "bash: exit 0": ended("with exit code 0"),
  "bash: the shell kills itself": ended("by SIGKILL"),
  "bash: exec of a program": ended("with exit code 0", "replaced"),
  "bash: set -e and a failure": ended("with exit code 1"),
  "bash: the trap and exit": ended("with exit code 5", "trapped"),
  "bash: more output than is shown": {
    reason: "the last 102,400 UTF-16 units of the output, where the official worker counts its own marker among them",
    ours: fine(/^\[output truncated\]\n0123456789\n[\d\n]*END$/u),
    theirs: fine(/^\[output truncated\]\n123456789\n[\d\n]*END$/u),
  },
  "read: bytes that are no text": {
    reason: "U+FFFD in their place would be written back by an edit",
    ours: error(/^read: binary is not valid UTF-8/u),
    theirs: fine("\uFFFD\uFFFD"),
  },
  "read: a path that is too long": {
    reason: "a path is followed a directory at a time, so that no link can be swapped, and its length as a whole has no limit",
    ours: error(/^read: (?:d\/){2500}x: no such file or directory$/u),
    theirs: error(/^path "(?:d\/){2500}x": file name too long$/u),
  },
  "read: a NUL in the path": {
    reason: "it says what is wrong, and not what Node calls it",
    ours: error("read: a path holds a NUL character"),
    theirs: error('path "a\\u0000b": i/o error (ERR_INVALID_ARG_VALUE)'),
  },
  "write: a NUL in the path": {
    reason: "it says what is wrong, and not what Node calls it",
    ours: error("write: a path holds a NUL character"),
    theirs: error('path "a\\u0000b": i/o error (ERR_INVALID_ARG_VALUE)'),
  },
  "write: over the work directory": {
    reason: "the path is to blame, and not the directory above it",
    ours: error("write: .: is a directory"),
    theirs: error("write: .: permission denied"),
  },
  "write: over a FIFO": {
    reason: "a FIFO that somebody made is not silently replaced by a file",
    ours: error("write: fifo is not a regular file"),
    theirs: fine("wrote 1 bytes to fifo"),
  },
  "write: below a file": {
    reason: "it says what is wrong, and not which call failed",
    ours: error("write: old/file: not a directory"),
    theirs: error("write: old/file: i/o error (EEXIST)"),
  },
  "glob: everything": {
    reason: "`**` follows no link: what lies behind it has a path of its own, and links can lead in circles",
    ours: fine(/^(?!(?:.|\n)*srclink)(?:.|\n)*\/workspace\/src\/f1\.ts$/u),
    theirs: fine(/^(?:.|\n)*\/workspace\/srclink\/f1\.ts\n(?:.|\n)*$/u),
  },
  "glob: an extended pattern": {
    reason: "`@(…)` is meant literally, as in a shell and in ripgrep unless told otherwise; `{a,b}` says the same",
    ours: fine("no matches"),
    theirs: fine("/workspace/src/f3.ts\n/workspace/src/f1.ts"),
  },
  "glob: a negated extended pattern": {
    reason: "`!(…)` is meant literally, as in a shell and in ripgrep unless told otherwise",
    ours: fine("no matches"),
    theirs: fine("/workspace/src/f3.ts\n/workspace/src/f2.ts"),
  },
  "glob: brackets in a name": {
    reason: "a backslash takes the next character's meaning, so that every name can be given",
    ours: fine("/workspace/odd [dir]/a file.txt"),
    theirs: fine("no matches"),
  },
  "grep: in what is not there": {
    reason: "the path as it was given, in the words of the other tools",
    ours: error("grep: missing: no such file or directory"),
    theirs: error("grep: rg failed: /workspace/missing: No such file or directory (os error 2)\n"),
  },
  "grep: a path below a file": {
    reason: "the path as it was given, in the words of the other tools",
    ours: error("grep: lines.txt/x: not a directory"),
    theirs: error("grep: rg failed: /workspace/lines.txt/x: Not a directory (os error 20)\n"),
  },
};
