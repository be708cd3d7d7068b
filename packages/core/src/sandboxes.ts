import { type Limits, bounded, limitsOf, reportLate } from "./calls.ts";
import { invalid } from "./checks.ts";
import { checkSandboxId, newSandboxId, ownershipProof, processOwnerKey, thisProcess, withProof } from "./identity.ts";
import type { AttachMode, CreateRequest, Ownership, SandboxEntry, SandboxProvider, SandboxRef } from "./provider.ts";

/** Who owns, by a key that never comes near a sandbox. */
export interface OwnerOptions extends Limits {
  /** At least 32 bytes. Default: random for this process, so that no other can attach to, or destroy, what it makes. */
  readonly ownerKey?: Uint8Array;
}

export interface CreateOptions extends OwnerOptions {
  /** 1 to 63 characters of `[a-z0-9-]`, beginning with a letter. Default: {@link newSandboxId}. */
  readonly id?: string;
  /** Who ends it. Default: this process. */
  readonly ownership?: Ownership;
}

export interface AttachOptions extends OwnerOptions {
  /** Default `join`: look and use, but no calls with a key. */
  readonly mode?: AttachMode;
}

/** For calls that make or find a sandbox, or walk through many, in milliseconds. */
export const createTimeoutMs = 600_000;
/** For calls that end a sandbox or the hold on one. */
export const disposeTimeoutMs = 60_000;

/**
 * Sandboxes that Glovebox made at this provider, whoever owns them.
 * @param filter `labels`: all of them
 * @throws {SandboxError} `unsupported` where the provider cannot list
 */
export async function* listSandboxes(
  provider: SandboxProvider,
  filter: { readonly labels?: Readonly<Record<string, string>> } = {},
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<SandboxEntry, void, undefined> {
  options.signal?.throwIfAborted();
  const entries = provider.list(filter, { signal: options.signal ?? new AbortController().signal })[Symbol.asyncIterator]();
  try {
    for (;;) {
      const step = await bounded({ name: `${provider.name} list`, effect: "none" }, { timeoutMs: createTimeoutMs, ...limitsOf(options) }, () =>
        entries.next(),
      );
      if (step.done === true) return;
      yield step.value;
    }
  } finally {
    void entries.return?.().catch((error: unknown) => reportLate(`${provider.name} list`, error));
  }
}

/**
 * Free a sandbox without connecting to it. Idempotent.
 * @throws {SandboxError} `permission_denied`: another owner's
 */
export async function destroySandbox(
  provider: SandboxProvider,
  ref: SandboxRef | Omit<SandboxRef, "proof">,
  options: OwnerOptions = {},
): Promise<void> {
  const proven = await checkedRef(provider, ref, options);
  const info = { name: `${provider.name} destroy`, effect: "unknown" } as const;
  await bounded(info, { timeoutMs: disposeTimeoutMs, ...limitsOf(options) }, (signal) => provider.destroy(proven, { signal }));
}

/** What a provider is given to make a sandbox. */
export async function createRequest(provider: SandboxProvider, spec: CreateRequest["spec"], options: CreateOptions): Promise<CreateRequest> {
  const id = options.id === undefined ? newSandboxId() : checkSandboxId(options.id);
  const proof = await ownershipProof(options.ownerKey ?? processOwnerKey(), provider.name, id);
  return { id, spec, ownership: options.ownership ?? thisProcess(), proof };
}

/** A ref of this provider, with its proof. */
export async function checkedRef(
  provider: SandboxProvider,
  ref: SandboxRef | Omit<SandboxRef, "proof">,
  { ownerKey }: OwnerOptions,
): Promise<SandboxRef> {
  if (ref.provider !== provider.name) invalid(`the sandbox is one of provider ${JSON.stringify(ref.provider)}, not of ${provider.name}`);
  checkSandboxId(ref.id);
  return await withProof(ref, ownerKey ?? processOwnerKey());
}
