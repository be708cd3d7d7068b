import { gzipSync } from "node:zlib";
import { parse, stringify } from "yaml";
import type { ArchiveMember } from "./archive.ts";
import type { SkewableClock } from "./clock.ts";
import { mintId } from "./credentials.ts";
import { ApiFailure } from "./failure.ts";
import { tarArchive } from "./tar-archive.ts";
import { zipArchive } from "./zip-archive.ts";

/** A file of a skill. */
export type SkillFile = string | { readonly content: string | Uint8Array; readonly executable?: boolean };

/** What a download of a skill's version carries. */
export interface SkillContent {
  readonly description?: string;
  /** By path inside the skill. A `SKILL.md` is made where there is none. */
  readonly files?: Readonly<Record<string, SkillFile>>;
  /** Default `zip`. */
  readonly format?: "zip" | "tar.gz" | "tar";
  /** In one directory named after the skill, as the service packs. Default true. */
  readonly wrapped?: boolean;
  /** Instead of `files`: the archive's members as they are, hostile ones included. */
  readonly members?: readonly ArchiveMember[];
  /** Instead of all: the bytes, archive or not. */
  readonly archive?: Uint8Array;
}

export interface SkillVersion {
  readonly id: string;
  readonly description: string;
  readonly createdAtMs: number;
  readonly archive: Uint8Array;
}

export interface Skill {
  readonly id: string;
  /** Grows with each skill. */
  readonly sequence: number;
  readonly name: string;
  readonly displayName: string;
  readonly source: "custom" | "anthropic";
  readonly createdAtMs: number;
  updatedAtMs: number;
  /** Oldest first, never empty. */
  readonly versions: SkillVersion[];
}

export interface NewSkill extends SkillContent {
  readonly name: string;
  readonly id?: string;
  readonly displayName?: string;
  readonly source?: "custom" | "anthropic";
}

/** All skills and their versions. */
export class Skills {
  readonly #clock: SkewableClock;
  readonly #skills = new Map<string, Skill>();
  #created = 0;

  constructor(clock: SkewableClock) {
    this.#clock = clock;
  }

  /** Oldest first. */
  all(): readonly Skill[] {
    return [...this.#skills.values()];
  }

  /** @throws {ApiFailure} 404 */
  get(id: string): Skill {
    const skill = this.#skills.get(id);
    if (skill === undefined) throw new ApiFailure(404, `Skill ${id} not found.`);
    return skill;
  }

  create(fields: NewSkill): Skill {
    const { name, id = mintId("skill"), displayName = name, source = "custom" } = fields;
    const createdAtMs = this.#clock.stampMs();
    const versions = [this.#version(name, fields)];
    const skill: Skill = { id, sequence: this.#created++, name, displayName, source, createdAtMs, updatedAtMs: createdAtMs, versions };
    this.#skills.set(id, skill);
    return skill;
  }

  addVersion(skill: Skill, content: SkillContent): SkillVersion {
    const version = this.#version(skill.name, content);
    skill.versions.push(version);
    skill.updatedAtMs = version.createdAtMs;
    return version;
  }

  delete(skill: Skill): void {
    this.#skills.delete(skill.id);
  }

  /** @throws {ApiFailure} 400: it is the last one */
  deleteVersion(skill: Skill, version: SkillVersion): void {
    if (skill.versions.length === 1) throw new ApiFailure(400, `Version ${version.id} is the only one of skill ${skill.id}; delete the skill.`);
    skill.versions.splice(skill.versions.indexOf(version), 1);
    skill.updatedAtMs = this.#clock.stampMs();
  }

  #version(name: string, content: SkillContent): SkillVersion {
    const description = content.description ?? "";
    return { id: mintId("skver"), description, createdAtMs: this.#clock.stampMs(), archive: archiveOf(name, description, content) };
  }
}

/** @throws {ApiFailure} 404. Only `latest` as an alias, where the endpoint knows it */
export function versionOf(skill: Skill, id: string, aliases: "latest" | "none"): SkillVersion {
  const version = id === "latest" && aliases === "latest" ? skill.versions.at(-1) : skill.versions.find((each) => each.id === id);
  if (version === undefined) throw new ApiFailure(404, `Version ${id} of skill ${skill.id} not found.`);
  return version;
}

function archiveOf(name: string, description: string, content: SkillContent): Uint8Array {
  if (content.archive !== undefined) return content.archive;
  const { format = "zip", wrapped = true, files = {} } = content;
  const manifest = { "SKILL.md": `---\n${stringify({ name, description })}---\n` };
  const members = content.members ?? membersOf({ ...manifest, ...files }, wrapped ? `${name}/` : "");
  if (format === "zip") return zipArchive(members);
  const tar = tarArchive(members);
  return format === "tar" ? tar : gzipSync(tar);
}

function membersOf(files: Readonly<Record<string, SkillFile>>, directory: string): readonly ArchiveMember[] {
  return Object.entries(files).map(([path, file]) => {
    const { content, executable = false } = typeof file === "string" ? { content: file } : file;
    return { name: `${directory}${path}`, content, mode: executable ? 0o755 : 0o644 };
  });
}

export interface Manifest {
  readonly name: string;
  readonly description: string;
}

/** What a `SKILL.md` says of its skill. @throws {ApiFailure} 400: its frontmatter cannot be read */
export function readManifest(text: string, directory: string): Manifest {
  const frontmatter = /^---\r?\n([\s\S]*?)\r?\n---/.exec(text)?.[1] ?? "";
  let fields: unknown;
  try {
    fields = parse(frontmatter);
  } catch {
    throw new ApiFailure(400, "SKILL.md: its frontmatter is not valid YAML.");
  }
  const field = (key: string): string | undefined => {
    const value: unknown = typeof fields === "object" && fields !== null ? (fields as Readonly<Record<string, unknown>>)[key] : undefined;
    return typeof value === "string" ? value : undefined;
  };
  return { name: field("name") ?? directory, description: field("description") ?? "" };
}
