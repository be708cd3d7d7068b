import { type TreeEntry, globMatcher } from "../../src/index.ts";
import { fakeCapabilities } from "../fake-provider.ts";
import { type Behaviours, type Output, equal, make, refused, text, thrown } from "./behave.ts";

const byName = ([a]: readonly unknown[], [b]: readonly unknown[]): number => (String(a) < String(b) ? -1 : 1);
const tree = (path: string, content: string, mode?: number): TreeEntry => ({
  type: "file",
  path,
  ...(mode === undefined ? {} : { mode }),
  open: async () => new Blob([content]).stream(),
});

/** Files, trees of them, and text. */
export const fileBehaviours: Behaviours = {
  "files: bytes, ranges, text, streams, and any valid name": async () => {
    await using sandbox = await make();
    const { files } = sandbox;
    for (const name of ["-n", "a b", "'\"", "line\nbreak", "ünï/cøde", "..."]) {
      equal(await files.write(name, new Uint8Array([0, 255, 10])), { sizeBytes: 3 });
      equal(await files.read(`/workspace/${name}`), new Uint8Array([0, 255, 10]));
    }
    await files.write("text", "\ufeffhällo");
    equal([await files.readText("text"), await files.readText("text", { offset: 3, length: 1 })], ["\ufeffhällo", "h"]);
    equal(await text(await files.readStream("text", { offset: 4 })), "ällo");
    await refused(files.read("text", { maxBytes: 8 }), "resource_exhausted", "text has more than 8 bytes; use readStream, or a larger maxBytes");
    for (const path of ["", "a\0", "\udc00"]) await refused(files.read(path), "invalid_argument", /path/u);
    await refused(files.write("x", "x", { mode: 0o10000 }), "invalid_argument", /mode is 4096/u);
    await refused(files.write("text", "", { exclusive: true }), "already_exists", "/workspace/text: EEXIST");
  },
  "files: stat, exists, list, mkdir, remove, rename, symlink, chmod": async () => {
    await using sandbox = await make();
    const { files } = sandbox;
    await files.mkdir("d/e");
    await files.write("d/f", "1", { mode: 0o600 });
    await files.symlink("d/l", "nowhere");
    equal((await Array.fromAsync(files.list("d"), ({ path, type, mode }) => [path, type, mode])).toSorted(byName), [
      ["e", "directory", 0o755],
      ["f", "file", 0o600],
      ["l", "symlink", 0o777],
    ]);
    equal([await files.exists("d/l"), await files.exists("d/f/x"), await files.exists("none")], [true, false, false]);
    equal((await files.stat("d/l", { follow: false })).target, "nowhere");
    await files.chmod("d/f", 0o640);
    await files.rename("d/f", "g");
    equal((await files.stat("g")).mode, 0o640);
    await refused(files.remove("d"), "failed_precondition", "/workspace/d: ENOTEMPTY");
    await files.remove("d", { recursive: true });
    await files.remove("d", { missingOk: true });
    equal(await files.exists("d"), false);
  },
  "files: a listing that is left ends at the driver, and its signal fires": async () => {
    const ended: unknown[] = [];
    const list = async function* (_request: unknown, { signal }: { readonly signal: AbortSignal }): AsyncGenerator {
      signal.addEventListener("abort", () => ended.push("aborted"));
      try {
        for (;;) yield { path: "x", type: "file" };
      } finally {
        ended.push("returned");
      }
    };
    await using sandbox = await make({ driver: ({ files }) => ({ files: Object.assign(Object.create(files), { list }) as typeof files }) });
    for await (const { path } of sandbox.files.list(".")) {
      equal(path, "x");
      break;
    }
    for (let tick = 0; tick < 50; tick++) await Promise.resolve();
    equal(ended, ["aborted", "returned"]);
  },
  "files: roots go to the driver, which holds them against links": async () => {
    await using sandbox = await make();
    const { files } = sandbox;
    await files.write("/etc/shadow", "secret");
    await files.symlink("l", "/etc");
    const roots = [{ path: "/workspace", writable: false }];
    await refused(files.read("l/shadow", { roots }), "permission_denied", /outside_roots/u);
    await refused(files.write("x", "x", { roots }), "permission_denied", /read_only_root/u);
    await refused(files.read("x", { roots: [] }), "invalid_argument", /roots is empty/u);
    await refused(files.read("x", { roots: [{ path: "w", writable: true }] }), "invalid_argument", /give an absolute path/u);
    await using loose = await make({ capabilities: { files: { ...fakeCapabilities.files, confined: false } } });
    await refused(loose.files.read("x", { roots }), "unsupported", /capability files.confined/u);
  },
  "files: a stream of 64 MiB goes in and out in pieces": async () => {
    let [most, written] = [0, 0];
    const count = async (_: unknown, content: ReadableStream<Uint8Array>): Promise<{ sizeBytes: number }> => {
      for await (const chunk of content) [most, written] = [Math.max(most, chunk.byteLength), written + chunk.byteLength];
      return { sizeBytes: written };
    };
    await using sandbox = await make({ driver: ({ files }) => ({ files: Object.assign(Object.create(files), { write: count }) as typeof files }) });
    equal(await sandbox.files.write("big", new Uint8Array(67_108_864)), { sizeBytes: 67_108_864 });
    equal([most, written], [65_536, 67_108_864]);
  },
  "files: an abort reaches a stream that is being read, even of a driver that ignores it": async () => {
    const cancelled = Promise.withResolvers<unknown>();
    const read = async (): Promise<{ sizeBytes: number; content: ReadableStream<Uint8Array> }> => ({
      sizeBytes: 1,
      content: new ReadableStream({ cancel: cancelled.resolve }),
    });
    await using sandbox = await make({ driver: ({ files }) => ({ files: Object.assign(Object.create(files), { read }) as typeof files }) });
    const controller = new AbortController();
    const reading = text(await sandbox.files.readStream("x", { signal: controller.signal }));
    controller.abort(new Error("enough"));
    equal(((await thrown(reading)) as Error).message, "enough");
    equal(((await cancelled.promise) as Error).message, "enough");
  },
  "upload and download: a tree comes back as it went, modes and links kept": async () => {
    await using sandbox = await make();
    const entries: TreeEntry[] = [
      { type: "directory", path: "d", mode: 0o555 },
      tree("d/run.sh", "#!/bin/sh\n", 0o755),
      tree("-a \n", ""),
      { type: "symlink", path: "l", target: "d/run.sh" },
    ];
    await sandbox.files.upload(entries, "to");
    const back = await Array.fromAsync(sandbox.files.download("to"), async (entry) =>
      entry.type === "file"
        ? [entry.path, entry.mode, await text(await entry.open())]
        : [entry.path, entry.type === "symlink" ? entry.target : entry.mode],
    );
    equal(back.toSorted(byName), [
      ["-a \n", 0o644, ""],
      ["d", 0o555],
      ["d/run.sh", 0o755, "#!/bin/sh\n"],
      ["l", "d/run.sh"],
    ]);
  },
  "upload: names that leave the tree, and paths below its own links, are refused": async () => {
    await using sandbox = await make();
    for (const path of ["../x", "/x", "a/../../x", "", "a//b", "."])
      await refused(sandbox.files.upload([tree(path, "")], "to"), "invalid_argument", /^.invalid/u);
    const through: TreeEntry[] = [{ type: "symlink", path: "l", target: "/etc" }, tree("l/x", "")];
    await refused(sandbox.files.upload(through, "to"), "invalid_argument", 'entry "l/x" lies below a link of this upload');
    const over: TreeEntry[] = [{ type: "symlink", path: "m", target: "/etc/m" }, tree("m", "")];
    await refused(sandbox.files.upload(over, "to"), "invalid_argument", 'entry "m" is a link of this upload already');
    await refused(sandbox.files.upload([tree("l/y", "")], "to"), "permission_denied", /outside_roots/u);
    equal(await sandbox.files.exists("/etc/y"), false);
  },
  "upload: the first failure is told and stops it": async () => {
    await using sandbox = await make();
    const failure = new Error("disk");
    const broken: TreeEntry = { type: "file", path: "b", open: () => Promise.reject(failure) };
    equal((await thrown(sandbox.files.upload([tree("a", "1"), broken], "to"))) === failure, true);
  },
  "download: a hostile name fails it": async () => {
    const list = async function* (): AsyncGenerator {
      yield { path: "../../.ssh/authorized_keys", type: "file", mode: 0o644, sizeBytes: 1 };
    };
    await using sandbox = await make({ driver: ({ files }) => ({ files: Object.assign(Object.create(files), { list }) as typeof files }) });
    await refused(Array.fromAsync(sandbox.files.download("x")), "invalid_argument", /give a relative path/u);
  },
  "text: lines, edits and globs over files": async () => {
    await using sandbox = await make();
    const { files } = sandbox;
    await files.write("f", "one\ntwo\r\nthree");
    const lines = async (start: number, end?: number, maxBytes = 100): Promise<string> =>
      new TextDecoder().decode((await files.readLines("f", { start, ...(end === undefined ? {} : { end }), maxBytes })).content);
    equal(
      [await lines(1), await lines(2, 2), await lines(2, 9), await lines(3), await lines(4)],
      ["one\ntwo\r\nthree", "two\r\n", "two\r\nthree", "three", ""],
    );
    await refused(lines(1, 2, 5), "resource_exhausted", /goes beyond 5 bytes/u);
    await refused(lines(2, 1), "invalid_argument", "end is 1; give a whole number from 2");
    await files.chmod("f", 0o755);
    equal(await files.edit("f", "two", "2$&"), { occurrences: 1, edited: true });
    equal([await files.readText("f"), (await files.stat("f")).mode], ["one\n2$&\r\nthree", 0o755]);
    equal(await files.edit("f", "e", "E"), { occurrences: 3, edited: false });
    equal(await files.edit("f", "e", "", { replaceAll: true }), { occurrences: 3, edited: true });
    equal(await files.edit("f", "zzz", "E"), { occurrences: 0, edited: false });
    await files.write("g", "aaaaa");
    equal(await files.edit("g", "aa", "b", { replaceAll: true }), { occurrences: 2, edited: true });
    equal(await files.readText("g"), "bba");
    await refused(files.edit("f", "", "E"), "invalid_argument", "oldString is empty; give the text to replace");
    for (const path of ["s/a.ts", "s/t/b.ts", "s/c.js", "node_modules/x.ts", ".git/y.ts"]) await files.write(path, "");
    equal(await files.glob("**/*.ts"), { paths: ["/workspace/s/t/b.ts", "/workspace/s/a.ts"], cut: false });
    equal(await files.glob("*.{ts,js}", { path: "s", maxResults: 1 }), { paths: ["/workspace/s/c.js"], cut: true });
  },
  "text: grep by ripgrep, else by grep, else unsupported; a pattern it refuses is told": async () => {
    const found = async ({ out }: Output): Promise<number> => (out("/workspace/f:1:hit\n"), 0);
    const bad = async ({ err }: Output): Promise<number> => (err("regex parse error"), 2);
    const missing = async (): Promise<number> => 127;
    for (const [programs, engine] of [
      [{ rg: missing, grep: found }, "builtin"],
      [{ rg: found }, "ripgrep"],
      [{ grep: found }, "builtin"],
    ] as const) {
      await using sandbox = await make({ programs });
      const { output, matched, cut, engine: by } = await sandbox.files.grep("hit");
      equal([new TextDecoder().decode(output), matched, cut, by], ["/workspace/f:1:hit\n", true, false, engine]);
    }
    await using without = await make();
    await refused(without.files.grep("x"), "unsupported", "the image has neither ripgrep nor grep");
    await using broken = await make({ programs: { rg: bad } });
    await refused(broken.files.grep("("), "invalid_argument", "the search failed: regex parse error");
  },
  "glob: stars stay in a segment, two do not, sets and braces": async () => {
    const cases: readonly (readonly [string, string, boolean])[] = [
      ["*.ts", "a.ts", true],
      ["*.ts", "d/a.ts", false],
      ["**/*.ts", "a.ts", true],
      ["**/*.ts", "d/e/a.ts", true],
      ["src/**", "src/a/b", true],
      ["a?c", "abc", true],
      ["[!a-c]x", "dx", true],
      ["[a-c]x", "dx", false],
      ["[]]", "]", true],
      ["{a,b{1,2}}.js", "b2.js", true],
      ["{a,b{1,2}}.js", "b.js", false],
      ["\\*", "*", true],
      ["\\*", "a", false],
      ["(a+)+", "(a+)+", true],
      [`${"*a".repeat(50)}b`, "a".repeat(5_000), false],
    ];
    for (const [pattern, path, expected] of cases) equal([pattern, globMatcher(pattern)(path)], [pattern, expected]);
    await refused(() => globMatcher("{a,b}".repeat(9)), "invalid_argument", /more than 256 alternatives/u);
  },
};
