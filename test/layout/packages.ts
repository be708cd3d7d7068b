/** Who may import whom: architecture, section 2. A package may import those named here, itself, and what its package.json declares. */
export const mayImport: Readonly<Record<string, readonly string[]>> = {
  core: [],
  guest: ["core"],
  node: ["core"],
  docker: ["core", "guest"],
  virtual: ["core"],
  simulator: [],
  executor: ["core"],
  cli: ["core", "node", "docker", "virtual", "simulator", "executor"],
};

/** Packages that run outside Node too, so that their sources name no `node:` module and none of Node's globals. */
export const portable: readonly string[] = ["core"];

export const adapters: readonly string[] = ["docker", "virtual"];

/** Runtime dependencies from outside, each looked at for upkeep, size and transitive tree before it came in. */
export const outsideDependencies: Readonly<Record<string, readonly string[]>> = {
  core: ["zod"],
  guest: [],
  node: [],
  docker: [],
  virtual: ["just-bash"],
  simulator: ["yaml", "zod"],
  executor: ["@anthropic-ai/sdk", "zod"],
  cli: ["yaml", "zod"],
};
