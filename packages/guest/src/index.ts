export * from "./capabilities.ts";
export * from "./driver.ts";
export type * from "./guest-stream.ts";
