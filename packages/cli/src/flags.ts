import { parseDuration } from "./duration.ts";
import { UsageError } from "./failure.ts";
import { suggest } from "./suggest.ts";

interface FlagBase {
  /** One character, given as `-x`. */
  readonly short?: string;
  /** What stands for the value in the help text, such as `PATH`. */
  readonly value?: string;
  /** Environment variable that is read when the flag is absent; an empty one counts as unset. */
  readonly env?: string;
  /** What holds when neither is given, for the help text. */
  readonly fallback?: string;
  /** One line for the help text. */
  readonly text: string;
}

/** A flag as data: the parser and the help text read the same table. */
export type Flag =
  | (FlagBase & { readonly kind: "switch" | "text" | "duration" | "count" | "pairs" })
  | (FlagBase & { readonly kind: "choice"; readonly choices: readonly string[] })
  /** Known from elsewhere and refused here; `text` says what to use instead. */
  | { readonly kind: "refused"; readonly text: string };

export type FlagTable = Readonly<Record<string, Flag>>;

/** What a table of flags parses to. Durations are milliseconds; an absent flag is `undefined`, an absent switch `false`. */
export type FlagValues<Table extends FlagTable> = {
  readonly [Name in keyof Table as Table[Name]["kind"] extends "refused" ? never : Name]: Table[Name] extends {
    readonly kind: "choice";
    readonly choices: readonly (infer Choice)[];
  }
    ? Choice | undefined
    : Table[Name]["kind"] extends "switch"
      ? boolean
      : Table[Name]["kind"] extends "text"
        ? string | undefined
        : Table[Name]["kind"] extends "pairs"
          ? Readonly<Record<string, string>>
          : number | undefined;
};

export interface Parsed {
  readonly values: Readonly<Record<string, unknown>>;
  /** Names of the flags that stood in the arguments themselves, so not from the environment. */
  readonly given: ReadonlySet<string>;
  readonly positionals: readonly string[];
  /** What follows `--`, or `undefined` without one. */
  readonly rest: readonly string[] | undefined;
}

/**
 * Read arguments by a table.
 * @param env where flags with `env` look when they are absent
 * @param options `endAtPositional`: from the first positional up to `--` all is positional, whatever it looks like. Default false
 * @throws {UsageError} an unknown or refused flag, a missing, wrong or repeated value
 */
export function parseFlags(
  table: FlagTable,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  { endAtPositional = false }: { readonly endAtPositional?: boolean } = {},
): Parsed {
  const raw = new Map<string, string[]>();
  const positionals: string[] = [];
  let rest: readonly string[] | undefined;
  for (let index = 0; index < args.length; index++) {
    const argument = args[index] ?? "";
    if (argument === "--") {
      rest = args.slice(index + 1);
      break;
    }
    if (!argument.startsWith("-") || argument === "-" || (endAtPositional && positionals.length > 0)) {
      positionals.push(argument);
      continue;
    }
    const equals = argument.startsWith("--") ? argument.indexOf("=") : -1;
    const spelled = equals === -1 ? argument : argument.slice(0, equals);
    const name = nameOf(table, spelled);
    const flag = table[name];
    if (flag === undefined) continue;
    if (flag.kind === "refused") throw new UsageError(`${spelled} does not exist here: ${flag.text}`);
    const earlier = raw.get(name);
    if (earlier !== undefined && flag.kind !== "pairs") throw new UsageError(`${spelled} is given twice`);
    if (flag.kind === "switch") {
      if (equals !== -1) throw new UsageError(`${spelled} takes no value`);
      raw.set(name, ["true"]);
      continue;
    }
    const value = equals === -1 ? args[++index] : argument.slice(equals + 1);
    if (value === undefined || (equals === -1 && value === "--")) throw new UsageError(`${spelled} needs a value: ${spelled} ${placeholder(flag)}`);
    raw.set(name, [...(earlier ?? []), value]);
  }
  return { values: resolveValues(table, raw, env), given: new Set(raw.keys()), positionals, rest };
}

/** The name in the table of a flag as spelled on the command line. */
function nameOf(table: FlagTable, spelled: string): string {
  if (spelled.startsWith("--")) {
    const name = spelled.slice(2);
    if (Object.hasOwn(table, name)) return name;
    throw new UsageError(`unknown flag ${spelled}${suggest(name, Object.keys(table), (known) => `--${known}`)}`);
  }
  const name = Object.keys(table).find((known) => {
    const flag = table[known];
    return flag !== undefined && flag.kind !== "refused" && `-${flag.short ?? ""}` === spelled;
  });
  if (name !== undefined) return name;
  throw new UsageError(`unknown flag ${spelled}${suggest(spelled.slice(1), Object.keys(table), (known) => `--${known}`)}`);
}

function resolveValues(table: FlagTable, raw: ReadonlyMap<string, readonly string[]>, env: NodeJS.ProcessEnv): Readonly<Record<string, unknown>> {
  const values: Record<string, unknown> = {};
  for (const [name, flag] of Object.entries(table)) {
    if (flag.kind === "refused") continue;
    const fromEnv = flag.env === undefined ? undefined : env[flag.env];
    const given = raw.get(name);
    const texts = given ?? (fromEnv === undefined || fromEnv === "" ? [] : [fromEnv]);
    values[name] = convert(flag, texts, given === undefined && flag.env !== undefined ? flag.env : `--${name}`);
  }
  return values;
}

/** @param source what to name in an error: the flag or the variable */
function convert(flag: Exclude<Flag, { kind: "refused" }>, texts: readonly string[], source: string): unknown {
  if (flag.kind === "switch") return texts.length > 0;
  if (flag.kind === "pairs") return Object.fromEntries(texts.map((text) => pair(text, source)));
  const text = texts[0];
  if (text === undefined) return undefined;
  const wrong = (expected: string): UsageError => new UsageError(`${source}: ${JSON.stringify(text)} is ${expected}`);
  switch (flag.kind) {
    case "text":
      if (text === "") throw new UsageError(`${source} is empty; give ${placeholder(flag)}`);
      return text;
    case "choice":
      if (flag.choices.includes(text)) return text;
      throw wrong(`none of ${flag.choices.join(", ")}${suggest(text, flag.choices, (known) => known)}`);
    case "duration": {
      const milliseconds = parseDuration(text);
      if (milliseconds === undefined) throw wrong("no duration; write 500ms, 60s, 10m or 2h");
      return milliseconds;
    }
    default:
      if (/^[1-9][0-9]{0,8}$/u.test(text)) return Number(text);
      throw wrong("no positive whole number");
  }
}

function pair(text: string, source: string): [string, string] {
  const equals = text.indexOf("=");
  if (equals < 1) throw new UsageError(`${source}: ${JSON.stringify(text)} is not KEY=VALUE`);
  return [text.slice(0, equals), text.slice(equals + 1)];
}

const placeholders = { switch: "", refused: "", duration: "DURATION", count: "N", pairs: "KEY=VALUE", text: "TEXT" } as const;

/** What stands for the flag's value in texts for people; empty for a switch. */
export function placeholder(flag: Flag): string {
  if (flag.kind === "choice") return flag.choices.join("|");
  return (flag.kind === "refused" ? undefined : flag.value) ?? placeholders[flag.kind];
}
