import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const source = fileURLToPath(new URL("../src/", import.meta.url));
const manifest = fileURLToPath(new URL("../package.json", import.meta.url));

test("core imports its own files and zod, nothing else, and depends on nothing else", async () => {
  const names = (await readdir(source, { recursive: true })).filter((name) => name.endsWith(".ts"));
  const imported = new Set<string>();
  for (const name of names) {
    const text = await readFile(`${source}${name}`, "utf8");
    for (const [, from] of text.matchAll(/\b(?:from|import|require)\s*\(?\s*["']([^"']+)["']/gu))
      if (from?.startsWith(".") === false) imported.add(from);
  }
  expect(names.length).toBeGreaterThan(15);
  expect([...imported]).toEqual(["zod"]);
  const { dependencies, peerDependencies } = JSON.parse(await readFile(manifest, "utf8")) as Readonly<Record<string, Record<string, string>>>;
  expect([Object.keys(dependencies ?? {}), peerDependencies]).toEqual([["zod"], undefined]);
});
