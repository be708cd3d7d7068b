export { Worker } from "./worker.ts";
export type { WorkerOptions } from "./options.ts";
export type { BoundHow, CallDrop, CallName, Failure, ItemEnd, Observer, WorkerEvent } from "./events.ts";
export { MemoryJournal } from "./journal.ts";
export type { CallId, CallResult, Journal, JournalEntry } from "./journal.ts";
export { customTool } from "./tools/custom.ts";
export type { CustomTool, CustomToolContext, JsonSchema, ToolOutput } from "./tools/custom.ts";
export type { ResultBlock } from "./content.ts";
export { sandboxIdFor } from "./routing.ts";
