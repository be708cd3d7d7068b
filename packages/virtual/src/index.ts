export type { VirtualOptions } from "./options.ts";
export { virtual } from "./provider.ts";
