import { Sandbox, SandboxError } from "@glovebox/core";
import { expect, test } from "vitest";
import { sandboxIdFor } from "../src/index.ts";
import type { SessionInfo } from "../src/index.ts";
import { type Harness, ownerKey, startHarness } from "./harness.ts";

const bash = (command: string) => ({ name: "bash", input: { command } });
const oneCall = { turns: [{ calls: [bash("x")] }] };

/** What is below `skills` in a session's sandbox: contents by path, `*` after those of programs. */
async function skillsOf({ simulator, sandboxes }: Harness, sessionId: string): Promise<Readonly<Record<string, string>>> {
  const { provider } = sandboxes;
  const ref = { provider: provider.name, id: sandboxIdFor(simulator.environmentId, sessionId) };
  const sandbox = await Sandbox.attach(provider, ref, { ownerKey });
  const found: Record<string, string> = {};
  for await (const { path, type, mode } of sandbox.files.list("skills", { recursive: true })) {
    if (type === "file") found[(mode & 0o111) === 0 ? path : `${path}*`] = await sandbox.files.readText(`skills/${path}`);
  }
  return found;
}

test("an agent's skills are in the sandbox before its first call, however they are packed", async () => {
  await using harness = await startHarness();
  const { simulator } = harness;
  const files = { "SKILL.md": "read me", "bin/run": { content: "#!/bin/sh\n", executable: true } };
  const skills = (["zip", "tar.gz", "tar"] as const).flatMap((format) =>
    [true, false].map((wrapped) => simulator.createSkill({ name: `${format} ${wrapped}`, format, wrapped, files }).reference()),
  );
  const odd = simulator.createSkill({ name: "  ../a/name  ", wrapped: false, files: { "SKILL.md": "odd" } }).reference();
  const nameless = simulator.createSkill({ name: "..", id: "skill_nameless", wrapped: false, files: { "SKILL.md": "nameless" } }).reference();
  let seen: Readonly<Record<string, string>> = {};
  const session = harness.session({
    agent: { skills: [...skills, odd, nameless] },
    brain: async function* ({ sessionId }) {
      yield { calls: [bash("x")] };
      seen = await skillsOf(harness, sessionId);
    },
  });
  const worker = harness.work();
  expect((await session.finished).calls[0]?.result?.text).toBe("x");
  const expected = ["zip", "tar.gz", "tar"].flatMap((format) =>
    [true, false].flatMap((wrapped) => [
      [`${format} ${wrapped}/SKILL.md`, "read me"],
      [`${format} ${wrapped}/bin/run*`, "#!/bin/sh\n"],
    ]),
  );
  expect(seen).toEqual({ ...Object.fromEntries(expected), "name/SKILL.md": "odd", "skill_nameless/SKILL.md": "nameless" });
  expect(worker.ofType("skill.failed")).toEqual([]);
});

test("a skill that is hostile, damaged or gone is left out and told, and the others go on", async () => {
  await using harness = await startHarness();
  const { simulator } = harness;
  const bad = [
    simulator.createSkill({ name: "climbs", members: [{ name: "SKILL.md" }, { name: "../../escaped", content: "x" }] }),
    simulator.createSkill({ name: "bomb", files: { zeros: { content: new Uint8Array(140_000_000) } } }),
    simulator.createSkill({ name: "noise", archive: Buffer.from("no archive at all".repeat(100)) }),
  ];
  const good = simulator.createSkill({ name: "good", files: { "SKILL.md": "fine" } });
  const gone = { type: "custom", skill_id: "skill_gone", version: "latest" } as const;
  let seen: Readonly<Record<string, string>> = {};
  const session = harness.session({
    agent: { skills: [...bad.map((skill) => skill.reference()), gone, good.reference()] },
    brain: async function* ({ sessionId }) {
      yield { calls: [bash("x"), bash("y")] };
      seen = await skillsOf(harness, sessionId);
    },
  });
  const worker = harness.work();
  const { calls } = await session.finished;
  expect(seen).toEqual({ "good/SKILL.md": "fine" });
  const [first, second] = calls.map(({ result }) => result?.text.split("\n"));
  expect(first?.[0]).toBe("x");
  expect(first).toHaveLength(5);
  expect(first).toEqual(
    expect.arrayContaining([
      `Note: the skill "${bad[0]?.id}" could not be put into the sandbox: "../../escaped" leads out of the archive`,
      `Note: the skill "${bad[1]?.id}" could not be put into the sandbox: it has more than 134217728 bytes when unpacked`,
      `Note: the skill "${bad[2]?.id}" could not be put into the sandbox: it is neither a zip, a tar nor a tar.gz, or it is damaged`,
      expect.stringMatching(/^Note: the skill "skill_gone" could not be put into the sandbox: 404 /u),
    ]),
  );
  expect(second).toEqual(["y"]);
  expect(worker.ofType("skill.failed")).toHaveLength(4);
}, 30_000);

test("a skill is fetched once for all sessions, and `latest` is looked up anew after a while", async () => {
  await using harness = await startHarness();
  const { simulator } = harness;
  const skill = simulator.createSkill({ name: "shared", files: { "SKILL.md": "one" } });
  const fixed = skill.reference(skill.versions[0] ?? "");
  const sessions = [fixed, fixed, skill.reference(), skill.reference()].map((reference) =>
    harness.session({ agent: { skills: [reference] }, script: oneCall }),
  );
  harness.work();
  for (const session of sessions) expect((await session.finished).calls[0]?.result?.text).toBe("x");
  const asked = (endpoint: string): number => simulator.requests.filter((request) => request.endpoint === endpoint).length;
  expect([asked("skill_versions.retrieve"), asked("skill_versions.content")]).toEqual([2, 2]);
});

test("a skill that cannot be replaced stays as it was, and one that is replaced has no file of the old one", async () => {
  await using harness = await startHarness();
  const { simulator } = harness;
  const [stays, changes] = ["stays", "changes"].map((name) => simulator.createSkill({ name, files: { "SKILL.md": "old", extra: "old" } }));
  if (stays === undefined || changes === undefined) throw new Error("no skill was made");
  const session = harness.session({
    agent: { skills: [stays.reference(), changes.reference()] },
    script: { turns: [{ calls: [bash("one")], idle: { type: "end_turn" } }, { calls: [bash("two")] }] },
  });
  const first = harness.work({ maxIdleMs: 10 });
  await first.until("item.ended");
  await first.stop();
  stays.addVersion({ members: [{ name: "../x" }] });
  changes.addVersion({ files: { "SKILL.md": "new" } });
  harness.work();
  session.sendMessage("Go on.");
  await session.finished;
  expect(await skillsOf(harness, session.id)).toEqual({ "stays/SKILL.md": "old", "stays/extra": "old", "changes/SKILL.md": "new" });
});

test("setUp gets the sandbox and the session's metadata before the first call, and is answered for when it fails", async () => {
  await using harness = await startHarness();
  const seen: unknown[] = [];
  const setUp = async (sandbox: Sandbox, info: SessionInfo, { how }: { readonly how: string }): Promise<void> => {
    seen.push([how, info.metadata, info.title, info.agent.name, harness.sandboxes.commands.length]);
    if (seen.length <= 2) throw new SandboxError("unavailable", "the repository cannot be reached", { effect: "none" });
    await sandbox.files.write("cloned.txt", info.metadata["repository"] ?? "");
  };
  const read = { name: "read", input: { file_path: "cloned.txt" } };
  const session = harness.session({
    metadata: { repository: "git.internal/app" },
    title: "A task",
    agent: { name: "coder" },
    script: { turns: [{ calls: [bash("early")] }, { calls: [read], idle: { type: "end_turn" } }, { calls: [bash("late")] }] },
  });
  const worker = harness.work({ setUp, maxIdleMs: 20 });
  await worker.until("item.ended");
  session.sendMessage("Go on.");
  const { calls } = await session.finished;
  expect(calls.map(({ result }) => [result?.isError, result?.text])).toEqual([
    [true, "The sandbox of this session could not be started, so nothing was run: [unavailable] the repository cannot be reached"],
    [false, "git.internal/app"],
    [false, "late"],
  ]);
  const call = ["created", { repository: "git.internal/app" }, "A task", "coder", 0];
  expect(seen).toEqual([call, call, call]);
});
