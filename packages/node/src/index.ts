export * from "./directory.ts";
export { localFileStream } from "./local-files.ts";
export * from "./owner-key.ts";
