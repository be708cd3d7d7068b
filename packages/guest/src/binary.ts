import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { SandboxError } from "@glovebox/core";

/** A processor that the daemon is built for, as Go and Docker name it. */
export type GuestArchitecture = "amd64" | "arm64";

/**
 * The path of the built daemon, for an adapter to put into a sandbox. Sources and published files both have it in `bin` beside their own directory.
 * @throws {SandboxError} `failed_precondition`: it is not there, with how to build it
 */
export function guestBinary(architecture: GuestArchitecture, directory: URL = new URL("../bin/", import.meta.url)): string {
  const path = fileURLToPath(new URL(`glovebox-guest-linux-${architecture}`, directory));
  if (existsSync(path)) return path;
  throw new SandboxError("failed_precondition", `${path} is missing; build the guest with \`npx -y pnpm@12 build:guest\``, { effect: "none" });
}
