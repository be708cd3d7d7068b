/** What an archive holds, as it says. Links, devices and the like are told and have no content. */
export interface ArchiveMember {
  readonly name: string;
  readonly kind: "file" | "directory" | "other";
  readonly executable: boolean;
  readonly content: Uint8Array;
}

export interface ArchiveLimits {
  /** Of all members together, unpacked. */
  readonly maxBytes: number;
  /** Members of any kind. */
  readonly maxMembers: number;
}

/** Why an archive is refused; nothing of it was unpacked. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
}
