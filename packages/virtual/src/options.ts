import { SandboxError } from "@glovebox/core";

export interface VirtualOptions {
  /**
   * The most threads at once, over all sandboxes; one runs one program at a time and needs about 22 MB. More programs wait. Default 32.
   */
  readonly maxThreads?: number;
  /** The most heap of one running program, in bytes; more ends it with `resource_exhausted`. At least 64 MiB; default 256 MiB. */
  readonly threadMemoryBytes?: number;
  /** Size of a sandbox's disk where its spec names no `diskBytes.max`, and the most a spec may ask for. Default 256 MiB. */
  readonly diskBytes?: number;
  /** Files, directories and links on one disk. Default 50,000. */
  readonly maxEntries?: number;
}

export interface ResolvedOptions {
  readonly maxThreads: number;
  readonly threadMemoryBytes: number;
  readonly diskBytes: number;
  readonly maxEntries: number;
}

const mebibyte = 1_048_576;

/** @throws {SandboxError} `invalid_argument`, naming the option */
export function resolveOptions(options: VirtualOptions): ResolvedOptions {
  const resolved = {
    maxThreads: options.maxThreads ?? 32,
    threadMemoryBytes: options.threadMemoryBytes ?? 256 * mebibyte,
    diskBytes: options.diskBytes ?? 256 * mebibyte,
    maxEntries: options.maxEntries ?? 50_000,
  };
  const smallest: ResolvedOptions = { maxThreads: 1, threadMemoryBytes: 64 * mebibyte, diskBytes: mebibyte, maxEntries: 1_000 };
  for (const name of Object.keys(smallest) as (keyof ResolvedOptions)[]) {
    if (Number.isSafeInteger(resolved[name]) && resolved[name] >= smallest[name]) continue;
    throw new SandboxError("invalid_argument", `virtual option ${name}: give a whole number from ${smallest[name]}, not ${resolved[name]}`, {
      effect: "none",
    });
  }
  return resolved;
}
