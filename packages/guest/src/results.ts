import { type DirectoryEntry, type Effect, type FileStat, type ProcessExit, SandboxError, type SandboxErrorCode } from "@glovebox/core";
import { violation } from "./failures.ts";
import {
  booleanMember,
  bytesMember,
  integerMember,
  type JsonObject,
  nullableMember,
  objectMember,
  optionalBooleanMember,
  optionalTextMember,
  textMember,
  wordMember,
} from "./json.ts";

const codes: ReadonlySet<SandboxErrorCode> = new Set<SandboxErrorCode>([
  "invalid_argument",
  "not_found",
  "already_exists",
  "permission_denied",
  "unauthenticated",
  "failed_precondition",
  "resource_exhausted",
  "deadline_exceeded",
  "aborted",
  "unavailable",
  "unsupported",
  "data_loss",
  "unknown",
  "internal",
]);
const effects: ReadonlySet<Effect> = new Set<Effect>(["none", "unknown"]);
const fileTypes: ReadonlySet<FileStat["type"]> = new Set<FileStat["type"]>(["file", "directory", "symlink", "other"]);

const MAX_ID = 4_294_967_295;
const MAX_PATH = 1_048_576;
const MAX_MESSAGE = 16_384;

const reasonPattern = /^\w{1,64}$/u;
const signalPattern = /^SIG[A-Z0-9+-]{1,16}$/u;
/** ISO 8601; the year may have more digits than four, since a file's time is whatever the agent set. */
const timePattern = /^[+-]?\d{4,12}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/u;

/** The payload of an ERROR. */
export function parseError(error: JsonObject): SandboxError {
  const reason = optionalTextMember(error, "reason", 64);
  if (reason !== undefined && !reasonPattern.test(reason)) throw violation("an error's reason that is not a word");
  return new SandboxError(wordMember(error, "code", codes), textMember(error, "message", MAX_MESSAGE), {
    effect: wordMember(error, "effect", effects),
    ...(reason !== undefined && { reason }),
  });
}

/** The end of a program, from RESULT or EVENT `exited`. */
export function parseExit(exit: JsonObject): ProcessExit {
  const code = nullableMember(exit, "code", (object, name) => integerMember(object, name, 0, 255));
  const signal = nullableMember(exit, "signal", (object, name) => textMember(object, name, 20));
  if ((code === null) === (signal === null)) throw violation("an end that is not either by a code or by a signal");
  if (signal !== null && !signalPattern.test(signal)) throw violation("an end by what is no signal");
  const dropped = objectMember(exit, "droppedBytes");
  const shellKept = optionalBooleanMember(exit, "shellKept");
  return {
    code,
    signal,
    timedOut: booleanMember(exit, "timedOut"),
    droppedBytes: { stdout: bytesMember(dropped, "stdout"), stderr: bytesMember(dropped, "stderr") },
    replayed: booleanMember(exit, "replayed"),
    ...(shellKept !== undefined && { shellKept }),
  };
}

export function parseFileStat(stat: JsonObject): FileStat {
  const target = optionalTextMember(stat, "target", MAX_PATH);
  const modifiedAt = textMember(stat, "modifiedAt", 64);
  if (!timePattern.test(modifiedAt)) throw violation("a modifiedAt that is no time");
  return {
    type: wordMember(stat, "type", fileTypes),
    sizeBytes: bytesMember(stat, "sizeBytes"),
    mode: integerMember(stat, "mode", 0, 0o7777),
    modifiedAt,
    uid: integerMember(stat, "uid", 0, MAX_ID),
    gid: integerMember(stat, "gid", 0, MAX_ID),
    ...(target !== undefined && { target }),
  };
}

/** The path is held to what a receiver may join to a directory of its own: relative, and never upwards. */
export function parseDirectoryEntry(entry: JsonObject): DirectoryEntry {
  const path = textMember(entry, "path", MAX_PATH);
  if (path.includes("\0") || path.split("/").some((segment) => segment === "" || segment === "." || segment === "..")) {
    throw violation("a directory entry whose path leads elsewhere");
  }
  return { path, ...parseFileStat(entry) };
}

/** An absolute path that the guest names. */
export function parseAbsolutePath(path: unknown): string {
  if (typeof path !== "string" || !path.startsWith("/") || path.length > MAX_PATH || path.includes("\0")) {
    throw violation("a path that is not absolute");
  }
  return path.toWellFormed();
}

/** `sizeBytes` of a RESULT or EVENT. */
export function parseSizeBytes(result: JsonObject): number {
  return bytesMember(result, "sizeBytes");
}
