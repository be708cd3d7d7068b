export * from "./binary.ts";
export * from "./node-stream.ts";
