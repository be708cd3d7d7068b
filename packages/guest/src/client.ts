import {
  type CallsFacet,
  type FilesFacet,
  type MutationOptions,
  SandboxError,
  type SandboxProcess,
  type ShellFacet,
  type SpawnRequest,
  type TextFacet,
} from "@glovebox/core";
import { callGuest, type GuestLink } from "./call.ts";
import { filesFacet } from "./files.ts";
import { invalidRequest } from "./failures.ts";
import { integerMember, type JsonObject, textMember, wordMember } from "./json.ts";
import { startProgram } from "./process.ts";
import { encoded, textFacet } from "./text.ts";

/** What the daemon says of itself. */
export interface GuestStats {
  readonly boot: string;
  readonly uptimeMs: number;
  readonly processes: number;
  readonly shells: number;
  readonly connections: number;
  readonly rssBytes: number;
  readonly threads: number;
}

/** Everything that a guest does, as the facets of a driver. */
export interface GuestClient {
  spawn(request: SpawnRequest, options: MutationOptions): Promise<SandboxProcess>;
  readonly files: FilesFacet;
  readonly text: TextFacet;
  readonly shell: ShellFacet;
  readonly calls: Omit<CallsFacet, "generation">;
  stats(signal: AbortSignal): Promise<GuestStats>;
}

const MAX_COMMAND_BYTES = 33_554_432;
const statuses: ReadonlySet<"unclaimed" | "running" | "finished" | "unknown"> = new Set(["unclaimed", "running", "finished", "unknown"] as const);

export function guestClient(link: GuestLink): GuestClient {
  return {
    spawn: (request, options) => spawn(link, request, options),
    files: filesFacet(link),
    text: textFacet(link),
    shell: {
      run: async ({ shell, command, cwd, env, output, timeoutMs }, options) => {
        const input = encoded(command, "command");
        if (input.length > MAX_COMMAND_BYTES)
          throw invalidRequest(`a command of ${input.length} bytes; at most ${MAX_COMMAND_BYTES} fit, write it to a file`);
        const request = { op: "shell.run", shell, commandBytes: input.length, cwd, env, output, timeoutMs };
        return startProgram(link, { request, input: [input], maxOutputBytes: output?.maxBytes }, checked(options, request));
      },
      restart: (shell, { signal, call }) =>
        callGuest(link, { request: { op: "shell.restart", shell }, readOnly: false, key: call, maxOutputBytes: 0, parse: () => undefined }, signal),
    },
    calls: {
      status: ({ id }, { signal }) =>
        callGuest(
          link,
          { request: { op: "call.status", id }, readOnly: true, maxOutputBytes: 0, parse: (result) => wordMember(result, "status", statuses) },
          signal,
        ),
      // Released twice is released, so a lost answer may be asked for again.
      release: (keys, { signal }) =>
        callGuest(
          link,
          { request: { op: "call.release", ids: keys.map(({ id }) => id) }, readOnly: true, maxOutputBytes: 0, parse: () => undefined },
          signal,
        ),
    },
    stats: (signal) => callGuest(link, { request: { op: "stats" }, readOnly: true, maxOutputBytes: 0, parse: parseStats }, signal),
  };
}

async function spawn(link: GuestLink, request: SpawnRequest, options: MutationOptions): Promise<SandboxProcess> {
  const { argv, cwd, env, user, stdin, mergeStderr, output, timeoutMs, pty } = request;
  if (pty !== undefined) throw new SandboxError("unsupported", "this guest gives no terminals; leave out pty", { effect: "none" });
  const members = { op: "exec", argv, cwd, env, user, stdin, mergeStderr, output, timeoutMs };
  const input = stdin === "pipe" ? "pipe" : undefined;
  return startProgram(link, { request: members, input, maxOutputBytes: output?.maxBytes }, checked(options, members));
}

function checked(options: MutationOptions, { output }: JsonObject): MutationOptions {
  if (options.call !== undefined && output === undefined)
    throw invalidRequest("a call with a key needs an output limit, so that its output can be kept");
  return options;
}

function parseStats(stats: JsonObject): GuestStats {
  const count = (name: string): number => integerMember(stats, name, 0, Number.MAX_SAFE_INTEGER);
  return {
    boot: textMember(stats, "boot", 128),
    uptimeMs: count("uptimeMs"),
    processes: count("processes"),
    shells: count("shells"),
    connections: count("connections"),
    rssBytes: count("rssBytes"),
    threads: count("threads"),
  };
}
