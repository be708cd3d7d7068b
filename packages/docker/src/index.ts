import type { SandboxProvider } from "@glovebox/core";
import { type DockerOptions, resolveOptions } from "./options.ts";
import { DockerProvider } from "./provider.ts";

export { DEFAULT_IMAGE } from "./default-image.ts";
export type { DockerOptions, Transport } from "./options.ts";

/** Sandboxes on a Docker engine. Makes its first request at `probe`, `create`, `attach`, `list` or `destroy`, not before. */
export function docker(options: DockerOptions = {}): SandboxProvider {
  return new DockerProvider(resolveOptions(options, process.env));
}
