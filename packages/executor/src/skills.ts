import { posix } from "node:path";
import type Anthropic from "@anthropic-ai/sdk";
import type { Sandbox, TreeEntry } from "@glovebox/core";
import type { ArchiveFile } from "./archive/archive.ts";
import { type Skill, type SkillCache, type SkillReference } from "./skill-cache.ts";
import { digest } from "./routing.ts";

export interface InstallOptions {
  readonly client: Anthropic;
  readonly cache: SkillCache;
  readonly signal: AbortSignal;
  /** A skill that is not there in the end, and why. */
  readonly onFailure: (skill: SkillReference, error: unknown) => void;
}

/** Skills that are put in at once. */
const width = 4;

/**
 * Put an agent's skills into `skills/<name>` of the work directory, as the agent's user. One that fails is told and the others go on; what was there under its
 * name before stays then.
 */
export async function installSkills(skills: readonly SkillReference[], sandbox: Sandbox, options: InstallOptions): Promise<void> {
  const { client, cache, signal, onFailure } = options;
  const waiting = [...skills];
  const next = async (): Promise<void> => {
    for (let skill = waiting.shift(); skill !== undefined; skill = waiting.shift()) {
      try {
        signal.throwIfAborted();
        await install(await cache.get(skill, client, signal), skill, sandbox, signal);
      } catch (error) {
        signal.throwIfAborted();
        onFailure(skill, error);
      }
    }
  };
  await Promise.all(Array.from({ length: width }, next));
}

/** Beside its place first, so that it is there whole or not at all. */
async function install({ versionId, name, files }: Skill, { skillId }: SkillReference, sandbox: Sandbox, signal: AbortSignal): Promise<void> {
  const directory = posix.join(sandbox.workdir, "skills");
  const target = posix.join(directory, directoryName(name) ?? directoryName(skillId) ?? `skill-${digest([skillId]).slice(0, 20)}`);
  const incoming = posix.join(directory, `.incoming-${digest([skillId, versionId]).slice(0, 20)}`);
  const within = { roots: [{ path: sandbox.workdir, writable: true }], signal };
  const gone = { ...within, recursive: true, missingOk: true };
  await sandbox.files.remove(incoming, gone);
  try {
    await sandbox.files.upload(treeOf(files), incoming, within);
    await sandbox.files.remove(target, gone);
    await sandbox.files.rename(incoming, target, within);
  } catch (error) {
    await sandbox.files.remove(incoming, { ...gone, signal: AbortSignal.timeout(10_000) }).catch(() => undefined);
    throw error;
  }
}

function* treeOf(files: readonly ArchiveFile[]): Generator<TreeEntry, void, undefined> {
  for (const { path, executable, content } of files) {
    yield {
      type: "file",
      path,
      mode: executable ? 0o755 : 0o644,
      sizeBytes: content.byteLength,
      open: async () => new Blob([new Uint8Array(content)]).stream(),
    };
  }
}

/** The last part of it, where that is a name for a directory. Source: reference/managed-agents-protocol.md, 11. */
function directoryName(text: string): string | undefined {
  const name = posix.basename(text.trim());
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  const isName =
    name !== "" && name !== "." && name !== ".." && name.isWellFormed() && !/[\u0000-\u001f\u007f]/u.test(name) && Buffer.byteLength(name) <= 200;
  return isName ? name : undefined;
}
