import { Sandbox, SandboxError } from "@glovebox/core";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { virtual } from "../src/index.ts";

const provider = virtual({ diskBytes: 1_048_576 });
const roots = [{ path: "/workspace", writable: true }];
let sandbox: Sandbox;

beforeAll(async () => {
  sandbox = await Sandbox.create(provider);
});
afterAll(async () => {
  await sandbox.destroy();
});

const reasonOf = async (pending: Promise<unknown>): Promise<string> =>
  await pending.then(
    () => "success",
    (error: unknown) => (SandboxError.is(error) ? `${error.code} ${error.reason}` : String(error)),
  );

test("every byte and every range comes back", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 300 }), fc.nat(320), fc.nat(320), async (bytes, offset, length) => {
      await sandbox.files.write("bytes", bytes);
      expect(await sandbox.files.read("bytes")).toEqual(bytes);
      const part = await provider.attach(sandbox.ref, { mode: "join", signal: AbortSignal.timeout(10_000) });
      const { sizeBytes, content } = await part.files.read({ path: "/workspace/bytes", offset, length }, { signal: AbortSignal.timeout(10_000) });
      expect(sizeBytes).toBe(bytes.byteLength);
      expect(new Uint8Array(await new Response(content).arrayBuffer())).toEqual(bytes.slice(offset, offset + length));
    }),
    { numRuns: 50 },
  );
});

test.each(["new\nline", `q'"`, "ünï 日本", "-dash", "$(x) `y`", " lead", "__proto__", "back\\slash"])("the name %j is only a name", async (name) => {
  await sandbox.files.write(`names/${name}`, name);
  expect((await sandbox.exec(["cat", `names/${name}`])).stdoutText).toBe(name);
  const listed: string[] = [];
  for await (const entry of sandbox.files.list("names")) listed.push(entry.path);
  expect(listed).toEqual([name]);
  await sandbox.files.remove(`names/${name}`);
});

test("programs and the files facet see the same files", async () => {
  await sandbox.exec(
    "mkdir -p shared/a; echo one > shared/a/f; ln -s a/f shared/link; chmod 700 shared/a/f; echo two >> shared/a/f; ln shared/a/f shared/hard",
  );
  expect(await sandbox.files.readText("shared/link")).toBe("one\ntwo\n");
  expect((await sandbox.files.stat("shared/hard")).mode).toBe(0o700);
  await sandbox.exec("cp -r shared copy; mv copy/a copy/b; rm shared/hard; echo three > copy/b/f");
  expect(await sandbox.files.readText("copy/b/f")).toBe("three\n");
  expect(await sandbox.files.readText("shared/a/f")).toBe("one\ntwo\n");
});

test("links and dots lead nowhere outside of the roots", async () => {
  await sandbox.exec("ln -s /etc out; ln -s ../../tmp/x up; ln -s /tmp there; mkdir -p in; ln -s ../in/f in/round; ln -s self self");
  for (const path of ["out/shadow", "up", "there/f", "../../etc/shadow", "/workspace/in/../../tmp/f"]) {
    expect([path, await reasonOf(sandbox.files.write(path, "x", { roots }))]).toEqual([path, "permission_denied outside_roots"]);
  }
  expect(await reasonOf(sandbox.files.readText("/usr/bin/ls", { roots }))).toBe("permission_denied outside_roots");
  expect(await reasonOf(sandbox.files.rename("in", "there/in", { roots }))).toBe("permission_denied outside_roots");
  expect(await reasonOf(sandbox.files.remove("/workspace", { roots, recursive: true }))).toBe("permission_denied outside_roots");
  expect(await reasonOf(sandbox.files.remove("/workspace/absent/x", { roots }))).toBe("not_found ENOENT");
  expect(await reasonOf(sandbox.files.remove("/workspace/absent/x", { roots, missingOk: true }))).toBe("success");
  expect(await reasonOf(sandbox.files.readText("self", { roots }))).toBe("failed_precondition ELOOP");
  expect(await reasonOf(sandbox.files.write("in/round", "x", { roots }))).toBe("success");
  const readOnly = [...roots, { path: "/workspace/in", writable: false }];
  expect(await reasonOf(sandbox.files.write("in/f", "x", { roots: readOnly }))).toBe("permission_denied read_only_root");
});

test("failures carry their POSIX names", async () => {
  await sandbox.files.write("plain", "x");
  await sandbox.files.write("dir/f", "x");
  expect(await reasonOf(sandbox.files.readText("none"))).toBe("not_found ENOENT");
  expect(await reasonOf(sandbox.files.readText("plain/x"))).toBe("failed_precondition ENOTDIR");
  expect(await reasonOf(sandbox.files.readText("dir"))).toBe("failed_precondition not_regular_file");
  expect(await reasonOf(sandbox.files.write("dir", "x"))).toBe("failed_precondition EISDIR");
  expect(await reasonOf(sandbox.files.remove("dir"))).toBe("failed_precondition ENOTEMPTY");
  expect(await reasonOf(sandbox.files.write("n".repeat(256), "x"))).toBe("invalid_argument ENAMETOOLONG");
});

test("a full disk refuses the write, keeps the old file, and has room again after a removal", async () => {
  await sandbox.files.write("big", new Uint8Array(500_000));
  await sandbox.files.write("other", "old");
  expect(await reasonOf(sandbox.files.write("other", new Uint8Array(800_000)))).toBe("resource_exhausted ENOSPC");
  expect(await sandbox.files.readText("other")).toBe("old");
  expect((await sandbox.exec("x=$(printf '%900000s' a); echo $x > /dev/null; printf '%900000s' a > huge")).code).not.toBe(0);
  await sandbox.files.remove("big");
  expect(await reasonOf(sandbox.files.write("other", new Uint8Array(800_000)))).toBe("success");
  await sandbox.files.remove("other");
});

test("search, glob and edit work on these files", async () => {
  await sandbox.files.write("code/a.ts", "first\nneedle(1)\n");
  const found = await sandbox.files.grep("needle\\(", { path: "code" });
  expect(new TextDecoder().decode(found.output)).toBe("/workspace/code/a.ts:2:needle(1)\n");
  expect(await sandbox.files.edit("code/a.ts", "needle", "thread")).toEqual({ occurrences: 1, edited: true });
  expect((await sandbox.files.glob("code/**/*.ts")).paths).toEqual(["/workspace/code/a.ts"]);
});
