import { SandboxError } from "./errors.ts";
import type { Ownership, SandboxRef } from "./provider.ts";

const idPattern = /^[a-z][a-z0-9-]{0,62}$/u;
const keyBytes = 32;

/**
 * A new random id, 100 bits of chance behind a prefix.
 * @param prefix 1 to 42 characters of `[a-z0-9-]`, beginning with a letter
 */
export function newSandboxId(prefix = "gb"): string {
  const random = crypto.getRandomValues(new Uint8Array(20));
  return checkSandboxId(`${prefix}-${Array.from(random, (byte) => "0123456789abcdefghijklmnopqrstuv"[byte & 31]).join("")}`);
}

/** @throws {SandboxError} `invalid_argument` when it is not 1 to 63 characters of `[a-z0-9-]` that begin with a letter */
export function checkSandboxId(id: string): string {
  if (idPattern.test(id)) return id;
  throw new SandboxError("invalid_argument", `sandbox id ${JSON.stringify(id)}; give 1 to 63 characters of a-z, 0-9 and -, beginning with a letter`, {
    effect: "none",
  });
}

let processKey: Uint8Array | undefined;

/** The owner key when none is given: random, for this process alone, so that only this process can attach to what it made. */
export function processOwnerKey(): Uint8Array {
  return (processKey ??= crypto.getRandomValues(new Uint8Array(keyBytes)));
}

/**
 * Proves that whoever made or attaches a sandbox holds the owner key: HMAC-SHA-256 over the provider's name and the id, hexadecimal.
 * @param ownerKey at least 32 bytes; never stored with a sandbox
 */
export async function ownershipProof(ownerKey: Uint8Array, provider: string, id: string): Promise<string> {
  if (ownerKey.byteLength < keyBytes) {
    throw new SandboxError("invalid_argument", `the owner key has ${ownerKey.byteLength} bytes; give at least ${keyBytes}`, { effect: "none" });
  }
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = await crypto.subtle.importKey("raw", Uint8Array.from(ownerKey), algorithm, false, ["sign"]);
  // JSON, so that no two pairs of names give the same text
  const text = new TextEncoder().encode(JSON.stringify(["glovebox.owner.1", provider, id]));
  const proof = new Uint8Array(await crypto.subtle.sign("HMAC", key, text));
  return Array.from(proof, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** A ref without its proof, as a listing gives it, is completed with the owner key. */
export async function withProof(ref: SandboxRef | Omit<SandboxRef, "proof">, ownerKey: Uint8Array): Promise<SandboxRef> {
  return "proof" in ref ? ref : { ...ref, proof: await ownershipProof(ownerKey, ref.provider, ref.id) };
}

/** The runtime's `process`, where there is one: without an import, because core has none of Node's. */
interface NodeProcess {
  readonly pid?: number;
  getBuiltinModule?(id: "os"): { hostname(): string } | undefined;
}

/** Owned by this process on this host. Where the runtime tells neither (workerd), no reaper takes it for dead: the host is `unknown`. */
export function thisProcess(): Ownership {
  const { process } = globalThis as { readonly process?: NodeProcess };
  const host = process?.getBuiltinModule?.("os")?.hostname();
  return { by: "process", host: host === undefined || host === "" ? "unknown" : host, pid: process?.pid ?? 0 };
}
