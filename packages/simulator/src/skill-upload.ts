import { ApiFailure } from "./failure.ts";
import type { ApiRequest } from "./request.ts";
import { readManifest, type Manifest, type SkillFile } from "./skills.ts";

export interface SkillUpload extends Manifest {
  readonly displayName: string | null;
  readonly files: Readonly<Record<string, SkillFile>>;
}

/**
 * The files of a multipart upload. All lie in one directory with a `SKILL.md` at its root; modes do not travel with an upload.
 * @throws {ApiFailure} 400
 */
export async function readUpload({ bytes, contentType }: ApiRequest): Promise<SkillUpload> {
  const form = await new Response(new Uint8Array(bytes), { headers: { "content-type": contentType ?? "" } }).formData().catch(() => {
    throw new ApiFailure(400, "The request body is not multipart/form-data.");
  });
  const uploaded = [...form.getAll("files"), ...form.getAll("files[]")].filter((entry) => entry instanceof File);
  const directories = new Set(uploaded.map(({ name }) => name.split("/")[0]));
  const [directory] = directories;
  if (directory === undefined || directories.size > 1) throw new ApiFailure(400, "files: must all be in the same top-level directory.");
  if (uploaded.some(({ name }) => name.split("/").some((segment) => segment === "" || segment === "." || segment === ".."))) {
    throw new ApiFailure(400, "files: a file's name must not have empty, . or .. segments.");
  }
  const files: Record<string, SkillFile> = {};
  for (const file of uploaded) files[file.name.slice(directory.length + 1)] = { content: await file.bytes() };
  const manifest = uploaded.find(({ name }) => name === `${directory}/SKILL.md`);
  if (manifest === undefined) throw new ApiFailure(400, "files: must include a SKILL.md file at the root of the top-level directory.");
  const displayName = form.get("display_name");
  return { ...readManifest(await manifest.text(), directory), displayName: typeof displayName === "string" ? displayName : null, files };
}
