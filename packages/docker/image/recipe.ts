import { createHash } from "node:crypto";

/** What the default image holds beside Debian's essential packages. */
export const packages: readonly string[] = [
  "bash",
  "ca-certificates",
  "coreutils",
  "curl",
  "findutils",
  "git",
  "grep",
  "nodejs",
  "procps",
  "python3",
  "ripgrep",
  "sed",
  "tar",
  "unzip",
];

/** What no program inside needs: apt's caches, documentation, and what names the machine that built it. */
export const leftOut: readonly string[] = [
  "var/cache/apt",
  "var/lib/apt/lists",
  "var/cache/debconf",
  "var/log",
  "usr/share/doc",
  "usr/share/man",
  "usr/share/info",
  "etc/apt/sources.list",
  "etc/resolv.conf",
  "etc/hostname",
];

/** The lines that make uid 1000 a user. */
export const agent: Readonly<Record<"etc/passwd" | "etc/group" | "etc/shadow", string>> = {
  "etc/passwd": "agent:x:1000:1000::/home/agent:/bin/bash\n",
  "etc/group": "agent:x:1000:\n",
  "etc/shadow": "agent:!:20000:0:99999:7:::\n",
};

/** Changes to the image's configuration, as a Dockerfile has them. */
export const configuration: readonly string[] = [
  "ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  "WORKDIR /workspace",
  "USER 1000:1000",
];

export const RECIPE_LABEL = "glovebox.recipe";

/** Changes with whatever changes the image, apart from Debian's own updates. */
export function recipeDigest(suite: string, architecture: string): string {
  const recipe = JSON.stringify([1, suite, architecture, packages, leftOut, agent, configuration]);
  return createHash("sha256").update(recipe).digest("hex").slice(0, 12);
}
