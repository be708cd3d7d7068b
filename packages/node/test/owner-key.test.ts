import { ownerKey } from "@glovebox/node";
import { chmod, mkdtemp, readFile, readdir, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";

const freshDirectory = async (): Promise<string> => await mkdtemp(join(tmpdir(), "glovebox-owner-key-"));

test("the key is made once, whoever asks at the same time, and read from then on", async () => {
  const directory = await freshDirectory();
  const env = { XDG_STATE_HOME: directory };
  const keys = await Promise.all(Array.from({ length: 20 }, async () => await ownerKey({ env })));
  const file = join(directory, "glovebox", "owner.key");
  const kept = new Uint8Array(await readFile(file));
  expect(kept).toHaveLength(32);
  for (const key of keys) expect(key).toEqual(kept);
  expect((await stat(file)).mode & 0o777).toBe(0o600);
  expect((await stat(join(directory, "glovebox"))).mode & 0o777).toBe(0o700);
  expect(await readdir(join(directory, "glovebox"))).toEqual(["owner.key"]);
  expect(await ownerKey({ path: file, env: { GLOVEBOX_OWNER_KEY: "ab".repeat(32) } })).toEqual(kept);
});

test("GLOVEBOX_OWNER_KEY comes before the file, and is refused without its value when it is no key", async () => {
  const env = { XDG_STATE_HOME: await freshDirectory() };
  expect(await ownerKey({ env: { ...env, GLOVEBOX_OWNER_KEY: "AB".repeat(32) } })).toEqual(new Uint8Array(32).fill(0xab));
  for (const wrong of ["ab".repeat(31), "xy".repeat(32), `${"ab".repeat(32)}c`]) {
    await expect(ownerKey({ env: { ...env, GLOVEBOX_OWNER_KEY: wrong } })).rejects.toThrow(
      "[invalid_argument] GLOVEBOX_OWNER_KEY is no key; give at least 64 hexadecimal digits",
    );
  }
  expect(await readdir(env.XDG_STATE_HOME)).toEqual([]);
});

test("a key that others could read, a link and a wrong length are refused", async () => {
  const directory = await freshDirectory();
  const [open, link, short] = [join(directory, "open"), join(directory, "link"), join(directory, "short")];
  await ownerKey({ path: open });
  await symlink(open, link);
  await expect(ownerKey({ path: link })).rejects.toMatchObject({ code: "permission_denied" });
  await chmod(open, 0o640);
  await expect(ownerKey({ path: open })).rejects.toMatchObject({ code: "permission_denied" });
  await writeFile(short, "short", { mode: 0o600 });
  await expect(ownerKey({ path: short })).rejects.toMatchObject({ code: "invalid_argument" });
});
