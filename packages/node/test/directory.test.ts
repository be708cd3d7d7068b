import type { TreeEntry } from "@glovebox/core";
import { directoryEntries, localFileStream, writeDirectory } from "@glovebox/node";
import { execFileSync } from "node:child_process";
import { chmod, lstat, mkdir, mkdtemp, readFile, readdir, readlink, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";

const freshDirectory = async (): Promise<string> => await mkdtemp(join(tmpdir(), "glovebox-tree-"));
const file = (path: string, text: string, mode?: number): TreeEntry => ({
  type: "file",
  path,
  ...(mode === undefined ? {} : { mode }),
  open: async () => new Blob([text]).stream(),
});

test("a tree is read in order, links told and not followed, FIFOs left out, and written the same", async () => {
  const [from, to] = [await freshDirectory(), join(await freshDirectory(), "made", "here")];
  await mkdir(join(from, "locked"));
  await writeFile(join(from, "locked", "run.sh"), "#!/bin/sh\n");
  await chmod(join(from, "locked", "run.sh"), 0o750);
  await chmod(join(from, "locked"), 0o555);
  await writeFile(join(from, "-n \n'ü"), new Uint8Array([0, 255, 10]));
  await symlink("locked/run.sh", join(from, "link"));
  execFileSync("/bin/sh", ["-c", 'mkfifo "$0"', join(from, "pipe")]);
  const entries: string[] = [];
  const told = async function* (): AsyncGenerator<TreeEntry> {
    for await (const entry of directoryEntries(from)) {
      entries.push(`${entry.type} ${entry.path} ${"mode" in entry ? entry.mode?.toString(8) : entry.type === "symlink" ? entry.target : ""}`);
      yield entry;
    }
  };
  await writeDirectory(told(), to);
  expect(entries).toEqual(["file -n \n'ü 644", "symlink link locked/run.sh", "directory locked 555", "file locked/run.sh 750"]);
  expect(new Uint8Array(await readFile(join(to, "-n \n'ü")))).toEqual(new Uint8Array([0, 255, 10]));
  expect(await readlink(join(to, "link"))).toBe("locked/run.sh");
  expect((await lstat(join(to, "locked"))).mode & 0o777).toBe(0o555);
  expect((await lstat(join(to, "locked", "run.sh"))).mode & 0o777).toBe(0o750);
  expect((await readdir(to)).toSorted()).toEqual(["-n \n'ü", "link", "locked"]);
});

test.each(["/etc/passwd", "../up", "a/../../up", "a//b", "./a", "", "a/.", "nul\0", "lone\ud800"])("the name %j is refused", async (path) => {
  await expect(writeDirectory([file(path, "x")], await freshDirectory())).rejects.toMatchObject({ code: "invalid_argument", effect: "none" });
});

test.each([
  ["/etc", "l"],
  ["..", "l"],
  ["../..", "d/l"],
  ["../../x", "d/l"],
  ["x/../..", "d/e/l"],
  ["", "l"],
])("a link to %j at %s is refused", async (target, path) => {
  const root = await freshDirectory();
  await expect(writeDirectory([{ type: "symlink", path, target }], root)).rejects.toMatchObject({
    code: "permission_denied",
    reason: "outside_roots",
  });
  await expect(lstat(join(root, path))).rejects.toMatchObject({ code: "ENOENT" });
});

test("links that stay inside are made", async () => {
  const root = await freshDirectory();
  await writeDirectory(
    [
      { type: "symlink", path: "d/l", target: "../x" },
      { type: "symlink", path: "d/e/l", target: "../../d" },
    ],
    root,
  );
  expect(await readlink(join(root, "d/l"))).toBe("../x");
});

test("nothing is written through a link, neither one of the tree nor one that was there; a link in a file's place is replaced", async () => {
  const [root, outside] = [await freshDirectory(), await freshDirectory()];
  await writeFile(join(outside, "victim"), "untouched");
  await symlink(outside, join(root, "old"));
  await symlink(join(outside, "victim"), join(root, "victim"));
  await expect(writeDirectory([file("old/victim", "x")], root)).rejects.toMatchObject({ reason: "outside_roots" });
  await expect(writeDirectory([{ type: "symlink", path: "new", target: "d" }, file("new/x", "x")], root)).rejects.toMatchObject({
    reason: "outside_roots",
  });
  await writeDirectory([file("victim", "mine", 0o4755)], root);
  expect(await readFile(join(outside, "victim"), "utf8")).toBe("untouched");
  expect(await readFile(join(root, "victim"), "utf8")).toBe("mine");
  expect((await lstat(join(root, "victim"))).mode & 0o7777).toBe(0o755);
  expect(await readdir(outside)).toEqual(["victim"]);
});

test("bytes and entries are bounded, and a draft is not left", async () => {
  const root = await freshDirectory();
  await writeDirectory([file("a", "12345"), file("b", "12345")], root, { maxBytes: 10, maxEntries: 2 });
  await expect(writeDirectory([file("c", "12345"), file("d", "123456")], root, { maxBytes: 10 })).rejects.toMatchObject({ reason: "too_large" });
  await expect(writeDirectory([file("e", ""), file("f", "")], root, { maxEntries: 1 })).rejects.toMatchObject({ reason: "too_large" });
  expect((await readdir(root)).toSorted()).toEqual(["a", "b", "c", "e"]);
});

test("an abort is thrown as it is, in the middle of a file too, and no draft is left", async () => {
  const [root, controller] = [await freshDirectory(), new AbortController()];
  const endless = new ReadableStream<Uint8Array>(
    { pull: (each) => (controller.abort("enough"), each.enqueue(new Uint8Array(1))) },
    { highWaterMark: 0 },
  );
  const entry: TreeEntry = { type: "file", path: "a", open: async () => endless };
  await expect(writeDirectory([entry], root, { signal: controller.signal, maxBytes: 100 })).rejects.toBe("enough");
  expect(await readdir(root)).toEqual([]);
});

test("whatever a stranger's tree says, only what is below the directory changes", async () => {
  const segment = fc.constantFrom("a", "b", "..", ".", "", "etc", "l");
  const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join("/"));
  const entry: fc.Arbitrary<TreeEntry> = fc.oneof(
    path.map((each) => file(each, "x")),
    path.map((each): TreeEntry => ({ type: "directory", path: each })),
    fc.tuple(path, path).map(([each, target]): TreeEntry => ({ type: "symlink", path: each, target })),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 8 }), async (tree) => {
      const parent = await freshDirectory();
      const root = join(parent, "middle", "root");
      await mkdir(root, { recursive: true });
      for (const each of tree) await writeDirectory([each], root).catch(() => undefined);
      expect(await readdir(parent)).toEqual(["middle"]);
      expect(await readdir(join(parent, "middle"))).toEqual(["root"]);
    }),
    { numRuns: 60 },
  );
});

test("a local stream refuses links and FIFOs at once, and says what is missing", async () => {
  const root = await freshDirectory();
  await symlink("/etc/passwd", join(root, "link"));
  execFileSync("/bin/sh", ["-c", 'mkfifo "$0"', join(root, "pipe")]);
  await expect(localFileStream(join(root, "link"))).rejects.toMatchObject({ code: "failed_precondition", reason: "ELOOP" });
  await expect(localFileStream(join(root, "pipe"))).rejects.toMatchObject({ reason: "not_regular_file" });
  await expect(localFileStream(join(root, "none"))).rejects.toMatchObject({ code: "not_found", reason: "ENOENT" });
});
