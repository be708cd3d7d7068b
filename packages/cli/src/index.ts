export { defineConfig, type WorkerConfig } from "./config.ts";
export type { ProviderName } from "./providers.ts";
