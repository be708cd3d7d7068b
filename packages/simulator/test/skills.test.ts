import { gunzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { VirtualClock, type ArchiveMember, type SkillContent } from "@glovebox/simulator";
import { readTar, readZip, type ReadMember } from "./archive-reader.ts";
import { bench, tokenOf, type Answer, type Bench, type Json } from "./client.ts";

const refusal = ({ status, body }: Answer): readonly unknown[] => [status, body.error.type];

/** The content of a skill's only version. */
async function download(setup: Bench, content: SkillContent): Promise<{ readonly bytes: Buffer; readonly type: string | null }> {
  const skill = setup.simulator.createSkill({ name: "pdf", ...content });
  const response = await fetch(`${setup.simulator.url}/v1/skills/${skill.id}/versions/${skill.versions[0]}/content`, {
    headers: { authorization: `Bearer ${setup.simulator.environmentKey}`, accept: "application/binary" },
  });
  expect(response.status).toBe(200);
  return { bytes: Buffer.from(await response.arrayBuffer()), type: response.headers.get("content-type") };
}

const shown = (members: readonly ReadMember[]): readonly string[] =>
  members.map(({ name, type, mode, content }) => `${type}${mode.toString(8)} ${name} ${content}`);

test("85: a version resolves by its id and by latest; its content by its id only", async () => {
  await using setup = await bench();
  const skill = setup.simulator.createSkill({ name: "pdf", description: "Reads PDF." });
  const second = skill.addVersion({ description: "Reads them well." });
  const get = (path: string): Promise<Answer> => setup.worker.get(`/v1/skills/${skill.id}/versions/${path}`, { headers: { "anthropic-beta": "" } });
  const latest = (await get("latest")).body;
  expect(latest).toEqual({
    id: second,
    type: "skill_version",
    skill_id: skill.id,
    name: "pdf",
    description: "Reads them well.",
    created_at: expect.any(String),
  });
  expect((await get(second)).body).toEqual(latest);
  expect((await get(skill.versions[0] ?? "")).body.description).toBe("Reads PDF.");
  expect(refusal(await get("latest/content"))).toEqual([404, "not_found_error"]);
  expect((await get("skver_none")).status).toBe(404);
  expect((await setup.worker.get("/v1/skills/skill_none/versions/latest")).status).toBe(404);
  expect(skill.reference()).toEqual({ type: "custom", skill_id: skill.id, version: "latest" });
});

test("85: versions and contents take every credential, the rest an API key; the shapes of an old beta are refused", async () => {
  await using setup = await bench();
  setup.simulator.createSession({ prompt: null });
  const token = setup.client(tokenOf((await setup.worker.get(`${setup.work}/poll`)).body.secret));
  const path = `/v1/skills/${setup.simulator.createSkill({ name: "pdf" }).id}`;
  for (const client of [setup.application, setup.worker, token]) expect((await client.get(`${path}/versions/latest`)).status).toBe(200);
  for (const client of [setup.worker, token]) expect([(await client.get(path)).status, (await client.get("/v1/skills")).status]).toEqual([403, 403]);
  expect(refusal(await setup.application.get(path, { headers: { "anthropic-beta": "skills-2025-10-02" } }))).toEqual([400, "invalid_request_error"]);
});

const files = { "SKILL.md": "# pdf", "scripts/run.sh": { content: "#!/bin/sh\n", executable: true }, "ø.txt": "ø" };
const expected = (directory: string): readonly string[] => [
  `-644 ${directory}SKILL.md # pdf`,
  `-755 ${directory}scripts/run.sh #!/bin/sh\n`,
  `-644 ${directory}ø.txt ø`,
];

test("85: a content is a zip or a tar, wrapped or flat, with its execute bits", async () => {
  await using setup = await bench();
  for (const [wrapped, directory] of [
    [true, "pdf/"],
    [false, ""],
  ] as const) {
    const zip = await download(setup, { files, wrapped });
    expect([zip.type, shown(readZip(zip.bytes))]).toEqual(["application/zip", expected(directory)]);
    const gzip = await download(setup, { files, wrapped, format: "tar.gz" });
    expect([gzip.type, shown(readTar(gunzipSync(gzip.bytes)))]).toEqual(["application/gzip", expected(directory)]);
    const tar = await download(setup, { files, wrapped, format: "tar" });
    expect([tar.type, shown(readTar(tar.bytes))]).toEqual(["application/octet-stream", expected(directory)]);
  }
});

test("85: a SKILL.md is made where none is given", async () => {
  await using setup = await bench();
  const { bytes } = await download(setup, { description: "Reads: PDF" });
  expect(shown(readZip(bytes))).toEqual(['-644 pdf/SKILL.md ---\nname: pdf\ndescription: "Reads: PDF"\n---\n']);
});

test("85: hostile members are packed as they are", async () => {
  await using setup = await bench();
  const long = `deep/${"d".repeat(120)}/é`;
  const members: readonly ArchiveMember[] = [
    { name: "pdf/", kind: "directory", mode: 0o777 },
    { name: "pdf/link", kind: "symlink", target: "/etc/passwd" },
    { name: "../outside", content: "out" },
    { name: "/absolute", content: "abs" },
    { name: "pdf/pipe", kind: "fifo" },
    { name: "pdf/null", kind: "device" },
    { name: long, content: "long" },
    { name: "pdf/set", mode: 0o4755 },
  ];
  const lines = [
    "d777 pdf/ ",
    "l644 pdf/link /etc/passwd",
    "-644 ../outside out",
    "-644 /absolute abs",
    "p644 pdf/pipe ",
    "c644 pdf/null ",
    `-644 ${long} long`,
    "-4755 pdf/set ",
  ];
  expect(shown(readZip((await download(setup, { members })).bytes))).toEqual(lines);
  const hard: ArchiveMember = { name: "pdf/hard", kind: "hardlink", target: "t".repeat(150) };
  const tar = await download(setup, { members: [...members, hard], format: "tar" });
  expect(shown(readTar(tar.bytes))).toEqual([...lines, `h644 pdf/hard ${"t".repeat(150)}`]);
  expect(() => setup.simulator.createSkill({ name: "pdf", members: [hard] })).toThrow("a zip has no hardlinks");
});

test("85: a listing can be huge, and bytes can be anything", async () => {
  await using setup = await bench();
  const members = Array.from({ length: 20_000 }, (_, index) => ({ name: `pdf/${"n".repeat(60)}${index}` }));
  const names = readZip((await download(setup, { members })).bytes).map(({ name }) => name);
  expect([names.length, names.join("\n").length > 1024 * 1024]).toEqual([20_000, true]);
  expect((await download(setup, { archive: Buffer.from("no archive") })).bytes.toString()).toBe("no archive");
});

test("86: a fault strikes the download of one skill only", async () => {
  await using setup = await bench();
  const [first, second] = ["one", "two"].map((name) => setup.simulator.createSkill({ name }));
  setup.simulator.addRequestFault({
    endpoint: "skill_versions.content",
    status: 500,
    times: Infinity,
    where: (request) => request.path.includes(first?.id ?? ""),
  });
  const status = async (skill = first): Promise<number> => {
    const headers = { authorization: `Bearer ${setup.simulator.environmentKey}` };
    return (await fetch(`${setup.simulator.url}/v1/skills/${skill?.id}/versions/${skill?.versions[0]}/content`, { headers })).status;
  };
  expect([await status(first), await status(second), await status(first)]).toEqual([500, 200, 500]);
});

test("skills are uploaded, listed, versioned and deleted over the API", async () => {
  const clock = new VirtualClock();
  await using setup = await bench({ clock });
  const upload = async (path: string, entries: Readonly<Record<string, string>>, displayName?: string): Promise<Answer> => {
    const form = new FormData();
    for (const [name, content] of Object.entries(entries)) form.append("files[]", new File([content], name));
    if (displayName !== undefined) form.append("display_name", displayName);
    const headers = { authorization: `Bearer ${setup.simulator.apiKey}` };
    const response = await fetch(`${setup.simulator.url}${path}`, { method: "POST", headers, body: form });
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  const manifest = "---\nname: pdf-tools\ndescription: Reads PDF.\n---\n";
  const created = (await upload("/v1/skills", { "pdf/SKILL.md": manifest, "pdf/a.txt": "a" }, "PDF tools")).body;
  expect(created).toMatchObject({ type: "skill", display_name: "PDF tools", source: { type: "custom" } });
  const path = `/v1/skills/${created.id}`;
  const version = (await setup.application.get(`${path}/versions/latest`)).body;
  expect(version).toMatchObject({ id: created.latest_version_id, name: "pdf-tools", description: "Reads PDF." });
  const response = await fetch(`${setup.simulator.url}${path}/versions/${version.id}/content`, {
    headers: { authorization: `Bearer ${setup.simulator.apiKey}` },
  });
  expect(shown(readZip(Buffer.from(await response.arrayBuffer())))).toEqual([`-644 pdf-tools/SKILL.md ${manifest}`, "-644 pdf-tools/a.txt a"]);

  await clock.advance(1_000);
  const second = (await upload(`${path}/versions`, { "x/SKILL.md": manifest.replace("Reads", "Writes") })).body;
  expect((await setup.application.get(path)).body).toMatchObject({ latest_version_id: second.id, updated_at: "2026-01-01T00:00:01.000000Z" });
  const ids = async (list: string): Promise<readonly string[]> => (await setup.application.get(list)).body.data.map((each: Json) => each.id);
  expect(await ids(`${path}/versions`)).toEqual([second.id, version.id]);
  for (const entries of [
    {},
    { "a/SKILL.md": manifest, "b/x": "" },
    { "a/x": "" },
    { "pdf/SKILL.md": "---\na: [\n---" },
    { "pdf/SKILL.md": manifest, "pdf/../x": "" },
  ])
    expect([entries, (await upload("/v1/skills", entries)).status]).toEqual([entries, 400]);
  expect((await upload(`${path}/versions`, { "other/SKILL.md": "no frontmatter" })).body.error.message).toContain("its name is other");
  expect((await setup.application.post("/v1/skills", { files: [] })).status).toBe(400);

  setup.simulator.createSkill({ id: "pdf", name: "pdf", source: "anthropic" });
  expect(await ids("/v1/skills")).toEqual(["pdf", created.id]);
  expect(await ids("/v1/skills?source=custom")).toEqual([created.id]);
  expect((await setup.application.call("DELETE", `${path}/versions/latest`)).status).toBe(404);
  const removed = await setup.application.call("DELETE", `${path}/versions/${second.id}`);
  expect(removed.body).toEqual({ id: second.id, type: "skill_version_deleted" });
  expect((await setup.application.call("DELETE", `${path}/versions/${version.id}`)).status).toBe(400);
  expect((await setup.application.call("DELETE", path)).body).toEqual({ id: created.id, type: "skill_deleted" });
  expect((await setup.application.get(path)).status).toBe(404);
});
