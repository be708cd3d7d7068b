import { createHash, timingSafeEqual } from "node:crypto";
import type { Ownership } from "@glovebox/core";
import type { ProcessMark } from "./owner.ts";

/** Labels of the spec stand under this, so that none can pass for one of Glovebox's own. */
const SPEC_PREFIX = "glovebox.label.";

export const labelNames: Readonly<Record<"id" | "proof" | "ownership" | "owner" | "creation" | "image" | "workdir", string>> = {
  id: "glovebox.id",
  /** SHA-256 of the proof, so that a listing does not give it away. */
  proof: "glovebox.proof",
  ownership: "glovebox.ownership",
  /** A {@link ProcessMark}, of a sandbox that a process owns. */
  owner: "glovebox.owner",
  /** New for each create, so that a late container is told from another's of the same name. */
  creation: "glovebox.creation",
  /** As the spec has it; the container has the image's id. */
  image: "glovebox.image",
  workdir: "glovebox.workdir",
};

export type Labels = Readonly<Record<string, string>>;

export interface SandboxLabels {
  readonly id: string;
  readonly proof: string;
  readonly ownership: Ownership;
  readonly owner: ProcessMark | undefined;
  readonly creation: string;
  readonly image: string;
  readonly workdir: string;
  readonly labels: Labels;
}

export function toLabels(sandbox: SandboxLabels): Labels {
  return {
    [labelNames.id]: sandbox.id,
    [labelNames.proof]: digest(sandbox.proof).toString("hex"),
    [labelNames.ownership]: JSON.stringify(sandbox.ownership),
    ...(sandbox.owner && { [labelNames.owner]: JSON.stringify(sandbox.owner) }),
    [labelNames.creation]: sandbox.creation,
    [labelNames.image]: sandbox.image,
    [labelNames.workdir]: sandbox.workdir,
    ...Object.fromEntries(Object.entries(sandbox.labels).map(([key, value]) => [SPEC_PREFIX + key, value])),
  };
}

/** The labels of a spec, as the engine's filter takes them. */
export function toLabelFilters(labels: Labels): readonly string[] {
  return Object.entries(labels).map(([key, value]) => `${SPEC_PREFIX}${key}=${value}`);
}

export function specLabels(labels: Labels): Labels {
  return Object.fromEntries(
    Object.entries(labels).flatMap(([key, value]) => (key.startsWith(SPEC_PREFIX) ? [[key.slice(SPEC_PREFIX.length), value]] : [])),
  );
}

/** Constant in time. */
export function proves(proof: string, labels: Labels): boolean {
  const stored = Buffer.from(labels[labelNames.proof] ?? "", "hex");
  const given = digest(proof);
  return stored.length === given.length && timingSafeEqual(stored, given);
}

/** Anyone may set labels by hand, so what is not as it should be is `undefined`. */
export function ownershipOf(labels: Labels): Ownership | undefined {
  const value = parse(labels[labelNames.ownership]);
  if (value?.["by"] === "process" && typeof value["host"] === "string" && typeof value["pid"] === "number") {
    return { by: "process", host: value["host"], pid: value["pid"] };
  }
  return value?.["by"] === "session" && typeof value["session"] === "string" ? { by: "session", session: value["session"] } : undefined;
}

export function ownerOf(labels: Labels): ProcessMark | undefined {
  const value = parse(labels[labelNames.owner]);
  const { machine, boot, namespace, started } = value ?? {};
  if (typeof machine !== "string" || typeof boot !== "string" || typeof namespace !== "string" || typeof started !== "string") return undefined;
  return { machine, boot, namespace, started };
}

function parse(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  if (text === undefined) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

function digest(proof: string): Buffer {
  return createHash("sha256").update(proof, "utf8").digest();
}
