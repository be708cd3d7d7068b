import { SandboxError } from "../errors.ts";
import { OutputCollector, collect } from "../output.ts";
import type { CallOptions, FileStat, PathRequest, SandboxDriver, TextFacet } from "../provider.ts";
import { globMatcher } from "./glob.ts";

const newline = 0x0a;

/**
 * The agent tools' ways with text over files and programs, for drivers without a text facet. Honest about what that costs: `edit` reads and writes
 * in two steps, so a change by others between them is lost; `glob` makes a call for each directory; `grep` needs ripgrep or grep in the image, and
 * checks `roots` before it starts, following no links from there on.
 */
export function emulatedText(driver: SandboxDriver): TextFacet {
  return {
    readLines: async (request, options) => await readLines(driver, request, options),
    edit: async (request, options) => await edit(driver, request, options),
    glob: async (request, options) => await glob(driver, request, options),
    grep: async (request, options) => await grep(driver, request, options),
  };
}

async function readLines(
  driver: SandboxDriver,
  request: Parameters<TextFacet["readLines"]>[0],
  options: CallOptions,
): ReturnType<TextFacet["readLines"]> {
  const { start, end = Infinity, maxBytes, ...where } = request;
  const { sizeBytes, content } = await driver.files.read(where, options);
  const collector = new OutputCollector({ maxBytes, keep: "head" });
  let line = 1;
  for await (const chunk of content) {
    let from = line >= start ? 0 : chunk.byteLength;
    let to = chunk.byteLength;
    for (let at = chunk.indexOf(newline); at >= 0; at = chunk.indexOf(newline, at + 1)) {
      line++;
      if (line === start) from = at + 1;
      if (line > end) {
        to = at + 1;
        break;
      }
    }
    collector.add(chunk.subarray(from, Math.max(from, to)));
    if (collector.droppedBytes > 0)
      throw tooLarge(`${request.path}: line ${line}, the last read, goes beyond ${maxBytes} bytes; ask for fewer lines`);
    if (line > end) break; // leaving the loop cancels the stream
  }
  return { content: collector.bytes(), sizeBytes };
}

async function edit(
  driver: SandboxDriver,
  request: Parameters<TextFacet["edit"]>[0],
  options: Parameters<TextFacet["edit"]>[1],
): ReturnType<TextFacet["edit"]> {
  const { oldString, newString, replaceAll, maxBytes, ...where } = request;
  if (options.call !== undefined) {
    throw new SandboxError("unsupported", "an emulated edit cannot happen at most once; leave call out", { effect: "none" });
  }
  const { sizeBytes, content } = await driver.files.read(where, options);
  const collector = new OutputCollector({ maxBytes, keep: "head" });
  if (sizeBytes <= maxBytes) for await (const chunk of content) collector.add(chunk);
  else await content.cancel();
  if (sizeBytes > maxBytes || collector.droppedBytes > 0) throw tooLarge(`${request.path} has more than ${maxBytes} bytes`);
  const [bytes, oldBytes, newBytes] = [collector.bytes(), new TextEncoder().encode(oldString), new TextEncoder().encode(newString)];
  const found = occurrences(bytes, oldBytes);
  if (found.length === 0 || (found.length > 1 && !replaceAll)) return { occurrences: found.length, edited: false };
  const edited = new Blob(splice(bytes, found, oldBytes.byteLength, newBytes)).stream();
  await driver.files.write({ ...where, mode: 0o644, createParents: false, parentMode: 0o755, exclusive: false }, edited, { signal: options.signal });
  return { occurrences: found.length, edited: true };
}

/** Where `needle` stands in `bytes`, without overlap. */
function occurrences(bytes: Uint8Array, needle: Uint8Array): readonly number[] {
  const found: number[] = [];
  const [first] = needle;
  if (first === undefined) return found;
  for (let at = bytes.indexOf(first); at >= 0;) {
    const matches = needle.every((byte, index) => bytes[at + index] === byte);
    if (matches) found.push(at);
    at = bytes.indexOf(first, at + (matches ? needle.byteLength : 1));
  }
  return found;
}

function splice(
  bytes: Uint8Array<ArrayBuffer>,
  found: readonly number[],
  oldLength: number,
  replacement: Uint8Array<ArrayBuffer>,
): Uint8Array<ArrayBuffer>[] {
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let from = 0;
  for (const at of found) {
    parts.push(bytes.subarray(from, at), replacement);
    from = at + oldLength;
  }
  parts.push(bytes.subarray(from));
  return parts;
}

async function glob(driver: SandboxDriver, request: Parameters<TextFacet["glob"]>[0], options: CallOptions): ReturnType<TextFacet["glob"]> {
  const { pattern, maxResults, maxEntries, ...where } = request;
  const matches = globMatcher(pattern);
  const found: { readonly path: string; readonly modifiedAt: string }[] = [];
  const waiting = [""];
  let [seen, cut] = [0, false];
  for (let directory = waiting.pop(); directory !== undefined && !cut; directory = waiting.pop()) {
    for await (const entry of listed(driver, { ...where, path: join(where.path, directory) }, directory === "", options)) {
      cut = ++seen > maxEntries;
      if (cut) break;
      const path = directory === "" ? entry.path : `${directory}/${entry.path}`;
      if (entry.type === "directory" && entry.path !== ".git" && entry.path !== "node_modules") waiting.push(path);
      if (entry.type === "file" && matches(path)) found.push({ path: join(where.path, path), modifiedAt: entry.modifiedAt });
    }
  }
  found.sort((a, b) => Date.parse(b.modifiedAt) - Date.parse(a.modifiedAt) || (a.path < b.path ? -1 : 1));
  return { paths: found.slice(0, maxResults).map(({ path }) => path), cut: cut || found.length > maxResults };
}

/** A directory's entries; one below the first that vanished or may not be read is left out. */
async function* listed(
  driver: SandboxDriver,
  request: PathRequest,
  first: boolean,
  options: CallOptions,
): AsyncGenerator<FileStat & { readonly path: string }, void, undefined> {
  try {
    yield* driver.files.list({ ...request, recursive: false }, options);
  } catch (error) {
    if (first || !SandboxError.is(error) || !["not_found", "permission_denied", "failed_precondition"].includes(error.code)) throw error;
  }
}

async function grep(driver: SandboxDriver, request: Parameters<TextFacet["grep"]>[0], options: CallOptions): ReturnType<TextFacet["grep"]> {
  const { pattern, maxBytes, timeoutMs, ...where } = request;
  await driver.files.stat({ ...where, follow: true }, options);
  const shared = ["--with-filename", "--line-number", "--color=never", "--no-messages", "--regexp", pattern, "--", where.path] as const;
  const engines = {
    ripgrep: ["rg", "--no-config", "--no-heading", ...shared],
    builtin: ["grep", "--recursive", "--binary-files=without-match", "--extended-regexp", ...shared],
  } as const;
  for (const engine of ["ripgrep", "builtin"] as const) {
    const found = await search(driver, engines[engine], { maxBytes, timeoutMs }, options);
    if (found === undefined) continue;
    if (found.timedOut) throw new SandboxError("deadline_exceeded", `the search took longer than ${timeoutMs} ms; narrow it`, { effect: "none" });
    const matched = found.output.byteLength > 0;
    if (found.errors !== "" && !matched) {
      throw new SandboxError("invalid_argument", `the search failed: ${found.errors}`, { effect: "none" });
    }
    return { output: found.output, matched, cut: found.cut, engine };
  }
  throw new SandboxError("unsupported", "the image has neither ripgrep nor grep", { effect: "none" });
}

interface Search {
  readonly output: Uint8Array;
  readonly errors: string;
  readonly cut: boolean;
  readonly timedOut: boolean;
}

/** @returns `undefined` where the image has no such program */
async function search(
  driver: SandboxDriver,
  argv: readonly [string, ...string[]],
  { maxBytes, timeoutMs }: { readonly maxBytes: number; readonly timeoutMs: number },
  options: CallOptions,
): Promise<Search | undefined> {
  const output = { maxBytes, keep: "head" } as const;
  try {
    const process = await driver.spawn({ argv, cwd: driver.workdir, env: {}, stdin: "null", output, timeoutMs }, options);
    const [exit, stdout, stderr] = await Promise.all([
      process.exit,
      collect(process.stdout, output, options.signal),
      collect(process.stderr, { maxBytes: 4_096, keep: "head" }, options.signal),
    ]);
    if (exit.code === 127) return undefined;
    const cut = exit.droppedBytes.stdout + stdout.droppedBytes > 0;
    return { output: stdout.bytes(), errors: new TextDecoder().decode(stderr.bytes()).trim(), cut, timedOut: exit.timedOut };
  } catch (error) {
    if (SandboxError.is(error) && error.reason === "ENOENT") return undefined;
    throw error;
  }
}

function join(base: string, path: string): string {
  return path === "" ? base : `${base === "/" ? "" : base}/${path}`;
}

function tooLarge(message: string): SandboxError {
  return new SandboxError("resource_exhausted", message, { effect: "none", reason: "too_large" });
}
