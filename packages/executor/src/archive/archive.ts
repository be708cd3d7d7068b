import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { ArchiveError, type ArchiveLimits, type ArchiveMember } from "./members.ts";
import { tarMembers } from "./tar.ts";
import { zipMembers } from "./zip.ts";

/** A regular file of an archive, which cannot leave the directory that it is put into. */
export interface ArchiveFile {
  /** Relative, with `/` between segments. */
  readonly path: string;
  readonly executable: boolean;
  readonly content: Uint8Array;
}

const unzip = promisify(gunzip);
/** A tar's headers and padding, for each member. */
const tarOverheadBytes = 4_096;

/**
 * The regular files of a zip, a tar or a tar.gz, in memory and within limits whatever the archive says of itself. A directory around all of them is taken off;
 * links, devices and the like are left out.
 * @throws {ArchiveError} it is none of these, damaged, too large, or names something outside of itself
 */
export async function filesOf(archive: Uint8Array, limits: ArchiveLimits): Promise<readonly ArchiveFile[]> {
  const files = checked(await membersOf(archive, limits));
  const wrapper = `${files[0]?.path.split("/")[0]}/`;
  if (!files.every(({ path }) => path.startsWith(wrapper))) return files;
  return files.map((file) => ({ ...file, path: file.path.slice(wrapper.length) }));
}

async function membersOf(archive: Uint8Array, limits: ArchiveLimits): Promise<readonly ArchiveMember[]> {
  if (archive[0] === 0x50 && archive[1] === 0x4b) return await zipMembers(archive, limits);
  if (archive[0] !== 0x1f || archive[1] !== 0x8b) return tarMembers(archive, limits);
  const maxOutputLength = limits.maxBytes + limits.maxMembers * tarOverheadBytes;
  const tar = await unzip(archive, { maxOutputLength }).catch((cause: unknown) => {
    throw new ArchiveError("it cannot be unpacked, or is too large when it is", { cause });
  });
  return tarMembers(tar, limits);
}

function checked(members: readonly ArchiveMember[]): readonly ArchiveFile[] {
  const files: ArchiveFile[] = [];
  const taken = new Map<string, ArchiveMember["kind"]>();
  for (const { name, kind, executable, content } of members) {
    const path = relativePath(name);
    if (path === "") continue;
    const segments = path.split("/");
    for (let length = 1; length < segments.length; length++) {
      const parent = segments.slice(0, length).join("/");
      if ((taken.get(parent) ?? "directory") !== "directory") throw new ArchiveError(`${shown(name)} lies below something that is no directory`);
      taken.set(parent, "directory");
    }
    const before = taken.get(path);
    if (before !== undefined && (before !== "directory" || kind !== "directory")) throw new ArchiveError(`${shown(name)} is there twice`);
    taken.set(path, kind);
    if (kind === "file") files.push({ path, executable, content });
  }
  if (files.length === 0) throw new ArchiveError("it has no files");
  return files;
}

/** @throws {ArchiveError} it leads out of the directory that the archive is put into, or has characters that no honest packer writes */
function relativePath(name: string): string {
  // oxlint-disable-next-line no-control-regex -- these are what is looked for
  if (/[\u0000-\u001f\u007f\\]/u.test(name) || name.startsWith("/") || name.length > 1_024)
    throw new ArchiveError(`${shown(name)} is no name for a file`);
  const segments = name.split("/").filter((segment) => segment !== "" && segment !== ".");
  if (segments.includes("..")) throw new ArchiveError(`${shown(name)} leads out of the archive`);
  return segments.join("/");
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}
