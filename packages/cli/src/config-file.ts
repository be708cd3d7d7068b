import { access, readFile } from "node:fs/promises";
import { extname, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { isNode, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { UsageError } from "./failure.ts";
import { suggest } from "./suggest.ts";

/** Looked for in the current directory, in no order: two of them are refused. */
export const configFileNames: readonly string[] = ["glovebox.config.ts", "glovebox.config.js", "glovebox.config.yaml", "glovebox.config.yml"];

/** What a file says, and where. */
interface Document {
  readonly value: unknown;
  /** `:LINE:COLUMN` of a value, or of the nearest thing around it; empty where the format does not tell. */
  readonly position: (path: readonly PropertyKey[]) => string;
}

/**
 * Find the configuration.
 * @param given the `--config` flag
 * @returns an absolute path, or `undefined` when none was given and none is there
 * @throws {UsageError} the file given is not there; there are several
 */
export async function findConfigFile(cwd: string, given: string | undefined): Promise<string | undefined> {
  if (given !== undefined) {
    const path = resolve(cwd, given);
    if (await exists(path)) return path;
    throw new UsageError(`--config: there is no file ${path}`);
  }
  const present: string[] = [];
  for (const name of configFileNames) if (await exists(resolve(cwd, name))) present.push(name);
  if (present.length > 1) throw new UsageError(`${cwd} holds ${present.join(" and ")}; remove all but one, or name one with --config`);
  return present[0] === undefined ? undefined : resolve(cwd, present[0]);
}

/**
 * Read and check a configuration.
 * @param path absolute; `.ts` and `.js` export it as default, `.yaml` and `.yml` hold it
 * @throws {UsageError} one line for each wrong value: file, path of the value, what was expected
 */
export async function loadConfigFile<T>(path: string, schema: z.ZodType<T>, cwd: string): Promise<T> {
  const shown = relative(cwd, path).startsWith("..") ? path : relative(cwd, path);
  const document = [".yaml", ".yml"].includes(extname(path)) ? await readYaml(path, shown) : await importModule(path, shown);
  const parsed = schema.safeParse(document.value, { reportInput: true });
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.flatMap((issue) => describe(issue, []));
  throw new UsageError(problems.map(({ at, problem }) => `${shown}${document.position(at)}: ${spell(at)}: ${problem}`).join("\n"));
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

async function readYaml(path: string, shown: string): Promise<Document> {
  const lines = new LineCounter();
  const document = parseDocument(await readFile(path, "utf8"), { lineCounter: lines, uniqueKeys: true, prettyErrors: false });
  const [broken] = document.errors;
  if (broken !== undefined) {
    const { line, col } = lines.linePos(broken.pos[0]);
    throw new UsageError(`${shown}:${line}:${col}: ${broken.message}`);
  }
  const position = (at: readonly PropertyKey[]): string => {
    for (let length = at.length; length >= 0; length--) {
      const node = document.getIn(at.slice(0, length), true);
      if (isNode(node) && node.range) {
        const { line, col } = lines.linePos(node.range[0]);
        return `:${line}:${col}`;
      }
    }
    return "";
  };
  return { value: document.toJS({ maxAliasCount: 100 }) ?? {}, position };
}

async function importModule(path: string, shown: string): Promise<Document> {
  const loaded = await import(pathToFileURL(path).href).catch((cause: unknown) => {
    throw new UsageError(`${shown} cannot be loaded: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  });
  const value: unknown = (loaded as { readonly default?: unknown }).default;
  if (value === undefined) throw new UsageError(`${shown} has no default export; write \`export default defineConfig({ … })\``);
  return { value, position: () => "" };
}

interface Problem {
  readonly at: readonly PropertyKey[];
  readonly problem: string;
}

/** One zod issue in words; of a union, what is wrong with the branch that came furthest. */
function describe(issue: z.core.$ZodIssue, before: readonly PropertyKey[]): readonly Problem[] {
  const at = [...before, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({ at: [...at, key], problem: "no such option" }));
  }
  if (issue.code === "invalid_union" && issue.errors.length > 0) {
    const branches = issue.errors.map((issues) => issues.flatMap((inner) => describe(inner, at)));
    const depth = (problems: readonly Problem[]): number => Math.max(...problems.map((problem) => problem.at.length));
    const deepest = branches.toSorted((a, b) => depth(b) - depth(a))[0];
    if (deepest !== undefined && depth(deepest) > at.length) return deepest;
    return [
      {
        at,
        problem: branches
          .flat()
          .map(({ problem }) => problem)
          .join("; or "),
      },
    ];
  }
  if (issue.code === "invalid_value") {
    const choices = issue.values.map(String);
    const given = typeof issue.input === "string" ? issue.input : "";
    const hint = given === "" ? "" : `, not ${JSON.stringify(given)}${suggest(given, choices, (known) => known)}`;
    return [{ at, problem: `expected ${choices.length === 1 ? "" : "one of "}${choices.join(", ")}${hint}` }];
  }
  return [{ at, problem: issue.message.replace(/^Invalid input: /u, "").replace(/^Too (?:small|big): /u, "") }];
}

/** `sandbox.env["A B"]`, `routes[2].image`. */
function spell(at: readonly PropertyKey[]): string {
  if (at.length === 0) return "the configuration";
  return at
    .map((key, index) => {
      if (typeof key === "number") return `[${key}]`;
      const name = String(key);
      if (!/^[A-Za-z_$][\w$]*$/u.test(name)) return `[${JSON.stringify(name)}]`;
      return index === 0 ? name : `.${name}`;
    })
    .join("");
}
