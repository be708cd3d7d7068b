import { readFile, readdir } from "node:fs/promises";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { Miniflare } from "miniflare";
import { afterAll, beforeAll, expect, test } from "vitest";
import { behaviours } from "./behaviours.ts";

type Module = { readonly type: "ESModule"; readonly path: string; readonly contents: string };

const core = fileURLToPath(new URL("..", import.meta.url));
const zod = dirname(createRequire(import.meta.url).resolve("zod/package.json"));

/** Runs one behaviour a request, by its name. */
const entry = `
import { behaviours } from "/core/test/behaviours.ts";
export default {
  async fetch(request) {
    const name = decodeURIComponent(new URL(request.url).pathname.slice(1));
    if (name === "") return Response.json(Object.keys(behaviours));
    try {
      await behaviours[name]();
      return new Response("passed in " + navigator.userAgent);
    } catch (error) {
      return new Response(String(error?.stack ?? error), { status: 500 });
    }
  },
};`;

/** Core, its behaviours and zod as workerd modules, types stripped. */
async function modules(): Promise<Module[]> {
  const read = async (root: string, from: string, extension: string): Promise<Module[]> => {
    const names = await readdir(join(root, from), { recursive: true });
    return await Promise.all(
      names
        .filter((name) => name.endsWith(extension) && !name.endsWith(`.test${extension}`))
        .map(async (name) => {
          const [file, source] = [join(root, from, name), await readFile(join(root, from, name), "utf8")];
          const path = root === core ? `/core/${relative(core, file)}` : `/zod/${relative(zod, file)}`;
          const contents = extension === ".ts" ? stripTypeScriptTypes(source) : source;
          return { type: "ESModule", path, contents: contents.replaceAll(/from "zod"/gu, 'from "/zod/index.js"') };
        }),
    );
  };
  const parts = await Promise.all([read(core, "src", ".ts"), read(core, "test", ".ts"), read(zod, ".", ".js")]);
  return [{ type: "ESModule", path: "/entry.js", contents: entry }, ...parts.flat()];
}

let workerd: Miniflare;

beforeAll(async () => {
  workerd = new Miniflare({ modulesRoot: "/", modules: await modules(), compatibilityDate: "2026-07-01" });
  await workerd.ready;
});

afterAll(async () => await workerd.dispose());

test("workerd knows every behaviour", async () => {
  const response = await workerd.dispatchFetch("http://core/");
  expect(await response.json()).toEqual(Object.keys(behaviours));
});

test.each(Object.keys(behaviours))("%s", async (name) => {
  const response = await workerd.dispatchFetch(`http://core/${encodeURIComponent(name)}`);
  expect(await response.text()).toBe("passed in Cloudflare-Workers");
});
