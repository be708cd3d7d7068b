/** What passes between a sandbox's process and the threads that run programs; both sides check what they get. */

/** What a shell hands on from one command to the next. */
export interface ShellState {
  readonly cwd: string;
  readonly variables: readonly { readonly name: string; readonly value: string; readonly exported: boolean }[];
  /** Source text by name. */
  readonly functions: readonly { readonly name: string; readonly source: string }[];
}

/** One program or shell command to run. */
export interface RunMessage {
  readonly kind: "run";
  /** New for each run; file calls that carry another are refused. */
  readonly run: number;
  /** A program's `argv`, or the text of a shell command with what its shell has. */
  readonly program: { readonly argv: readonly string[] } | { readonly command: string; readonly state: ShellState };
  readonly cwd: string;
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly stdin: Uint8Array;
  /** stderr into stdout, in the order written. */
  readonly merge: boolean;
  readonly output?: { readonly maxBytes: number; readonly keep: "head" | "tail" };
}

export type AnswerMessage =
  | { readonly kind: "answer"; readonly request: number; readonly ok: true; readonly value: unknown }
  | { readonly kind: "answer"; readonly request: number; readonly ok: false; readonly errno: string; readonly text: string };

export type ToThread = RunMessage | AnswerMessage;

/** The file calls that just-bash makes, by their names in its `IFileSystem`, and how many arguments each has. */
export const fileOperations = {
  readFileBuffer: 1,
  writeFile: 2,
  appendFile: 2,
  exists: 1,
  stat: 1,
  lstat: 1,
  mkdir: 2,
  readdirWithFileTypes: 1,
  rm: 3,
  cp: 3,
  mv: 2,
  chmod: 2,
  symlink: 2,
  link: 2,
  readlink: 1,
  realpath: 1,
  utimes: 2,
} as const;

export type FileOperation = keyof typeof fileOperations;
export type FileArgument = string | number | boolean | Uint8Array;

export interface FileMessage {
  readonly kind: "file";
  readonly run: number;
  readonly request: number;
  readonly operation: FileOperation;
  readonly arguments: readonly FileArgument[];
}

export interface EndedMessage {
  readonly kind: "ended";
  readonly run: number;
  readonly code: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly droppedBytes: { readonly stdout: number; readonly stderr: number };
  /** Of a shell command that left its shell alive. */
  readonly state?: ShellState;
}

export type FromThread = { readonly kind: "ready"; readonly commands: readonly string[] } | FileMessage | EndedMessage;

/** Every member that a message may have, not looked at yet. */
type Fields = {
  readonly [
    Name in
      | keyof RunMessage
      | keyof EndedMessage
      | keyof FileMessage
      | keyof ShellState
      | "ok"
      | "errno"
      | "text"
      | "commands"
      | "name"
      | "value"
      | "exported"
      | "source"
      | "argv"
      | "command"
  ]?: unknown;
};

const isFields = (value: unknown): value is Fields => typeof value === "object" && value !== null;
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isText = (value: unknown): value is string => typeof value === "string";
const isListOf = <Item>(value: unknown, item: (each: unknown) => each is Item): value is Item[] => Array.isArray(value) && value.every(item);
const isArgument = (value: unknown): value is FileArgument =>
  isText(value) || typeof value === "number" || typeof value === "boolean" || value instanceof Uint8Array;

function isState(value: unknown): value is ShellState {
  return (
    isFields(value) &&
    isText(value.cwd) &&
    value.cwd.startsWith("/") &&
    isListOf(value.variables, (each): each is ShellState["variables"][number] => {
      return isFields(each) && isText(each.name) && /^[A-Za-z_]\w*$/u.test(each.name) && isText(each.value) && typeof each.exported === "boolean";
    }) &&
    isListOf(value.functions, (each): each is ShellState["functions"][number] => isFields(each) && isText(each.name) && isText(each.source))
  );
}

/** What a thread said. @returns `undefined` for anything else: the thread is not to be trusted any more */
export function fromThread(value: unknown): FromThread | undefined {
  if (!isFields(value)) return undefined;
  if (value.kind === "ready") return isListOf(value.commands, isText) ? (value as unknown as FromThread) : undefined;
  if (!isCount(value.run)) return undefined;
  if (value.kind === "file") {
    const { operation } = value;
    if (!isCount(value.request) || !isText(operation) || !Object.hasOwn(fileOperations, operation)) return undefined;
    if (!isListOf(value.arguments, isArgument) || value.arguments.length !== fileOperations[operation as FileOperation]) return undefined;
    return value as unknown as FileMessage;
  }
  if (value.kind !== "ended" || !isCount(value.code) || !(value.stdout instanceof Uint8Array) || !(value.stderr instanceof Uint8Array))
    return undefined;
  if (!isFields(value.droppedBytes) || !isCount(value.droppedBytes.stdout) || !isCount(value.droppedBytes.stderr)) return undefined;
  if (value.state !== undefined && !isState(value.state)) return undefined;
  return value as unknown as EndedMessage;
}

/** What a thread was told. @throws {TypeError} anything else */
export function toThread(value: unknown): ToThread {
  if (isFields(value)) {
    if (value.kind === "answer" && isCount(value.request)) {
      if (value.ok === true || (value.ok === false && isText(value.errno) && isText(value.text))) return value as unknown as AnswerMessage;
    }
    if (value.kind === "run" && isCount(value.run) && isFields(value.program) && isText(value.cwd) && isFields(value.env)) {
      const { program } = value;
      const runnable = isListOf(program.argv, isText) || (isText(program.command) && isState(program.state));
      if (runnable && value.stdin instanceof Uint8Array && typeof value.merge === "boolean") return value as unknown as RunMessage;
    }
  }
  throw new TypeError("a message of another kind");
}
