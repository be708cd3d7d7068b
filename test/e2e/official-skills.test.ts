import { existsSync } from "node:fs";
import { join } from "node:path";
import type { ArchiveMember, SkillContent, SkillHandle } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { bash, endpointsOf, runOfficial, stopped } from "./official.ts";

const manifest = "---\nname: pdf\ndescription: Reads PDF.\n---\n";
const files = {
  "SKILL.md": manifest,
  "scripts/run.sh": { content: '#!/bin/sh\necho "ran $1"\n', executable: true },
  "scripts/data.txt": "data",
};

test("85: the newest version of a skill is there before the first call, in its directory, with its modes, and gone afterwards", async () => {
  for (const content of [{}, { format: "tar.gz" }, { wrapped: false }, { format: "tar", wrapped: false }] as const) {
    await using running = await runOfficial();
    const { simulator, workdir } = running;
    const skill = simulator.createSkill({ name: "pdf", files: { "OLD.md": "old" } });
    const version = skill.addVersion({ files, ...content });
    const session = simulator.createSession({
      agent: { skills: [skill.reference()] },
      script: {
        turns: [
          {
            calls: [
              {
                ...bash("find skills -type f | sort"),
                expect: { equals: ["skills/pdf/SKILL.md", "skills/pdf/scripts/data.txt", "skills/pdf/scripts/run.sh"].join("\n") },
              },
            ],
          },
          { calls: [{ ...bash("skills/pdf/scripts/run.sh it; stat -c %a skills/pdf/scripts/data.txt"), expect: { equals: "ran it\n644" } }] },
        ],
      },
    });
    expect((await session.finished).failures).toEqual([]);
    await stopped(simulator, session);
    expect(endpointsOf(simulator)).toEqual([
      "work.ack",
      "sessions.retrieve",
      "skill_versions.retrieve",
      "skill_versions.content",
      "events.stream",
      "events.list",
      "events.send",
      "events.send",
      "work.stop",
    ]);
    const [resolved, downloaded] = simulator.requests.filter((request) => request.endpoint?.startsWith("skill_versions."));
    expect([resolved?.path, downloaded?.path]).toEqual([
      `/v1/skills/${skill.id}/versions/latest`,
      `/v1/skills/${skill.id}/versions/${version}/content`,
    ]);
    expect(existsSync(join(workdir, "skills/pdf"))).toBe(false);
    await running.expectClean();
  }
});

const safe: ArchiveMember = { name: "bad/safe.txt", content: "safe" };
const hostile: Readonly<Record<string, readonly [SkillContent, "refused" | "without it"]>> = {
  "a symlink in a zip": [{ members: [safe, { name: "bad/link", kind: "symlink", target: "/etc/passwd" }] }, "without it"],
  "a symlink in a tar": [{ format: "tar.gz", members: [safe, { name: "bad/link", kind: "symlink", target: "/etc/passwd" }] }, "without it"],
  "a hardlink": [{ format: "tar", members: [safe, { name: "bad/link", kind: "hardlink", target: "/etc/passwd" }] }, "without it"],
  "a pipe": [{ format: "tar", members: [safe, { name: "bad/pipe", kind: "fifo" }] }, "without it"],
  "a member above, in a zip": [{ members: [safe, { name: "../../outside.txt", content: "out" }] }, "refused"],
  "a member above, in a tar": [{ format: "tar", members: [safe, { name: "bad/../../../outside.txt", content: "out" }] }, "refused"],
  "an absolute member": [{ members: [safe, { name: "/tmp/glovebox-outside.txt", content: "out" }] }, "refused"],
  "a huge listing": [{ members: [safe, ...Array.from({ length: 20_000 }, (_, index) => ({ name: `bad/${"n".repeat(60)}${index}` }))] }, "refused"],
  "no archive": [{ archive: Buffer.from("nothing that a tool could read") }, "refused"],
};

test("85: of hostile archives a worker takes the plain members or nothing, and the next skill is there", async () => {
  await using running = await runOfficial();
  const { simulator, workdir } = running;
  const good = simulator.createSkill({ name: "good" });
  for (const [name, [content, outcome]] of Object.entries(hostile)) {
    const bad = simulator.createSkill({ name: "bad", ...content });
    const session = simulator.createSession({
      agent: { skills: [bad.reference(), good.reference()] },
      script: { turns: [{ calls: [bash("find skills ! -type d | sort")] }] },
    });
    const { calls } = await session.finished;
    const found = ["skills/bad/safe.txt", "skills/good/SKILL.md"].slice(outcome === "refused" ? 1 : 0);
    expect([name, calls[0]?.result?.text.split("\n")]).toEqual([name, found]);
    await stopped(simulator, session);
  }
  expect([existsSync(join(workdir, "outside.txt")), existsSync(join(workdir, "../outside.txt")), existsSync("/tmp/glovebox-outside.txt")]).toEqual([
    false,
    false,
    false,
  ]);
  await running.expectClean();
});

test("85: whatever a skill is called, its directory is below the skills'", async () => {
  await using running = await runOfficial();
  const skills = ["../../evil", "..", "a/b/deep"].map((name) => running.simulator.createSkill({ name, wrapped: false }));
  const session = running.simulator.createSession({
    agent: { skills: skills.map((skill) => skill.reference()) },
    script: { turns: [{ calls: [bash("ls -A skills . | sort")] }] },
  });
  const { calls } = await session.finished;
  expect(calls[0]?.result?.text.split("\n").filter((line) => /^\w/.test(line))).toEqual(
    ["deep", "evil", skills[1]?.id ?? "", "skills", "skills:"].toSorted((left, right) => left.localeCompare(right)),
  );
});

test("86: a skill that cannot be had fails neither the others nor the item", async () => {
  await using running = await runOfficial();
  const { simulator } = running;
  const [unresolved, undownloaded, other, good] = ["unresolved", "undownloaded", "other", "good"].map((name) => simulator.createSkill({ name }));
  const fail = (skill: SkillHandle | undefined, endpoint: "skill_versions.retrieve" | "skill_versions.content", status: number): void =>
    void simulator.addRequestFault({
      endpoint,
      status,
      times: Infinity,
      headers: { "retry-after-ms": "1" },
      where: (request) => request.path.includes(skill?.id ?? "none"),
    });
  fail(unresolved, "skill_versions.retrieve", 500);
  fail(undownloaded, "skill_versions.content", 403);
  const skills = [unresolved, undownloaded, other, good].flatMap((skill) => (skill === undefined ? [] : [skill.reference()]));
  const session = simulator.createSession({
    agent: { skills: [{ type: "custom", skill_id: "skill_none", version: "latest" }, ...skills] },
    script: { turns: [{ calls: [{ ...bash("find skills -type f | sort"), expect: { equals: "skills/good/SKILL.md\nskills/other/SKILL.md" } }] }] },
  });
  expect((await session.finished).failures).toEqual([]);
  await stopped(simulator, session);
  await running.expectClean();
});
