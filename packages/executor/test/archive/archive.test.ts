import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { ArchiveMember } from "../../../simulator/src/archive.ts";
import { tarArchive } from "../../../simulator/src/tar-archive.ts";
import { zipArchive } from "../../../simulator/src/zip-archive.ts";
import { filesOf } from "../../src/archive/archive.ts";
import { ArchiveError } from "../../src/archive/members.ts";

const limits = { maxBytes: 1_000_000, maxMembers: 100 };
const packers = { zip: zipArchive, tar: tarArchive, "tar.gz": (members: readonly ArchiveMember[]) => gzipSync(tarArchive(members)) } as const;
const formats = Object.entries(packers);

/** Paths with their contents, `*` after those of programs; or why it was refused. */
async function unpacked(archive: Uint8Array, within = limits): Promise<Readonly<Record<string, string>> | string> {
  try {
    const files = await filesOf(archive, within);
    return Object.fromEntries(files.map(({ path, executable, content }) => [executable ? `${path}*` : path, Buffer.from(content).toString("utf8")]));
  } catch (error) {
    if (!(error instanceof ArchiveError)) throw error;
    return error.message;
  }
}

const deep = `${"d".repeat(90)}/${"e".repeat(90)}/f.txt`;

test.each([
  [
    "GNU tar",
    "H4sIAAAAAAACA+2YsW7DIBRFmfMVVNkBg4G1a1W2foFTu40Vx44MUfL5tRJ1cSQiV8KS63sWkGC7eufx8Ie6aThJihiwWt/WgfH6uM+EUYpQTWbg7EPRU0r6rguxe8/OF4q/5f/x/uYcO5bp8jd5Hsk/H+UvhdSECuSfnC0tNgSslnv9l8ngf/G/kspI+H8OGGf81XXtt6vbQ8L+H/O/tHrk/8wIS6hD/suv/yoZHPZeRv7T/a9EnsH/a/G/EnLsf20N/A//x/3/xcI1QOGL8P+k+X/wv8L8PwtlVZ1QBWuv/yZd8/+d/62d8P+rtBn6v+RV+OSnwvtLifpPmX9/bpnfJ80/9v7PHt5/1lj4fw62L3xXt9zv8QsMAAAAAAAAAP+aH4YQR9UAKAAA",
  ],
  [
    "POSIX tar",
    "H4sIAAAAAAACA+2a3WrCMBiGe+xVdHje/Cd64PnGPBjsCjrbYfGXtjIvf5kbm0SmKCa29X1OUowQJL7PR74mIS/p9jFPs7ysSDUr5vPo6lCLlnI3WtyRUiP/nr8+Z0zYId5GAdhUdVra5aP7RNA4rYtFPmJmqJRkQ2USowZcKK51z85ODmflz2wEWs8u8sTvGruIK/V//t1nxpkQUaxC5r9crepj3zs17/64Vu3/Xg14fX4aj5NFdlP/c8nh/6b6X2r4v2P+9xD6c/JP3fwLwVUU05D5v1P/9+MUOb77/O/V/+z6nF3/BRNGo/43tf5z1P+O5T/zBrnk/CeE1hznv07svy0tp/wvKT/0P4P/Q8CGg3id1tOR9z9C7g3Su6SLSVHFQuTf7s/5/pdCMvi/S/t/3P/G9b+kEv4PAaei/f5/T+ptjSLQ1vwf9P+s/wX6f0HI8nyNUzD6f7/9v3mxnF15jQve/zHc/2hs/w/3PzqXfw+hd/JvjDnj/oeiWkcxJ3k9Ieu0qj4y7/nH/Y9v/5ebZVJNb+1/oeH/xvofnbOu+d9D6F3/H+v/Me7e/+Da4PwXgv4DeSuWpJoizQAAAAAAAAAAAAAAAAAAAAAAAAAAreQT9uRSjQBQAAA=",
  ],
  [
    "ustar",
    "H4sIAAAAAAACA+3X3QqCMBwF8F33FEb3TvflM0Te9QSWRqJpuEU9fmJ3C4qEWcvzu5ngQOSw/Tm6KuuaEqeiXiLlsPbs9fk5ZjHnJJBkAhdtsq7/fNe25tW+d+/tn/OEHvLfbtZpGp5yd/krIV7kL6z8OWeSBBHyd24VZAsCs/U4/7kzdMz9z7lSDPf/FApn6Pj5L6VQwvP8XR+s38//EJqbGTX/Zb9beD7/Pck/L4ozpuDc539dNpXj/pckH/Q/GSlFAkYLs6fnTOtr7t359yr/7tKE+vi1/h8zu/8xlaD/TdL/lnRXNlQf0QIBAAAAAAAAAAAA/sod6YEueAAoAAA=",
  ],
])("what %s packs is read, long names included, and links left out", async (_, base64) => {
  expect(await unpacked(Buffer.from(base64, "base64"))).toEqual({ "SKILL.md": "# a\n", "run.sh*": "#!/bin/sh\n", [deep]: "deep" });
});

test("what a zip that was written as a stream has, and a comment that looks like its end, are read", async () => {
  const zip =
    "UEsDBBQACAAIAOaMeF0AAAAAAAAAAAAAAAAOAAAAc2tpbGwvU0tJTEwubWRTVkjkAgBQSwcI1Cq9NwYAAAAEAAAAUEsDBBQACAAAAAAAIQAAAAAAAAAAAAAAAAAMAAAAc2tpbGwvcnVuLnNoIyEvYmluL3NoClBLBwgdnfsECgAAAAoAAABQSwMEFAAICAgA5ox4XQAAAAAAAAAAAAAAABMAAABza2lsbC/DqS9uYcOvdmUudHh0O7wEAFBLBwiD8bVwBAAAAAIAAABQSwECFAMUAAgACADmjHhd1Cq9NwYAAAAEAAAADgAAAAAAAAAAAAAAgAEAAAAAc2tpbGwvU0tJTEwubWRQSwECFAMUAAgAAAAAACEAHZ37BAoAAAAKAAAADAAAAAAAAAAAAAAA7YFCAAAAc2tpbGwvcnVuLnNoUEsBAhQDFAAICAgA5ox4XYPxtXAEAAAAAgAAABMAAAAAAAAAAAAAAIABhgAAAHNraWxsL8OpL25hw692ZS50eHRQSwUGAAAAAAMAAwC3AAAAywAAABAAUEsFBiBub3QgdGhlIGVuZA==";
  expect(await unpacked(Buffer.from(zip, "base64"))).toEqual({ "SKILL.md": "# a\n", "run.sh*": "#!/bin/sh\n", "é/naïve.txt": "ä" });
});

test.each(formats)("a directory around everything is taken off a %s, and nothing else is", async (_, pack) => {
  const flat = [{ name: "SKILL.md", content: "a" }, { name: "d/", kind: "directory" } as const, { name: "d/x", content: "b", mode: 0o755 }];
  const files = { "SKILL.md": "a", "d/x*": "b" };
  expect(await unpacked(pack(flat))).toEqual(files);
  expect(await unpacked(pack(flat.map((member) => ({ ...member, name: `./skill/${member.name}` }))))).toEqual(files);
});

test.each(formats)("a %s is refused for a member that leads out of it, is there twice, or lies below a file", async (_, pack) => {
  const of = async (...names: readonly string[]): Promise<unknown> => await unpacked(pack(names.map((name) => ({ name, content: "x" }))));
  expect(await of("SKILL.md", "../escape")).toBe('"../escape" leads out of the archive');
  expect(await of("a/../../b")).toBe('"a/../../b" leads out of the archive');
  expect(await of("/etc/passwd")).toBe('"/etc/passwd" is no name for a file');
  expect(await of("a\\..\\b")).toBe('"a\\\\..\\\\b" is no name for a file');
  expect(await of("a\nb")).toBe('"a\\nb" is no name for a file');
  expect(await of("a", "./a")).toBe('"./a" is there twice');
  expect(await of("a", "a/b")).toBe('"a/b" lies below something that is no directory');
  expect(await of("a/b", "a")).toBe('"a" is there twice');
});

test.each(formats)("links and devices of a %s are left out, and what would go through them is refused", async (format, pack) => {
  const hidden: ArchiveMember[] = [
    { name: "link", kind: "symlink", target: "/etc" },
    { name: "pipe", kind: "fifo" },
    { name: "disk", kind: "device" },
    ...(format === "zip" ? [] : [{ name: "hard", kind: "hardlink", target: "SKILL.md" } as const]),
  ];
  expect(await unpacked(pack([{ name: "SKILL.md", content: "a" }, ...hidden]))).toEqual({ "SKILL.md": "a" });
  expect(await unpacked(pack([...hidden, { name: "link/passwd", content: "x" }]))).toBe('"link/passwd" lies below something that is no directory');
  expect(await unpacked(pack(hidden))).toBe("it has no files");
});

test.each(formats)("a %s that is large when unpacked is refused before it is", async (_, pack) => {
  const zeros = pack([{ name: "zeros", content: new Uint8Array(50_000_000) }]);
  const before = process.memoryUsage().arrayBuffers;
  expect(await unpacked(zeros)).toMatch(/too large|more than 1000000 bytes when unpacked/u);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(10_000_000);
  expect(await unpacked(pack(Array.from({ length: 101 }, (_value, index) => ({ name: `${index}` }))))).toBe("it has more than 100 members");
});

test("a zip whose members share their bytes, lie about their size or have two names is refused", async () => {
  const zip = zipArchive([
    { name: "a", content: "x".repeat(1_000) },
    { name: "b", content: "y".repeat(1_000) },
  ]);
  const at = (signature: string, nth = 0): number => {
    let found = zip.indexOf(signature, 0, "latin1");
    for (let count = 0; count < nth; count++) found = zip.indexOf(signature, found + 4, "latin1");
    return found;
  };
  const changed = (change: (copy: Buffer) => void): Buffer => {
    const copy = Buffer.from(zip);
    change(copy);
    return copy;
  };
  const second = at("PK\x01\x02", 1);
  const overlapping = changed((copy) => {
    copy.writeUInt32LE(0, second + 42);
    copy.write("a", second + 46);
    copy.copy(copy, second + 16, at("PK\x01\x02") + 16, at("PK\x01\x02") + 28);
  });
  expect(await unpacked(overlapping)).toBe("its members overlap");
  expect(await unpacked(changed((copy) => copy.writeUInt32LE(5, second + 24)))).toBe('"b" is damaged');
  expect(await unpacked(changed((copy) => copy.writeUInt32LE(5, second + 16)))).toBe('"b" is damaged');
  expect(await unpacked(changed((copy) => void copy.write("c", at("PK\x03\x04", 1) + 30)))).toBe('"b" has two names');
  expect(await unpacked(changed((copy) => copy.writeUInt16LE(1, second + 8)))).toBe('"b" is encrypted');
  expect(await unpacked(changed((copy) => copy.writeUInt16LE(12, second + 10)))).toBe('"b" is packed in a way that is not read here');
});

test("whatever bytes come, they are files or a refusal", async () => {
  const honest = formats.map(([, pack]) =>
    pack([
      { name: "s/SKILL.md", content: "# text" },
      { name: "s/run", content: "x", mode: 0o755 },
    ]),
  );
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...honest),
      fc.array(fc.record({ at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }), { minLength: 1, maxLength: 4 }),
      fc.nat(),
      async (archive, changes, cut) => {
        const bytes = Buffer.from(archive);
        for (const { at, byte } of changes) bytes[at % bytes.length] = byte;
        const given = cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes;
        const files = await unpacked(given);
        for (const path of Object.keys(typeof files === "string" ? {} : files)) expect(path).not.toMatch(/^\/|(?:^|\/)\.\.(?:\/|$)/u);
      },
    ),
    { numRuns: 1_000 },
  );
});
