import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { safeJson, sanitiseLine, sanitiseText, TextSanitiser } from "../src/sanitise.ts";
import { table, terminal } from "../src/terminal.ts";
import { collector } from "./context.ts";

describe("what comes from inside is shown and not obeyed", () => {
  test.each([
    ["ESC", "\u001bc", String.raw`\x1bc`],
    ["CSI", "\u001b[2J\u001b[31mred", String.raw`\x1b[2J\x1b[31mred`],
    ["OSC, title and clipboard", "\u001b]52;c;AAAA\u0007", String.raw`\x1b]52;c;AAAA\x07`],
    ["C1", "\u009b2J\u009d0;x\u009c\u0085", String.raw`\x9b2J\x9d0;x\x9c\x85`],
    ["backspace, DEL, NUL", "a\u0008\u007f\u0000", String.raw`a\x08\x7f\x00`],
    ["line ends and tabs", "a\nb\rc\td", String.raw`a\nb\rc\td`],
    ["bidirectional overrides", "\u202egpj.exe\u2066\u200f\u061c", String.raw`\u202egpj.exe\u2066\u200f\u061c`],
    ["invisible characters", "a\u200bb\ufeff\u00ad", String.raw`a\u200bb\ufeff\xad`],
    ["tags", "\u{e0041}", String.raw`\u{e0041}`],
    ["line separators", "a\u2028b\u2029", String.raw`a\u2028b\u2029`],
    ["lone surrogates", "a\ud800b\udc00", "a\ufffdb\ufffd"],
    ["everything else stays", "größe 日本 😀 e\u0301 \\x1b", "größe 日本 😀 e\u0301 \\x1b"],
  ])("%s", (_, hostile, shown) => {
    expect(sanitiseLine(hostile)).toBe(shown);
  });

  test("several lines keep their line feeds and tabs, and nothing else", () => {
    expect(sanitiseText("a\r\n\tb\rc\u001b[A\n")).toBe(String.raw`a` + "\n\tb" + String.raw`\rc\x1b[A` + "\n");
  });

  const hostile = fc.string({ unit: fc.integer({ min: 0, max: 0xffff }).map((unit) => String.fromCharCode(unit)) });
  const obeyed = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

  test("no text leaves anything that a terminal obeys", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(sanitiseLine(text)).not.toMatch(obeyed);
        expect(sanitiseText(text).replaceAll(/[\n\t]/gu, "")).not.toMatch(obeyed);
        expect(safeJson({ text, [text]: [text] })).not.toMatch(obeyed);
      }),
    );
  });

  test("JSON parses back to what it was", () => {
    fc.assert(
      fc.property(hostile, (text) => {
        expect(JSON.parse(safeJson([text]))).toEqual([text.toWellFormed()]);
      }),
    );
  });

  test("bytes cut anywhere give the same as in one piece", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("a", "\r", "\n", "\u001b", "ö", "😀") }),
        fc.infiniteStream(fc.integer({ min: 1, max: 3 })),
        (text, sizes) => {
          const bytes = new TextEncoder().encode(text);
          const sanitiser = new TextSanitiser();
          let shown = "";
          for (let at = 0; at < bytes.length;) {
            const size = sizes.next().value ?? 1;
            shown += sanitiser.push(bytes.subarray(at, at + size));
            at += size;
          }
          expect(shown + sanitiser.end()).toBe(sanitiseText(text));
        },
      ),
    );
  });
});

describe("terminal", () => {
  test("colours on a terminal only, and never with NO_COLOR or a dumb one", () => {
    const tty = Object.assign(collector().stream, { isTTY: true, columns: 80 });
    expect(terminal(tty, {}).paint("x", "red")).toBe("\u001b[31mx\u001b[0m");
    expect(terminal(tty, { NO_COLOR: "1" }).paint("x", "red")).toBe("x");
    expect(terminal(tty, { NO_COLOR: "" }).paint("x", "red")).toBe("\u001b[31mx\u001b[0m");
    expect(terminal(tty, { TERM: "dumb" }).paint("x", "red")).toBe("x");
    expect(terminal(collector().stream, {}).paint("x", "red")).toBe("x");
  });

  test("a table's columns are as wide as their widest cell, and long cells are cut", () => {
    expect(
      table(
        ["ID", "IMAGE"],
        [
          ["a".repeat(70), "x"],
          ["b", "y".repeat(70)],
        ],
      ),
    ).toEqual([`ID${" ".repeat(60)}IMAGE`, `${"a".repeat(59)}…  x`, `b${" ".repeat(61)}${"y".repeat(70)}`]);
  });
});
