import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Sandbox } from "@glovebox/core";
import { docker } from "@glovebox/docker";
import { directoryEntries, writeDirectory } from "@glovebox/node";
import { virtual } from "@glovebox/virtual";

// the one line that chooses where it runs
const provider = process.argv.includes("--docker") ? docker() : virtual();

const local = await mkdtemp(join(tmpdir(), "glovebox-example-"));
try {
  await writeFile(join(local, "words.txt"), "pear\napple\npear\nfig\npear\nfig\n");
  await writeFile(join(local, "count.sh"), "sort words.txt | uniq -c | sort -rn | awk '{ print $2 \": \" $1 }' > counts.txt\n");

  await using sandbox = await Sandbox.create(provider, { env: { LANG: "C" } });
  await sandbox.files.upload(directoryEntries(local), "job");

  const { code, stderrText } = await sandbox.exec(["bash", "count.sh"], { cwd: "job", timeoutMs: 30_000 });
  assert.equal(code, 0, stderrText);
  const counts = await sandbox.files.readText("job/counts.txt");
  assert.equal(counts, "pear: 3\nfig: 2\napple: 1\n");

  // what comes back was written by a stranger: it is kept inside its directory
  const results = join(local, "results");
  await writeDirectory(sandbox.files.download("job"), results);
  assert.equal(await readFile(join(results, "counts.txt"), "utf8"), counts);

  // a failing program is a result; a missing file is an error with a code
  assert.equal((await sandbox.exec("exit 3")).code, 3);
  await assert.rejects(sandbox.files.readText("nowhere.txt"), { code: "not_found", reason: "ENOENT" });

  process.stdout.write(`${counts}ran on ${provider.name}, in ${sandbox.id}\n`);
} finally {
  await rm(local, { recursive: true });
}
