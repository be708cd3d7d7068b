import { checkName, invalid } from "./checks.ts";

/** One thing of a directory tree, under way in or out of a sandbox. `path` is relative, with `/` between segments. */
export type TreeEntry =
  | { readonly type: "directory"; readonly path: string; readonly mode?: number }
  | {
      readonly type: "file";
      readonly path: string;
      readonly mode?: number;
      /** As far as known beforehand; the content decides. */
      readonly sizeBytes?: number;
      /** Open the content. Called once at most, when it is its turn, so that no two thousand files are open at once. */
      open(): Promise<ReadableStream<Uint8Array>>;
    }
  | { readonly type: "symlink"; readonly path: string; readonly target: string };

/**
 * The segments of a tree entry's path.
 * @throws {SandboxError} `invalid_argument`: absolute, empty, or with a segment that is empty, `.` or `..`
 */
export function treeSegments(path: string): readonly string[] {
  const segments = checkName("an entry's path", path).split("/");
  const wrong = segments.find((segment) => segment === "" || segment === "." || segment === "..");
  if (wrong !== undefined) invalid(`entry ${JSON.stringify(path)}; give a relative path without empty segments, "." and ".."`);
  return segments;
}
