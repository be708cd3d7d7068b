import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { adapters, mayImport, outsideDependencies, portable } from "./packages.ts";

interface Manifest {
  readonly name: string;
  readonly license: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const manifest = (name: string): Manifest => JSON.parse(readFileSync(join("packages", name, "package.json"), "utf8")) as Manifest;
const sources = (name: string): string[] =>
  readdirSync(join("packages", name, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => join("packages", name, "src", file));
const imports = (file: string): string[] =>
  [...readFileSync(file, "utf8").matchAll(/(?:\bfrom|\bimport)\s*\(?\s*"([^"]+)"/gu)].flatMap(([, specifier]) => specifier ?? []);
const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

test("every package is in the import rules", () => {
  expect(readdirSync("packages").sort()).toEqual(Object.keys(mayImport).sort());
});

test("the top level holds what the architecture names", () => {
  const allowed = [
    "packages",
    "examples",
    "docs",
    "test",
    "README.md",
    "LICENSE",
    "package.json",
    "pnpm-workspace.yaml",
    "pnpm-lock.yaml",
    "tsconfig.base.json",
    "tsconfig.json",
    "vitest.config.ts",
    "knip.json",
    "node_modules",
  ];
  expect(readdirSync(".").filter((name) => !name.startsWith(".") && !allowed.includes(name))).toEqual([]);
});

describe.each(Object.keys(mayImport))("packages/%s", (name) => {
  test("declares exactly the runtime dependencies that were agreed on", () => {
    const declared = Object.keys(manifest(name).dependencies ?? {}).sort();
    expect(declared.filter((dependency) => !dependency.startsWith("@glovebox/"))).toEqual([...(outsideDependencies[name] ?? [])].sort());
    expect(
      declared.filter((dependency) => dependency.startsWith("@glovebox/") && !mayImport[name]?.includes(dependency.slice("@glovebox/".length))),
    ).toEqual([]);
    expect(manifest(name).license).toBe("Apache-2.0");
  });

  test("imports only what the rules allow", () => {
    const declared = [...Object.keys(manifest(name).dependencies ?? {}), manifest(name).name];
    const wrong = sources(name).flatMap((file) =>
      imports(file)
        .filter((specifier) => !specifier.startsWith("."))
        .filter((specifier) => (specifier.startsWith("node:") ? portable.includes(name) : !declared.includes(packageOf(specifier))))
        .map((specifier) => `${file}: ${specifier}`),
    );
    expect(wrong).toEqual([]);
    const bare = sources(name).flatMap((file) => imports(file).filter((specifier) => builtinModules.includes(specifier)));
    expect(bare).toEqual([]);
  });

  test("stays inside its own folder", () => {
    const outside = sources(name).flatMap((file) => {
      const depth = file.split("/").length - 4;
      return imports(file)
        .filter((specifier) => specifier.startsWith(".") && specifier.split("/").filter((part) => part === "..").length > depth)
        .map((specifier) => `${file}: ${specifier}`);
    });
    expect(outside).toEqual([]);
  });
});

test.each(adapters)("adapter %s has the files that every adapter has", (name) => {
  for (const file of ["index.ts", "options.ts", "provider.ts", "driver.ts", "capabilities.ts", "errors.ts"]) {
    expect(existsSync(join("packages", name, "src", file)) ? [] : [file]).toEqual([]);
  }
});
