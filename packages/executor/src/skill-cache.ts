import type Anthropic from "@anthropic-ai/sdk";
import { type ArchiveFile, filesOf } from "./archive/archive.ts";
import { ArchiveError } from "./archive/members.ts";
import { orAbort } from "./wait.ts";

/** How an agent names a skill. `version` may be `latest`. */
export interface SkillReference {
  readonly skillId: string;
  readonly version: string;
}

/** A version of a skill, unpacked. */
export interface Skill {
  readonly versionId: string;
  /** As the control plane says it: any text. */
  readonly name: string;
  readonly files: readonly ArchiveFile[];
}

const maxArchiveBytes = 33_554_432;
const limits = { maxBytes: 134_217_728, maxMembers: 10_000 } as const;
/** Of all skills that are kept. */
const maxKeptBytes = 268_435_456;
/** What `latest` was, it is for so long. */
const latestForMs = 60_000;
/** Other sessions may wait for it too, so that no session's end ends it. */
const fetchTimeoutMs = 120_000;

interface Kept {
  readonly skill: Promise<Skill>;
  readonly sinceMs: number;
  bytes: number;
}

/**
 * Skills of a worker's sessions: fetched and unpacked outside of every sandbox, once for all sessions that have them. A version never changes, so it is kept
 * until others need its place.
 */
export class SkillCache {
  readonly #kept = new Map<string, Kept>();

  /**
   * @param client of the session that has the skill
   * @throws {ArchiveError} what it brings is refused; {Anthropic.APIError} it cannot be fetched
   */
  async get({ skillId, version }: SkillReference, client: Anthropic, signal: AbortSignal): Promise<Skill> {
    const key = JSON.stringify([skillId, version]);
    const known = this.#kept.get(key);
    if (known !== undefined && (version !== "latest" || Date.now() - known.sinceMs < latestForMs)) {
      // what another session could not fetch, this one may
      const skill = await orAbort(known.skill, signal).catch(() => undefined);
      signal.throwIfAborted();
      if (skill !== undefined) {
        this.#used(key, known);
        return skill;
      }
    }
    const kept: Kept = { skill: fetchSkill({ skillId, version }, client), sinceMs: Date.now(), bytes: 0 };
    this.#used(key, kept);
    try {
      const skill = await orAbort(kept.skill, signal);
      kept.bytes = skill.files.reduce((sum, { content }) => sum + content.byteLength, 0);
      this.#makeRoom();
      return skill;
    } catch (error) {
      if (this.#kept.get(key) === kept) this.#kept.delete(key);
      throw error;
    }
  }

  /** Behind all others: those that nobody asked for in the longest time go first. */
  #used(key: string, kept: Kept): void {
    this.#kept.delete(key);
    this.#kept.set(key, kept);
  }

  #makeRoom(): void {
    let total = 0;
    for (const { bytes } of this.#kept.values()) total += bytes;
    for (const [key, { bytes }] of this.#kept) {
      if (total <= maxKeptBytes) return;
      this.#kept.delete(key);
      total -= bytes;
    }
  }
}

async function fetchSkill({ skillId, version }: SkillReference, client: Anthropic): Promise<Skill> {
  const signal = AbortSignal.timeout(fetchTimeoutMs);
  // only this endpoint understands `latest`
  const { id, name } = await client.skills.versions.retrieve(version, { skill_id: skillId }, { signal });
  const path = `/v1/skills/${encodeURIComponent(skillId)}/versions/${encodeURIComponent(id)}/content`;
  const response: Response = await client.get(path, { headers: { accept: "application/binary" }, signal, __binaryResponse: true });
  return { versionId: id, name, files: await filesOf(await bytesOf(response), limits) };
}

async function bytesOf(response: Response): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.byteLength;
    if (length > maxArchiveBytes) throw new ArchiveError(`its archive has more than ${maxArchiveBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
