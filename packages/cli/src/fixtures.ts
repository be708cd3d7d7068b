import { readdir, readFile, stat } from "node:fs/promises";
import { join, relative, resolve, sep } from "node:path";
import type { Script, ScriptSkill, ScriptStore } from "@glovebox/simulator";
import { UsageError } from "./failure.ts";

interface Fixtures {
  /** Directories by name. */
  readonly memory: Readonly<Record<string, string>>;
  readonly skill: Readonly<Record<string, string>>;
  readonly cwd: string;
}

/**
 * A script with the files of directories as memory stores and skills besides its own.
 * @throws {UsageError} a directory that cannot be read; a memory that is no text
 */
export async function withFixtures(script: Script, { memory, skill, cwd }: Fixtures): Promise<Script> {
  const memoryStores = await Promise.all(Object.entries(memory).map(([name, path]) => readStore(name, resolve(cwd, path))));
  const skills = await Promise.all(Object.entries(skill).map(([name, path]) => readSkill(name, resolve(cwd, path))));
  return { ...script, memoryStores: [...(script.memoryStores ?? []), ...memoryStores], skills: [...(script.skills ?? []), ...skills] };
}

async function readStore(name: string, directory: string): Promise<ScriptStore> {
  const files = await filesIn(directory, `--memory ${name}`);
  const memories = files.map(({ path, content }) => {
    try {
      return [`/${path}`, new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(content)] as const;
    } catch (cause) {
      throw new UsageError(`--memory ${name}: ${path} is no UTF-8 text`, { cause });
    }
  });
  return { name, memories: Object.fromEntries(memories) };
}

async function readSkill(name: string, directory: string): Promise<ScriptSkill> {
  const files = await filesIn(directory, `--skill ${name}`);
  return { name, files: Object.fromEntries(files.map(({ path, content, executable }) => [path, { content, executable }])) };
}

/**
 * The regular files under a directory, by name; links and other things are left out.
 * @param flag to name in an error
 */
async function filesIn(
  directory: string,
  flag: string,
): Promise<readonly { readonly path: string; readonly content: Uint8Array; readonly executable: boolean }[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch((cause: NodeJS.ErrnoException) => {
    const what = cause.code === "ENOENT" ? "no such directory" : cause.code === "ENOTDIR" ? "is no directory" : cause.message;
    throw new UsageError(`${flag}: ${what}`, { cause });
  });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Promise.all(
    paths.sort().map(async (path) => ({
      path: relative(directory, path).split(sep).join("/"),
      content: await readFile(path),
      executable: ((await stat(path)).mode & 0o111) !== 0,
    })),
  );
}
