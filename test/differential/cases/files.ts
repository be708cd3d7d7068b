import type { JsonObject } from "@glovebox/simulator";
import { callsTo, commands, type DifferentialCall, type DifferentialSession } from "../session.ts";

const [read, write, edit] = [callsTo("read"), callsTo("write"), callsTo("edit")];

/** Names that are valid and odd. */
const names: Readonly<Record<string, string>> = {
  "with spaces": "a file with spaces.txt",
  "with quotes": `it's "quoted".txt`,
  "with a line feed": "two\nlines.txt",
  "with unicode": "grüße-🎉.txt",
  "with a leading dash": "-rf.txt",
  "with a leading tilde": "~home.txt",
  "with glob characters": "[a]*?.txt",
  "with a backslash": "back\\slash.txt",
  "with dollars": "$HOME.txt",
  "with a percent": "100%.txt",
  hidden: ".hidden",
  "like a proto": "__proto__",
  "in new directories": "new/deep/er/file.txt",
  "with a dot segment": "./new/../dotted.txt",
  "with double slashes": "new//double.txt",
  absolute: "/workspace/absolute.txt",
};

/** Each name is written, read, edited and read again. */
const oddNames: readonly DifferentialCall[] = Object.entries(names).flatMap(([name, file_path]) => [
  ...write({ [`a name ${name}`]: { file_path, content: `content of ${name}\n` } }),
  ...read({ [`a name ${name}`]: { file_path } }),
  ...edit({ [`a name ${name}`]: { file_path, old_string: "content", new_string: "changed" } }),
  ...read({ [`a name ${name}, after its edit`]: { file_path } }),
]);

/** Each content is written and read back. */
const contents: Readonly<Record<string, string>> = {
  nothing: "",
  "one character": "x",
  "no line end": "abc",
  "line ends only": "\n\n\n",
  "carriage returns": "a\r\nb\r\n",
  unicode: "grüße 👩‍👩‍👧 שלום\n",
  "a byte order mark": "\uFEFFa\n",
  "NUL characters": "a\0b\n",
  "control characters": "a\u0001\u001b[31m\u007f\n",
  "line separators": "a\u2028b\u2029c\n",
  "many lines": Array.from({ length: 3_000 }, (_, line) => `line ${line}`).join("\n"),
  "a long line": "y".repeat(100_000),
  "262,144 bytes": "z".repeat(262_144),
  "262,145 bytes": "z".repeat(262_145),
  "no text but JSON": '{"a": [1, 2, {"b": null}]}\n',
};

const oddContents: readonly DifferentialCall[] = Object.entries(contents).flatMap(([name, content]) => [
  ...write({ [`content of ${name}`]: { file_path: "content.txt", content } }),
  ...read({ [`content of ${name}`]: { file_path: "content.txt" } }),
]);

const range = (file_path: string, view_range: readonly number[]): JsonObject => ({ file_path, view_range });

export const fileSessions: readonly DifferentialSession[] = [
  { name: "files: odd names", turns: oddNames },
  { name: "files: odd contents", turns: oddContents },
  {
    name: "files: reads",
    turns: [
      ...commands({
        "files to read":
          "printf 'one\\ntwo\\nthree\\nfour\\nfive' > five; printf 'a\\nb\\n' > two; : > empty; mkdir dir; mkfifo fifo; ln -s five link; ln -s nowhere dangling; " +
          "ln -s loop-b loop-a; ln -s loop-a loop-b; printf '\\xff\\xfe' > binary; printf 'a\\r\\nb\\r\\n' > crlf; seq 100000 > large; chmod 000 large; chmod 600 large; " +
          "head -c 400000 /dev/zero | tr '\\0' q > oneline; printf 'x' > forbidden; chmod 000 forbidden; ln -s /etc/hostname outside; ln -s dir dirlink; touch dir/inner",
      }),
      ...read({
        "no input": {},
        "an empty path": { file_path: "" },
        whole: { file_path: "five" },
        empty: { file_path: "empty" },
        "the first line": range("five", [1, 1]),
        "lines in the middle": range("five", [2, 4]),
        "to the end by 0": range("five", [3, 0]),
        "to the end by -1": range("five", [3, -1]),
        "beyond the end": range("five", [4, 100]),
        "wholly beyond the end": range("five", [50, 60]),
        "a start of 0": range("five", [0, 2]),
        "a negative start": range("five", [-3, 2]),
        "an end before the start": range("five", [4, 2]),
        "the last line without a line end": range("five", [5, 5]),
        "a range of one number": range("five", [1]),
        "a range of three numbers": range("five", [1, 2, 3]),
        "an empty range": range("five", []),
        "a file with a last line end": { file_path: "two" },
        "its last line": range("two", [2, 2]),
        "the line after its last": range("two", [3, 3]),
        "lines of an empty file": range("empty", [1, 1]),
        "carriage returns": { file_path: "crlf" },
        "lines with carriage returns": range("crlf", [1, 1]),
        "a directory": { file_path: "dir" },
        "the work directory": { file_path: "." },
        "a directory by a link": { file_path: "dirlink" },
        "below a directory's link": { file_path: "dirlink/inner" },
        "a FIFO": { file_path: "fifo" },
        "a device": { file_path: "/dev/zero" },
        "what is not there": { file_path: "missing" },
        "below what is not there": { file_path: "missing/file" },
        "below a file": { file_path: "five/file" },
        "a link": { file_path: "link" },
        "a dangling link": { file_path: "dangling" },
        "a link in a circle": { file_path: "loop-a" },
        "a link out": { file_path: "outside" },
        "without permission": { file_path: "forbidden" },
        "bytes that are no text": { file_path: "binary" },
        "too large": { file_path: "large" },
        "lines of a large file": range("large", [50_000, 50_002]),
        "too many lines of a large file": range("large", [1, 90_000]),
        "a line that is too long": { file_path: "oneline" },
        "a range with a line that is too long": range("oneline", [1, 1]),
        "a trailing slash": { file_path: "five/" },
        "a name that is too long": { file_path: "n".repeat(300) },
        "a path that is too long": { file_path: `${"d/".repeat(2_500)}x` },
        "a NUL in the path": { file_path: "a\0b" },
      }),
    ],
  },
  {
    name: "files: writes",
    turns: [
      ...commands({
        "places to write":
          "echo old > old; chmod 640 old; mkdir dir sealed; echo x > sealed/file; chmod 500 sealed; ln -s old link; ln -s new-target dangling; mkfifo fifo; ln -s /tmp/out outside; ln -s /tmp tmplink; echo h > hard; ln hard hard2",
      }),
      ...write({
        "no input": {},
        "an empty path": { file_path: "", content: "x" },
        "no content": { file_path: "nothing.txt" },
        "a new file": { file_path: "new.txt", content: "new\n" },
        "over an old file": { file_path: "old", content: "newer\n" },
        "over a link": { file_path: "link", content: "by link\n" },
        "over a dangling link": { file_path: "dangling", content: "target\n" },
        "over a directory": { file_path: "dir", content: "x" },
        "over the work directory": { file_path: ".", content: "x" },
        "over a FIFO": { file_path: "fifo", content: "x" },
        "over a device": { file_path: "/dev/null", content: "x" },
        "into a sealed directory": { file_path: "sealed/new", content: "x" },
        "over a file in a sealed directory": { file_path: "sealed/file", content: "y" },
        "below a file": { file_path: "old/file", content: "x" },
        "by a link out": { file_path: "outside", content: "x" },
        "below a link out": { file_path: "tmplink/file", content: "x" },
        "a trailing slash": { file_path: "slash/", content: "x" },
        "a hard link": { file_path: "hard", content: "changed\n" },
        "a name that is too long": { file_path: "n".repeat(300), content: "x" },
        "a NUL in the path": { file_path: "a\0b", content: "x" },
        "bytes are counted, not characters": { file_path: "count", content: "grüße" },
      }),
      ...commands({
        "what was written":
          "cat old; stat -c '%a %F' old link new.txt nothing.txt dangling new-target; cat hard hard2; stat -c %a dir sealed new.txt; ls -A",
        "no file under way is left": "find . -name '.*' -type f",
      }),
      ...write({ "new directories": { file_path: "n1/n2/n3/file", content: "x" } }),
      ...commands({ "modes of new directories and files": "stat -c '%a %n' n1 n1/n2 n1/n2/n3 n1/n2/n3/file" }),
    ],
  },
  {
    name: "files: edits",
    turns: [
      ...commands({
        "files to edit":
          "printf 'a\\nb\\na\\n' > twice; printf 'once\\n' > once; printf 'a.c $1 \\\\n [x]\\n' > odd; printf 'crlf\\r\\nend\\r\\n' > crlf; mkdir dir; echo x > script; chmod 755 script; ln -s once link; ln -s /etc/hostname outside; : > empty; head -c 300000 /dev/zero | tr '\\0' q > large",
      }),
      ...edit({
        "no input": {},
        "no old text": { file_path: "once", new_string: "x" },
        "an empty old text": { file_path: "once", old_string: "", new_string: "x" },
        "of one place": { file_path: "once", old_string: "once", new_string: "one time" },
        "of what is not there": { file_path: "once", old_string: "never", new_string: "x" },
        "of two places": { file_path: "twice", old_string: "a", new_string: "x" },
        "of all places": { file_path: "twice", old_string: "a", new_string: "x", replace_all: true },
        "of all of none": { file_path: "twice", old_string: "none", new_string: "x", replace_all: true },
        "to nothing": { file_path: "twice", old_string: "b\n", new_string: "" },
        "to the same": { file_path: "once", old_string: "one", new_string: "one" },
        "characters of patterns": { file_path: "odd", old_string: "a.c $1 \\n [x]", new_string: "$& $1 \\1 \\n" },
        "over several lines": { file_path: "twice", old_string: "x\nx", new_string: "y\ny" },
        "carriage returns": { file_path: "crlf", old_string: "crlf\r\n", new_string: "lf\n" },
        "a missing file": { file_path: "missing", old_string: "a", new_string: "b" },
        "a directory": { file_path: "dir", old_string: "a", new_string: "b" },
        "a script keeps its mode": { file_path: "script", old_string: "x", new_string: "echo y" },
        "by a link": { file_path: "link", old_string: "time", new_string: "link" },
        "by a link out": { file_path: "outside", old_string: "a", new_string: "b" },
        "an empty file": { file_path: "empty", old_string: "a", new_string: "b" },
        "a file that is too large": { file_path: "large", old_string: "q", new_string: "r" },
        "an empty path": { file_path: "", old_string: "a", new_string: "b" },
        "overlapping places": { file_path: "once", old_string: "link\n", new_string: "aaaa\n" },
        "overlapping places once": { file_path: "once", old_string: "aa", new_string: "b" },
        "overlapping places all": { file_path: "once", old_string: "aa", new_string: "b", replace_all: true },
        unicode: { file_path: "once", old_string: "bb", new_string: "grüße 🎉" },
        "unicode again": { file_path: "once", old_string: "🎉", new_string: "👩‍👩‍👧" },
      }),
      ...commands({ "what the edits made": "cat once twice odd script; od -c crlf; stat -c '%a %F' script link" }),
    ],
  },
];
