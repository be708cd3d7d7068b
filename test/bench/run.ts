import { globSync } from "node:fs";
import { cpus, release } from "node:os";
import { pathToFileURL } from "node:url";
import type { Row } from "./row.ts";

/** `pnpm bench [NAME…]`: every `*.bench.ts` here, or those whose name contains NAME; prints a table, and JSON with `--json`. */
const asJson = process.argv.includes("--json");
const names = process.argv.slice(2).filter((argument) => !argument.startsWith("--"));
const files = globSync("test/bench/*.bench.ts").filter((file) => names.length === 0 || names.some((name) => file.includes(name)));
const format = (value: number | undefined): string => (value === undefined ? "" : value >= 100 ? value.toFixed(0) : value.toPrecision(3));

const all: Row[] = [];
for (const file of files.toSorted()) {
  process.stderr.write(`${file} …\n`);
  const { run } = (await import(pathToFileURL(file).href)) as { run: () => Promise<readonly Row[]> };
  all.push(...(await run()));
}
if (asJson) {
  process.stdout.write(`${JSON.stringify(all, undefined, 2)}\n`);
} else {
  process.stdout.write(
    `Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model ?? "?"}, kernel ${release()}\n\n| measure | ours | theirs | ratio | aim |\n| --- | --- | --- | --- | --- |\n`,
  );
  for (const row of all) {
    const ratio = row.theirs === undefined ? undefined : row.ratioOf === "theirs/ours" ? row.theirs / row.ours : row.ours / row.theirs;
    const theirs = row.theirs === undefined ? "" : `${format(row.theirs)} (${row.against ?? "?"})`;
    process.stdout.write(
      `| ${row.measure}${row.note === undefined ? "" : ` (${row.note})`} | ${format(row.ours)} ${row.unit} | ${theirs} | ${format(ratio)} | ${row.aim ?? ""} |\n`,
    );
  }
}
