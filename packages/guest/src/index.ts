export * from "./capabilities.ts";
export type { GuestClient, GuestStats } from "./client.ts";
export * from "./connect.ts";
export * from "./driver.ts";
export type * from "./guest-stream.ts";
export type { ClientHello, GuestHello } from "./hello.ts";
