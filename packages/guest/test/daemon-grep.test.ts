import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DaemonContainer, type Ended, type Peer } from "./daemon-harness.ts";
import { PlainImage } from "./plain-image.ts";

type Engine = "ripgrep" | "builtin";

/** The same tree for both, made by the agent. */
const tree = String.raw`
mkdir -p /workspace/tree/src/deep /workspace/tree/.hidden /workspace/tree/node_modules /workspace/tree/.git /workspace/tree/ignored
cd /workspace/tree
printf 'needle one\nother\nneedle two' >src/plain
printf 'a.b*c[d]\nfoo(bar)\nNEEDLE\n\ttab\n' >src/meta
printf 'needle caf\303\251 \360\237\230\200\n' >src/deep/unicode
printf '\n\nneedle in line 3\n' >'src/deep/with space'
printf 'needle\n' >src/-dash
printf '\000needle\n' >src/binary
printf 'needle first\n\000rest\n' >src/binary-late
ln -s plain src/link; ln -s src linked; ln -s nowhere dangling; ln -s .. src/deep/up
mkfifo src/fifo
: >src/empty
printf 'needle\n' >.hidden/inside; printf 'needle\n' >.dotfile
printf 'needle\n' >.git/object; printf 'needle\n' >node_modules/module
printf 'ignored\n' >.ignore; printf 'needle\n' >ignored/inside
mkdir /workspace/forms; cd /workspace/forms
printf 'needle crlf\r\n' >crlf
printf '\357\273\277needle bom\n' >bom
printf '\377\376n\000e\000e\000d\000l\000e\000\n\000' >utf16
printf 'needle \377 wrong\n' >wrong
awk 'BEGIN { while (i++ < 300) x = x "0123456789"; print x "needle"; print "needle short" }' >long
mkdir /workspace/part; cd /workspace/part; echo needle >readable; echo needle >unreadable; chmod 0 unreadable
mkdir /workspace/many; awk 'BEGIN { while (i++ < 20000) print "line " i " needle" }' >/workspace/many/lines
mkdir /workspace/chain; cd /workspace/chain
for depth in $(seq 1 45); do printf 'needle\n' >file; mkdir d; cd d; done
mkdir /workspace/entries; cd /workspace/entries; seq 1 50100 | xargs touch; echo needle >1
mkdir /workspace/slow; cd /workspace/slow; echo 'needle é' >first
awk 'BEGIN { print "needle é"; while (i++ < 600000) print "ééééé ééééé ééééé ééééé ééééé " i }' >words
`;
/** Slow for both: word boundaries of Unicode, in text beyond ASCII. */
const slowly = String.raw`\b\w+é\w+\b \bneedle\b|needle é$|\bé\w{3,9}x\b`;

const peers = new Map<Engine, Peer>();
let opened: AsyncDisposable | undefined;

beforeAll(async () => {
  await using stack = new AsyncDisposableStack();
  const plain = stack.use(await PlainImage.make());
  for (const [engine, image] of [["ripgrep", undefined] as const, ["builtin", plain.tag] as const]) {
    const guest = stack.use(await DaemonContainer.start({ image }));
    peers.set(engine, await guest.join());
  }
  const made = await Promise.all([...peers.values()].map((peer) => peer.exec(["sh", "-ec", tree])));
  for (const { result, errors } of made) if (result?.code !== 0) throw new Error(`the tree was not made: ${errors.toString()}`);
  opened = stack.move();
}, 120_000);

afterAll(async () => {
  await opened?.[Symbol.asyncDispose]();
}, 60_000);

interface Search {
  readonly pattern: string;
  readonly path?: string;
  readonly maxBytes?: number;
  readonly timeoutMs?: number;
}

async function search(engine: Engine, { pattern, path = "/workspace/tree", maxBytes = 1_000_000, timeoutMs = 20_000 }: Search): Promise<Ended> {
  const peer = peers.get(engine);
  if (peer === undefined) throw new Error(`no guest with ${engine}`);
  const ended = await peer.call({ op: "text.grep", path, pattern, maxBytes, timeoutMs });
  if (ended.result !== undefined) expect(ended.result.engine).toBe(engine);
  return ended;
}

/** Lines in an order of their own: ripgrep's is another each time. */
const lines = ({ output }: Ended): string[] => output.toString().split("\n").slice(0, -1).sort();

const tree1 = (...found: string[]): string[] => found.map((line) => `/workspace/tree/${line}`).sort();
const needles = tree1(
  "src/-dash:1:needle",
  "src/deep/unicode:1:needle café 😀",
  "src/deep/with space:3:needle in line 3",
  "src/plain:1:needle one",
  "src/plain:3:needle two",
);

describe("both engines", () => {
  test.each<[string, Search, string[]]>([
    ["a word, not in binary files, links, FIFOs or node_modules", { pattern: "needle", path: "/workspace/tree/src" }, needles],
    ["a path that is a link to a directory", { pattern: "needle", path: "/workspace/tree/linked" }, needles],
    ["nothing", { pattern: "nowhere to be found" }, []],
    ["no case", { pattern: "(?i)needle$" }, tree1("src/meta:3:NEEDLE", "src/-dash:1:needle")],
    ["anchors", { pattern: "^needle (one|two)$" }, tree1("src/plain:1:needle one", "src/plain:3:needle two")],
    ["escapes", { pattern: String.raw`a\.b\*c\[d\]|foo\(bar\)` }, tree1("src/meta:1:a.b*c[d]", "src/meta:2:foo(bar)")],
    ["classes", { pattern: String.raw`^\s[[:alpha:]]+$|\p{Lu}{6}` }, tree1("src/meta:3:NEEDLE", "src/meta:4:\ttab")],
    ["word boundaries and repetition", { pattern: String.raw`\bne{2}dl\w\b \d?on.` }, tree1("src/plain:1:needle one")],
    ["characters beyond ASCII", { pattern: String.raw`caf. \x{1F600}` }, tree1("src/deep/unicode:1:needle café 😀")],
    ["a pattern like an option", { pattern: "-e" }, []],
  ])("find %s", async (_name, request, expected) => {
    const inside = request.path === undefined ? { ...request, path: "/workspace/tree/src" } : request;
    for (const engine of ["ripgrep", "builtin"] as const) {
      const ended = await search(engine, inside);
      const found = lines(ended).map((line) => line.replace("/workspace/tree/linked/", "/workspace/tree/src/"));
      expect([engine, found, ended.result]).toEqual([engine, expected, { matched: expected.length > 0, cut: false, engine }]);
    }
  });

  test.each([
    ["an open group", "("],
    ["an open class", "[a"],
    ["a look-ahead", "(?=a)"],
    ["a back-reference", String.raw`(a)\1`],
    ["a wrong range", "[z-a]"],
    ["nothing to repeat", "*"],
  ])("refuse %s", async (_name, pattern) => {
    for (const engine of ["ripgrep", "builtin"] as const) {
      expect((await search(engine, { pattern })).error).toMatchObject({ code: "invalid_argument", effect: "none", reason: "grep_failed" });
    }
  });

  test.each([
    ["what is not there", "/workspace/absent", { code: "not_found", reason: "ENOENT", message: "/workspace/absent: no such file or directory" }],
    ["a FIFO, at once", "/workspace/tree/src/fifo", { code: "failed_precondition", reason: "not_regular_file" }],
    ["a device", "/dev/zero", { code: "failed_precondition", reason: "not_regular_file" }],
    ["a dangling link", "/workspace/tree/dangling", { code: "not_found", reason: "ENOENT" }],
  ])("refuse %s", async (_name, path, error) => {
    for (const engine of ["ripgrep", "builtin"] as const) {
      expect((await search(engine, { pattern: "x", path })).error).toMatchObject({ ...error, effect: "none" });
    }
  });

  test("say that their output is cut, at the byte", async () => {
    for (const engine of ["ripgrep", "builtin"] as const) {
      for (const maxBytes of [1, 1_000]) {
        const cut = await search(engine, { pattern: "needle", path: "/workspace/many", maxBytes });
        expect([engine, cut.output.length, cut.result]).toEqual([engine, maxBytes, { matched: true, cut: true, engine }]);
        expect("/workspace/many/lines:1:line 1 needle\n".startsWith(cut.output.toString().slice(0, 38))).toBe(true);
      }
      const whole = await search(engine, { pattern: "needle", path: "/workspace/many" });
      expect([lines(whole).length, whole.result.cut]).toEqual([20_000, false]);
    }
  });

  test("end in time, with what they found", { timeout: 30_000 }, async () => {
    for (const engine of ["ripgrep", "builtin"] as const) {
      const some = await search(engine, { pattern: slowly, path: "/workspace/slow", timeoutMs: 400 });
      expect([engine, some.result]).toEqual([engine, { matched: true, cut: true, engine }]);
      // A file that it did not come to the end of is not printed by ripgrep, which looks at others meanwhile.
      expect(lines(some)).toContain(`/workspace/slow/${engine === "ripgrep" ? "first" : "words"}:1:needle é`);
      const none = await search(engine, { pattern: slowly.replace("|needle é$", ""), path: "/workspace/slow/words", timeoutMs: 100 });
      expect(none.error).toEqual({ code: "deadline_exceeded", message: "grep: timed out after 100ms", effect: "none" });
    }
  });

  test("are four at once; a fifth waits, no longer than its time", { timeout: 30_000 }, async () => {
    for (const engine of ["ripgrep", "builtin"] as const) {
      const long = Array.from({ length: 4 }, () => search(engine, { pattern: slowly, path: "/workspace/slow/words", timeoutMs: 1_500 }));
      let fifth = await search(engine, { pattern: "needle", path: "/workspace/forms", timeoutMs: 200 });
      while (fifth.result !== undefined) fifth = await search(engine, { pattern: "needle", path: "/workspace/forms", timeoutMs: 200 }); // it came first
      expect(fifth.error).toEqual({ code: "deadline_exceeded", message: "grep: other searches took all of 200ms", effect: "none" });
      await Promise.all(long);
    }
  });
});

describe("where they differ", () => {
  test.each<[string, Search, Readonly<Record<Engine, string[]>>]>([
    [
      "ripgrep heeds ignore files and passes over hidden files; the built-in passes over .git and node_modules",
      { pattern: "^needle$" },
      {
        ripgrep: tree1("node_modules/module:1:needle", "src/-dash:1:needle"),
        builtin: tree1(".dotfile:1:needle", ".hidden/inside:1:needle", "ignored/inside:1:needle", "src/-dash:1:needle"),
      },
    ],
    [
      "of a single file, ripgrep prints no path",
      { pattern: "two", path: "/workspace/tree/src/plain" },
      { ripgrep: ["3:needle two"], builtin: ["/workspace/tree/src/plain:3:needle two"] },
    ],
    [
      "of a single binary file, ripgrep says that it matches",
      { pattern: "needle", path: "/workspace/tree/src/binary-late" },
      { ripgrep: [String.raw`binary file matches (found "\0" byte around offset 13)`], builtin: [] },
    ],
    [
      "ripgrep keeps a carriage return, takes a byte-order mark off and reads UTF-16; the built-in takes no line above 2,000 bytes",
      { pattern: "needle( [a-z]+)?", path: "/workspace/forms" },
      {
        ripgrep: [
          "bom:1:needle bom",
          "crlf:1:needle crlf\r",
          `long:1:${"0123456789".repeat(300)}needle`,
          "long:2:needle short",
          "utf16:1:needle",
          "wrong:1:needle \uFFFD wrong",
        ].map((line) => `/workspace/forms/${line}`),
        builtin: ["bom:1:\uFEFFneedle bom", "crlf:1:needle crlf", "long:2:needle short", "wrong:1:needle \uFFFD wrong"].map(
          (line) => `/workspace/forms/${line}`,
        ),
      },
    ],
    [
      "in ripgrep the end of a line is the line feed",
      { pattern: "crlf$", path: "/workspace/forms" },
      { ripgrep: [], builtin: ["/workspace/forms/crlf:1:needle crlf"] },
    ],
    [
      "in ripgrep a dot matches no wrong UTF-8",
      { pattern: "needle.+wrong", path: "/workspace/forms" },
      { ripgrep: [], builtin: ["/workspace/forms/wrong:1:needle \uFFFD wrong"] },
    ],
  ])("%s", async (_name, request, expected) => {
    for (const engine of ["ripgrep", "builtin"] as const) expect([engine, lines(await search(engine, request))]).toEqual([engine, expected[engine]]);
  });

  test.each([
    ["a named group without P", "(?<name>needle)", "builtin"],
    ["a needless escape", String.raw`need\/le|\<needle`, "builtin"],
    ["a line feed", "one\nother", "builtin"],
    ["a repetition above 1,000", "x{1001}", "ripgrep"],
    ["an escape of four digits", String.raw`caf\u00e9`, "ripgrep"],
  ] as const)("%s is an error but in one: %s in %s", async (_name, pattern, taker) => {
    for (const engine of ["ripgrep", "builtin"] as const) {
      expect([engine, (await search(engine, { pattern })).error?.reason]).toEqual([engine, engine === taker ? undefined : "grep_failed"]);
    }
  });

  test("the built-in goes down 40 directories", async () => {
    const deep = async (engine: Engine): Promise<number> => lines(await search(engine, { pattern: "needle", path: "/workspace/chain" })).length;
    expect([await deep("ripgrep"), await deep("builtin")]).toEqual([45, 40]);
  });

  test("the built-in looks at 50,000 entries, and says that there were more", async () => {
    const request = { pattern: "needle", path: "/workspace/entries" };
    expect((await search("ripgrep", request)).result).toMatchObject({ cut: false, matched: true });
    expect((await search("builtin", request)).result).toMatchObject({ cut: true });
  });

  test("ripgrep's failure to read one file is the end of it", async () => {
    const request = { pattern: "needle", path: "/workspace/part" };
    expect((await search("ripgrep", request)).error).toMatchObject({ code: "invalid_argument", reason: "grep_failed" });
    expect(lines(await search("builtin", request))).toEqual(["/workspace/part/readable:1:needle"]);
  });
});
