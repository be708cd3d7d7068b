import { z } from "zod";
import type { ControlPlane, Environment } from "./control-plane.ts";
import { mintId } from "./credentials.ts";
import { ApiFailure } from "./failure.ts";
import type { Attachment, AttachmentParams } from "./memory-stores.ts";
import { timestamp, type JsonObject } from "./wire.ts";

export interface FileParams {
  readonly type: "file";
  readonly file_id: string;
  readonly mount_path?: string | null | undefined;
}

export interface RepositoryParams {
  readonly type: "github_repository";
  readonly url: string;
  readonly authorization_token?: string | undefined;
  readonly checkout?: JsonObject | null | undefined;
  readonly mount_path?: string | null | undefined;
}

/** How a session asks for something to be in its container. */
export type ResourceParams = AttachmentParams | FileParams | RepositoryParams;

/** A file or a repository as a session has it: the file is not looked for, the repository's token not kept. */
export interface StoredResource {
  readonly id: string;
  readonly type: "file" | "github_repository";
  readonly mount_path: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly file_id?: string;
  readonly url?: string;
  readonly checkout?: JsonObject | null;
}

/** As the wire has them; a memory store has no id of its own here. */
export type SessionResource = Attachment | StoredResource;

export const fileParams: z.ZodType<FileParams> = z.strictObject({
  type: z.literal("file"),
  file_id: z.string().min(1),
  mount_path: z.string().nullish(),
});

export const resourceParams: z.ZodType<ResourceParams> = z.union([
  z.strictObject({
    type: z.literal("memory_store"),
    memory_store_id: z.string(),
    access: z.enum(["read_write", "read_only"]).nullish(),
    instructions: z.string().max(4096).nullish(),
  }),
  fileParams,
  z.strictObject({
    type: z.literal("github_repository"),
    url: z.url(),
    authorization_token: z.string().optional(),
    checkout: z.record(z.string(), z.unknown()).nullish(),
    mount_path: z.string().nullish(),
  }),
]);

export function attachmentsOf(resources: readonly SessionResource[]): readonly Attachment[] {
  return resources.filter((resource) => resource.type === "memory_store");
}

/** @throws {ApiFailure} 400: the environment does not take them; what {@link MemoryStores.attach} refuses */
export function toResources(plane: ControlPlane, environment: Environment, wanted: readonly ResourceParams[]): SessionResource[] {
  if (wanted.some(({ type }) => type !== "memory_store")) refuseOnSelfHosted(environment);
  const attachments = plane.memoryStores.attach(wanted.filter((each) => each.type === "memory_store"));
  const attached = new Map(attachments.map((each) => [each.memory_store_id, each]));
  return wanted.flatMap((each) => (each.type === "memory_store" ? (attached.get(each.memory_store_id) ?? []) : store(each, plane.clock.stampMs())));
}

/** @throws {ApiFailure} 400, in the documented words */
export function refuseOnSelfHosted({ id, type }: Environment): void {
  if (type !== "self_hosted") return;
  throw new ApiFailure(400, `Environment ${id} is a self-hosted environment. \`resources\` are not supported with self-hosted environments.`);
}

export function store(params: FileParams | RepositoryParams, nowMs: number): StoredResource {
  const at = timestamp(nowMs);
  const common = { id: mintId("sesrsc"), created_at: at, updated_at: at };
  if (params.type === "file") {
    const { type, file_id } = params;
    return { ...common, type, file_id, mount_path: params.mount_path ?? `/mnt/session/uploads/${file_id}` };
  }
  const { type, url, checkout = null } = params;
  return { ...common, type, url, checkout, mount_path: params.mount_path ?? `/workspace/${repositoryName(url)}` };
}

function repositoryName(url: string): string {
  return (new URL(url).pathname.split("/").findLast((segment) => segment !== "") ?? "").replace(/\.git$/, "");
}
