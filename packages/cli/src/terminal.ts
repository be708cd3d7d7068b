import type { Writable } from "node:stream";
import { cut } from "./sanitise.ts";

export type Colour = "red" | "green" | "yellow" | "cyan" | "dim" | "bold";

const codes: Readonly<Record<Colour, number>> = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 };

/** How to write for people on one output. */
export interface Terminal {
  readonly isTTY: boolean;
  /** Columns of the terminal; 100 where there is none. */
  readonly columns: number;
  /** The text in a colour where the output takes colours. The text must be safe already. */
  readonly paint: (text: string, colour: Colour) => string;
  /** @param text safe; gets a line feed */
  readonly line: (text?: string) => void;
}

/** Colours on a terminal, unless `NO_COLOR` is set and not empty or `TERM` is `dumb`. */
export function terminal(output: Writable & { readonly isTTY?: boolean; readonly columns?: number }, env: NodeJS.ProcessEnv): Terminal {
  const isTTY = output.isTTY === true;
  const coloured = isTTY && (env["NO_COLOR"] ?? "") === "" && env["TERM"] !== "dumb";
  return {
    isTTY,
    columns: isTTY && output.columns !== undefined && output.columns >= 40 ? output.columns : 100,
    paint: (text, colour) => (coloured ? `\x1b[${codes[colour]}m${text}\x1b[0m` : text),
    line: (text = "") => void output.write(`${text}\n`),
  };
}

/**
 * Rows under headings, in columns as wide as their widest cell.
 * @param rows safe cells, one line each; all but the last column are cut at 60 characters
 */
export function table(headings: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const cells = [headings, ...rows].map((row) => row.map((cell, column) => (column === headings.length - 1 ? cell : cut(cell, 60))));
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => length(row[column] ?? ""))));
  return cells.map((row) =>
    row
      .map((cell, column) => cell + " ".repeat(Math.max(0, (widths[column] ?? 0) - length(cell))))
      .join("  ")
      .trimEnd(),
  );
}

/** In code points. */
function length(text: string): number {
  return Array.from(text).length;
}
