import { ApiFailure } from "./failure.ts";

const maxPathBytes = 1024;
const maxSegments = 20;

/** Control and format characters, line and paragraph separators, lone surrogates. */
const forbidden = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** @throws {ApiFailure} 400: no path of a memory. Source: reference 12.1 */
export function checkMemoryPath(path: string): void {
  const wrong = problemOf(path);
  if (wrong !== undefined) throw new ApiFailure(400, `path: ${wrong}.`);
}

function problemOf(path: string): string | undefined {
  if (!path.startsWith("/")) return "must start with /";
  if (Buffer.byteLength(path) > maxPathBytes) return `must have at most ${maxPathBytes} bytes`;
  if (forbidden.test(path)) return "must not contain control or format characters";
  if (path.normalize("NFC") !== path) return "must be in Unicode Normalization Form C";
  const segments = path.slice(1).split("/");
  if (segments.length > maxSegments) return `must have at most ${maxSegments} segments`;
  if (segments.some((segment) => segment === "" || segment === "." || segment === "..")) return "must not have empty, . or .. segments";
  return undefined;
}

/** Whether two memories cannot be in one store: the same path, or one the directory of the other. */
export function pathsClash(left: string, right: string): boolean {
  return left === right || left.startsWith(`${right}/`) || right.startsWith(`${left}/`);
}

/** What a listing of `prefix` shows of a path with `depth` 1: itself, or the directory that it is in. */
export function directChild(path: string, prefix: string): string {
  const slash = path.indexOf("/", prefix.length);
  return slash === -1 ? path : path.slice(0, slash + 1);
}
