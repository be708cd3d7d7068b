export * from "./capabilities.ts";
export * from "./errors.ts";
export * from "./spec.ts";
export type * from "./provider.ts";
