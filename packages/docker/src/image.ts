import { SandboxError, type SandboxSpec } from "@glovebox/core";
import type { GuestArchitecture } from "@glovebox/guest/node";
import { DEFAULT_IMAGE } from "./default-image.ts";
import type { Engine } from "./engine.ts";
import { EngineFailure, toSandboxError } from "./errors.ts";

export const defaultPath: string = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** What matters of an image. */
export interface ImageFacts {
  readonly id: string;
  /** As it was asked for. */
  readonly name: string;
  readonly architecture: GuestArchitecture;
  /** As its Dockerfile set it. */
  readonly env: Readonly<Record<string, string>>;
}

export function imageName(spec: SandboxSpec, fallback: string): string {
  if (typeof spec.image === "object") return Object.hasOwn(spec.image, "docker") ? (spec.image["docker"] ?? fallback) : fallback;
  return spec.image ?? fallback;
}

/**
 * Look at an image that the engine has.
 * @throws {SandboxError} `not_found`: it has not, with how to get it. `unsupported`: the guest does not run on its processor
 */
export async function imageFacts(engine: Engine, name: string, signal: AbortSignal): Promise<ImageFacts> {
  const answer = await engine
    .json<{ Id: string; Architecture: string; Os: string; Config?: { Env?: readonly string[] | null } | null }>(
      "GET",
      `/images/${checkedName(name)}/json`,
      { signal },
    )
    .catch((cause: unknown): never => {
      if (!(cause instanceof EngineFailure && (cause.status === 404 || cause.status === 400))) throw toSandboxError(cause, `image ${name}`, "none");
      const how =
        name === DEFAULT_IMAGE ? "build it with `npx -y pnpm@12 build:image`, or name another in spec.image" : `get it with \`docker pull ${name}\``;
      const code = cause.status === 404 ? "not_found" : "invalid_argument";
      throw new SandboxError(code, `the engine at ${engine.address.name} has no image ${JSON.stringify(name)}; ${how}`, { cause, effect: "none" });
    });
  if (answer.Os !== "linux" || (answer.Architecture !== "amd64" && answer.Architecture !== "arm64")) {
    const message = `image ${name} is for ${answer.Os}/${answer.Architecture}; the guest runs on linux/amd64 and linux/arm64`;
    throw new SandboxError("unsupported", message, { effect: "none" });
  }
  return { id: answer.Id, name, architecture: answer.Architecture, env: environment(answer.Config?.Env ?? []) };
}

/** As it goes into a path: an image's own slashes and colons, nothing that would lead elsewhere. */
function checkedName(name: string): string {
  if (/^[\w][\w./:@+-]*$/u.test(name) && !name.includes("..") && !name.includes("//")) return name;
  throw new SandboxError("invalid_argument", `${JSON.stringify(name)} is no name of an image`, { effect: "none" });
}

function environment(entries: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(
    entries.filter((entry) => entry.indexOf("=") > 0).map((entry) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
  );
}
