import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { aptSource } from "../image/apt-source.ts";
import { configuration, packages } from "../image/recipe.ts";

let root: string;
beforeEach(() => {
  root = `${mkdtempSync(join(tmpdir(), "gb-apt-"))}/`;
});
afterEach(() => rmSync(root, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(root + path), { recursive: true });
  writeFileSync(root + path, text);
}

test("the Dockerfile and the recipe make the same image", () => {
  const dockerfile = readFileSync(new URL("../image/Dockerfile", import.meta.url), "utf8");
  const installed = /--no-install-recommends \\\n\s+(.+?) \\\n/u.exec(dockerfile)?.[1]?.split(" ");
  expect(installed).toEqual(packages);
  expect(configuration.filter((line) => !dockerfile.includes(`\n${line}\n`))).toEqual([]);
});

test("the mirror comes from stanzas, of Debian's own release and main only", async () => {
  put("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n");
  put("etc/apt/sources.list.d/a.sources", "Types: deb\nURIs: https://other.test/x\nSuites: nodistro\nComponents: main\n");
  put(
    "etc/apt/sources.list.d/b.sources",
    "Enabled: no\nTypes: deb\nURIs: http://disabled.test\nSuites: bookworm\nComponents: main\n\nTypes: deb\n# comment\nURIs: http://mirror.test/debian\nSuites: bookworm bookworm-updates\nComponents: main\n",
  );
  expect(await aptSource(root)).toEqual({ mirror: "http://mirror.test/debian", suite: "bookworm" });
});

test("or from lines", async () => {
  put("etc/os-release", "ID=debian\nVERSION_CODENAME=trixie\n");
  put("etc/apt/sources.list", "# deb http://no.test trixie main\ndeb [arch=amd64 signed-by=/x] http://mirror.test/debian trixie main contrib\n");
  expect(await aptSource(root)).toEqual({ mirror: "http://mirror.test/debian", suite: "trixie" });
});

test("another system, and sources without a mirror, have none", async () => {
  expect(await aptSource(root)).toBeUndefined();
  put("etc/os-release", "ID=ubuntu\nVERSION_CODENAME=noble\n");
  put("etc/apt/sources.list", "deb http://mirror.test/ubuntu noble main\n");
  expect(await aptSource(root)).toBeUndefined();
  put("etc/os-release", "ID=debian\nVERSION_CODENAME=noble\n");
  put("etc/apt/sources.list", "deb file:///srv/debian noble main\n");
  expect(await aptSource(root)).toBeUndefined();
});
