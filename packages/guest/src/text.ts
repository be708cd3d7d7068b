import type { TextFacet } from "@glovebox/core";
import { callGuest, type GuestLink } from "./call.ts";
import { invalidRequest, violation } from "./failures.ts";
import { booleanMember, integerMember, parseJson, wordMember } from "./json.ts";
import { parseAbsolutePath, parseSizeBytes } from "./results.ts";

/** A path of any length that Linux knows, escaped. */
const MAX_PATH_BYTES = 32_768;

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8");
const engines: ReadonlySet<"ripgrep" | "builtin"> = new Set(["ripgrep", "builtin"] as const);

/** As UTF-8; what UTF-8 cannot say is refused rather than replaced. */
export function encoded(text: string, name: string): Uint8Array {
  if (!text.isWellFormed()) throw invalidRequest(`${name} holds a lone surrogate, which UTF-8 cannot say`);
  return encoder.encode(text);
}

export function textFacet(link: GuestLink): TextFacet {
  return {
    readLines: ({ path, roots, start, end, maxBytes }, { signal }) =>
      callGuest(
        link,
        {
          request: { op: "text.readLines", path, roots, start, end, maxBytes },
          readOnly: true,
          maxOutputBytes: maxBytes,
          parse: (result, content) => ({ content, sizeBytes: parseSizeBytes(result) }),
        },
        signal,
      ),
    edit: async ({ path, roots, oldString, newString, replaceAll, maxBytes }, { signal, call }) => {
      const [old, fresh] = [encoded(oldString, "oldString"), encoded(newString, "newString")];
      return callGuest(
        link,
        {
          request: { op: "text.edit", path, roots, oldBytes: old.length, newBytes: fresh.length, replaceAll, maxBytes },
          readOnly: false,
          key: call,
          input: [old, fresh],
          maxOutputBytes: 0,
          parse: (result) => ({
            occurrences: integerMember(result, "occurrences", 0, Number.MAX_SAFE_INTEGER),
            edited: booleanMember(result, "edited"),
          }),
        },
        signal,
      );
    },
    glob: ({ path, roots, pattern, maxResults, maxEntries }, { signal }) =>
      callGuest(
        link,
        {
          request: { op: "text.glob", path, roots, pattern, maxResults, maxEntries },
          readOnly: true,
          maxOutputBytes: maxResults * MAX_PATH_BYTES,
          parse: (result, output) => ({ paths: parsePaths(output, maxResults), cut: booleanMember(result, "cut") }),
        },
        signal,
      ),
    grep: ({ path, roots, pattern, maxBytes, timeoutMs }, { signal }) =>
      callGuest(
        link,
        {
          request: { op: "text.grep", path, roots, pattern, maxBytes, timeoutMs },
          readOnly: true,
          maxOutputBytes: maxBytes,
          parse: (result, output) => ({
            output,
            matched: booleanMember(result, "matched"),
            cut: booleanMember(result, "cut"),
            engine: wordMember(result, "engine", engines),
          }),
        },
        signal,
      ),
  };
}

/** One JSON string a line. */
function parsePaths(output: Uint8Array, maxResults: number): readonly string[] {
  if (output.length === 0) return [];
  const lines = decoder.decode(output).split("\n");
  if (lines.pop() !== "" || lines.length > maxResults) throw violation("paths that do not end, or too many");
  return lines.map((line) => parseAbsolutePath(parseJson(encoder.encode(line))));
}
