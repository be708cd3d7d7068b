import type { Writable } from "node:stream";
import type { WorkerEvent } from "@glovebox/executor";
import { BatchedLines } from "./batched-lines.ts";
import { formatDuration } from "./duration.ts";
import { safeJson, sanitiseLine } from "./sanitise.ts";
import { terminal } from "./terminal.ts";

export type LogFormat = "text" | "json";
export type Level = "info" | "warn" | "error";

/** One line a happening. Session content never comes into it: of inputs and results only the size. */
export type Log = (level: Level, type: string, fields: Readonly<Record<string, unknown>>) => void;

/** @param clock for the time of lines that have none of their own */
export function openLog(
  output: Writable & { readonly isTTY?: boolean },
  format: LogFormat,
  env: NodeJS.ProcessEnv,
  clock: () => Date = () => new Date(),
): Log {
  if (format === "json") {
    const lines = new BatchedLines(output);
    return (level, type, { at = clock().toISOString(), ...fields }) => {
      lines.add(() => safeJson({ at, level, type, ...Object.fromEntries(Object.entries(fields).map(rounded)) }));
      if (level !== "info") lines.flush(); // whoever watches for trouble sees it when it happens
    };
  }
  const { line, paint } = terminal(output, env);
  const colours = { info: "dim", warn: "yellow", error: "red" } as const;
  return (level, type, { at = clock().toISOString(), ...fields }) => {
    const told = Object.entries(fields)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]) => `${name}=${sanitiseLine(plain(name, value))}`);
    line([paint(String(at), "dim"), paint(level.padEnd(5), colours[level]), type, ...told].join(" "));
  };
}

/** Clocks give more digits than anybody reads. */
function rounded([name, value]: readonly [string, unknown]): readonly [string, unknown] {
  return [name, typeof value === "number" && name.endsWith("Ms") ? Math.round(value * 10) / 10 : value];
}

function plain(name: string, value: unknown): string {
  if (typeof value === "number" && name.endsWith("Ms")) return formatDuration(value).replaceAll(" ", "");
  if (typeof value === "string") return /^[\w.:/@-]+$/u.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value);
}

const problems: readonly WorkerEvent["type"][] = [
  "poll.failed",
  "item.base_url_refused",
  "item.token_refused",
  "lease.failed",
  "stream.lost",
  "history.failed",
  "sandbox.lost",
  "skill.failed",
  "call.unsent",
];

/** A worker's event as a line of its log. */
export function logEvent(log: Log, event: WorkerEvent): void {
  const { type, ...fields } = event;
  log(levelOf(event), type, withoutContent(fields));
}

function levelOf(event: WorkerEvent): Level {
  if (event.type === "sandbox.failed" || (event.type === "item.ended" && event.because === "failed")) return "error";
  return problems.includes(event.type) || "failure" in event ? "warn" : "info";
}

function withoutContent(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  const { input: _input, text, ...rest } = fields;
  return typeof text === "string" ? { ...rest, textChars: text.length } : rest;
}
