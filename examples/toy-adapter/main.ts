import assert from "node:assert/strict";
import { listSandboxes, newSandboxId, Sandbox } from "@glovebox/core";
import { toy } from "./toy.ts";

const provider = toy();
const id = newSandboxId();
{
  await using sandbox = await Sandbox.create(provider, { labels: { for: "example" } }, { id });

  // the portable API is core's: relative paths, text, limits and errors come with it
  await sandbox.files.write("notes/today.txt", "brain, hands, keys\n");
  assert.equal(await sandbox.files.readText("notes/today.txt"), "brain, hands, keys\n");
  assert.deepEqual(
    (await sandbox.files.readLines("notes/today.txt", { start: 1, end: 1 })).content,
    new TextEncoder().encode("brain, hands, keys\n"),
  );
  assert.equal((await sandbox.exec(["rev"], { stdin: "abc" })).stdoutText, "cba");
  assert.deepEqual((await sandbox.exec(["echo", "0123456789"], { maxOutputBytes: 4 })).droppedBytes, { stdout: 7, stderr: 0 });

  // what the capabilities do not promise is refused before the adapter hears of it
  await assert.rejects(Sandbox.create(provider, { memoryBytes: { max: 1024 ** 3 } }), { code: "unsupported", effect: "none" });
  await assert.rejects(sandbox.pause(), { code: "unsupported", effect: "none" });
  await assert.rejects(sandbox.exec(["curl", "example.com"]), { code: "not_found", reason: "ENOENT" });
  await assert.rejects(sandbox.files.read("missing"), { code: "not_found", reason: "ENOENT" });

  // a name that is taken, and a stranger without the owner's key
  await assert.rejects(Sandbox.create(provider, {}, { id }), { code: "already_exists" });
  await assert.rejects(Sandbox.attach(provider, { provider: "toy", id, proof: "00" }), { code: "permission_denied" });

  const listed = await Array.fromAsync(listSandboxes(provider, { labels: { for: "example" } }));
  assert.deepEqual(
    listed.map(({ ref }) => ref.id),
    [id],
  );
}
assert.deepEqual(await Array.fromAsync(listSandboxes(provider)), []); // created means owned: the end of the block destroyed it
process.stdout.write("the toy adapter keeps the contract as far as it promises\n");
