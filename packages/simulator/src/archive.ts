/** One member of an archive, written as it is: names and kinds that no honest packer makes included. */
export interface ArchiveMember {
  /** A directory's ends with `/`. */
  readonly name: string;
  /** Default `file`. A zip has no `hardlink`. */
  readonly kind?: MemberKind;
  /** Of a file. Default: empty. */
  readonly content?: string | Uint8Array;
  /** Of a symlink or hardlink. */
  readonly target?: string;
  /** Permission bits. Default 0755 for a directory, else 0644. */
  readonly mode?: number;
}

export type MemberKind = "file" | "directory" | "symlink" | "hardlink" | "fifo" | "device";

export function modeOf({ kind, mode }: ArchiveMember): number {
  return mode ?? (kind === "directory" ? 0o755 : 0o644);
}

export function contentOf({ content = "" }: ArchiveMember): Uint8Array {
  return typeof content === "string" ? Buffer.from(content) : content;
}
