import { spawnSync } from "node:child_process";
import { globSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { parseScript } from "@glovebox/simulator";
import { afterAll, expect, test } from "vitest";
import { parse } from "yaml";
import { workerConfigSchema } from "../../packages/cli/src/config.ts";

const directory = "test/docs/.snippets";
const pages = [...globSync("docs/**/*.md"), ...globSync("packages/*/README.md"), "README.md"];

interface Snippet {
  readonly page: string;
  readonly line: number;
  readonly code: string;
}

function snippetsOf(page: string, language: "ts" | "yaml"): Snippet[] {
  const text = readFileSync(page, "utf8");
  return [...text.matchAll(/^```(\w+)\n(.*?)^```$/gmsu)]
    .filter((match) => match[1] === language)
    .map((match) => ({ page, line: text.slice(0, match.index).split("\n").length + 1, code: match[2] ?? "" }));
}

afterAll(() => rmSync(directory, { recursive: true, force: true }));

test("every TypeScript snippet in the docs compiles against the packages as they are", () => {
  const snippets = pages.flatMap((page) => snippetsOf(page, "ts"));
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const files = snippets.map(({ page, line, code }, index) => {
    const name = `${index}.ts`;
    // padded, so that the compiler's line is the page's
    writeFileSync(`${directory}/${name}`, `${"\n".repeat(line - 1)}${code}export {};\n`);
    return { name, page };
  });
  const compilerOptions = { noUnusedLocals: false, noUnusedParameters: false };
  writeFileSync(
    `${directory}/tsconfig.json`,
    JSON.stringify({ extends: "../../../tsconfig.json", compilerOptions, include: [], files: files.map(({ name }) => name) }),
  );
  const { stdout } = spawnSync("tsc", ["-p", directory], { encoding: "utf8" });
  const explained = files.reduce((report, { name, page }) => report.replaceAll(`${directory}/${name}(`, `${page}(`), stdout);
  expect(explained).toBe("");
  expect(snippets.length).toBeGreaterThan(0);
});

test("every YAML snippet in the docs is a session's script or a worker's configuration", () => {
  const snippets = pages.flatMap((page) => snippetsOf(page, "yaml"));
  const wrong = snippets.flatMap(({ page, line, code }) => {
    try {
      if (/^turns:/mu.test(code)) parseScript(code);
      else workerConfigSchema.parse(parse(code));
      return [];
    } catch (error) {
      return [`${page}:${line}: ${String(error)}`];
    }
  });
  expect(wrong).toEqual([]);
  expect(snippets.length).toBeGreaterThan(1);
});

test("every relative link in the docs leads somewhere", () => {
  const broken = pages.flatMap((page) =>
    [...readFileSync(page, "utf8").matchAll(/\]\((?!https?:|#)([^)#\s]+)/gu)]
      .map(([, target = ""]) => new URL(target, `file://${process.cwd()}/${page}`))
      .filter((url) => globSync(decodeURIComponent(url.pathname)).length === 0)
      .map((url) => `${page}: ${url.pathname}`),
  );
  expect(broken).toEqual([]);
});
