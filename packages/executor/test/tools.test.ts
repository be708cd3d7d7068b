import { Sandbox, SandboxError } from "@glovebox/core";
import { expect, test } from "vitest";
import type { ToolContext } from "../src/tools/tool.ts";
import { agentToolset } from "../src/tools/toolset.ts";
import { type FakeSandboxesOptions, aborted, fakeSandboxes } from "./fake-sandboxes.ts";
import { png, sample, samples } from "./media-samples.ts";

/** Runs one tool and gives its text, with `!` before an error's; of a block, the type and what it holds. */
async function tools(options: FakeSandboxesOptions = {}): Promise<{
  readonly run: (name: string, input: unknown, more?: Partial<ToolContext>) => Promise<string>;
  readonly sandbox: Sandbox;
  readonly commands: readonly string[];
}> {
  const { provider, commands } = fakeSandboxes({ calls: false, ...options });
  const sandbox = await Sandbox.create(provider);
  const context = {
    sandbox,
    signal: new AbortController().signal,
    threadId: undefined,
    timeoutMs: 600_000,
    call: undefined,
    remark: () => undefined,
    replayed: () => undefined,
  };
  return {
    sandbox,
    commands,
    run: async (name, input, more = {}) => {
      try {
        const output = await agentToolset.get(name)?.prepare(input)({ ...context, ...more });
        return typeof output === "object" ? JSON.stringify(output) : (output ?? "no such tool");
      } catch (error) {
        return `!${error instanceof Error ? error.message : String(error)}`;
      }
    },
  };
}

const shellOf = (output: string, code = 0): FakeSandboxesOptions => ({ shell: async () => ({ output, code }) });

test("what the official toolset says about missing input is said in its words", async () => {
  const { run } = await tools();
  expect(
    await Promise.all([
      run("bash", {}),
      run("read", {}),
      run("write", { content: "x" }),
      run("edit", {}),
      run("edit", { file_path: "a" }),
      run("glob", {}),
      run("grep", {}),
    ]),
  ).toEqual([
    "!bash: command is required",
    "!read: file_path is required",
    "!write: file_path is required",
    "!edit: file_path is required",
    "!edit: old_string is required",
    "!glob: pattern is required",
    "!grep: pattern is required",
  ]);
  expect(await run("read", { file_path: "a", view_range: [1] })).toBe("!read: view_range must be [start_line, end_line]");
  expect(await run("glob", { pattern: "/etc/*" })).toBe("!glob: absolute pattern not permitted; pass a relative pattern (and optionally path)");
  for (const pattern of ["../*", "{a,..}/b", "a\\..\\b"]) expect(await run("glob", { pattern })).toBe('!glob: ".." is not permitted in the pattern');
});

test("input of another type is an error result that names the member", async () => {
  const { run } = await tools();
  expect(await run("bash", { command: 5 })).toBe("!bash: invalid input: command: Invalid input: expected string, received number");
  expect(await run("read", "a")).toBe("!read: invalid input: the input: Invalid input: expected object, received string");
  expect(await run("bash", { command: null, restart: true, timeout_ms: null })).toBe("bash session restarted");
});

test("bash: exit codes, escape sequences and line ends", async () => {
  expect(await (await tools(shellOf("\u001b[31mred\u001b[0m\n\n\n"))).run("bash", { command: "x" })).toBe("red");
  expect(await (await tools(shellOf("", 7))).run("bash", { command: "x" })).toBe("!exit 7");
  expect(await (await tools(shellOf("oops\n", 7))).run("bash", { command: "x" })).toBe("!oops");
});

test("bash: restart with a command restarts, then runs it", async () => {
  const { run, commands } = await tools(shellOf("done"));
  expect(await run("bash", { command: "x", restart: true })).toBe("done");
  expect(commands).toEqual(["(restart)", "x"]);
});

test("bash: the last 102,400 UTF-16 units are kept, whole characters only", async () => {
  const text = await (await tools(shellOf(`${"é".repeat(200_000)}end`))).run("bash", { command: "x" });
  expect(text).toBe(`[output truncated]\n${"é".repeat(102_397)}end`);
  const exact = await (await tools(shellOf("a".repeat(102_400)))).run("bash", { command: "x" });
  expect(exact).toBe("a".repeat(102_400));
});

test("bash: a time-out asked for is bounded by the worker's, and 0 means the worker's", async () => {
  const { run } = await tools({ shell: async ({ signal }) => (await aborted(signal), { output: "so far" }) });
  const lost =
    "The next command gets a fresh shell: directory, variables, functions and background jobs are gone, files are not.\nOutput before that:\nso far";
  expect(await run("bash", { command: "x", timeout_ms: 10 })).toBe(`!bash: bash command timed out after 10ms\n${lost}`);
  expect(await run("bash", { command: "x", timeout_ms: 9_000 }, { timeoutMs: 15 })).toBe(`!bash: bash command timed out after 15ms\n${lost}`);
  expect(await run("bash", { command: "x", timeout_ms: 0 }, { timeoutMs: 15 })).toBe(`!bash: bash command timed out after 15ms\n${lost}`);
});

test("bash: a shell that ended is told with what is lost", async () => {
  const { run } = await tools({ shell: async () => ({ output: "bye", code: 3, shellKept: false }) });
  expect(await run("bash", { command: "exit 3" })).toMatch(
    /^!bash: bash session terminated\nThe shell ended with exit code 3\. .*\nOutput before that:\nbye$/su,
  );
});

test("bash: a thread has a shell of its own, and one that is shared where the sandbox has none left", async () => {
  const shells = new Set<string>();
  const noneLeft = new SandboxError("resource_exhausted", "more than 2 shells", { effect: "none" });
  const shell = async ({ request }: { readonly request: { readonly shell: string } }) => {
    if (!shells.has(request.shell) && shells.size === 2 && request.shell !== "threads") throw noneLeft;
    shells.add(request.shell);
    return { output: request.shell };
  };
  const { run } = await tools({ shell });
  const remarks: string[] = [];
  const bash = async (threadId: string | undefined): Promise<string> =>
    await run("bash", { command: "x" }, { threadId, remark: (text) => void remarks.push(text) });
  expect(await bash(undefined)).toBe("main");
  const ofA = await bash("sthr_a");
  expect(ofA).toMatch(/^thread-[0-9a-f]{40}$/u);
  expect(await bash("sthr_a")).toBe(ofA);
  expect(remarks).toEqual([]);
  expect(await bash("../sthr_b")).toBe("threads");
  expect(remarks).toEqual([expect.stringMatching(/^Note: this session has more threads than its sandbox has shells\./u)]);
});

test("read: ranges are the lines joined, as the official toolset gives them", async () => {
  const { run, sandbox } = await tools();
  for (const content of ["a\nb\nc\n", "a\nb\nc", "", "\n\n", "\ufeffa\r\nb"]) {
    await sandbox.files.write("f", content);
    for (const range of [
      [1, 1],
      [1, 2],
      [2, 3],
      [1, 4],
      [2, -1],
      [0, 0],
      [-5, 2],
      [3, 2],
      [9, 12],
      [4, 4],
    ] as const) {
      const lines = content.split("\n");
      const official = lines.slice(Math.max(0, range[0] - 1), range[1] > 0 ? range[1] : lines.length).join("\n");
      expect([content, range, await run("read", { file_path: "f", view_range: range })]).toEqual([content, range, official]);
    }
    expect(await run("read", { file_path: "f" })).toBe(content);
  }
});

test("read: sizes and bytes that are no text", async () => {
  const { run, sandbox } = await tools();
  await sandbox.files.write("big", "x".repeat(262_145));
  await sandbox.files.write("fits", "x".repeat(262_144));
  await sandbox.files.write("binary", Uint8Array.of(0xff, 0xfe, 0x00));
  expect(await run("read", { file_path: "big" })).toBe(
    "!read: big is 262145 bytes, exceeds 262144-byte limit. Use the view_range parameter to read specific line ranges, e.g. view_range: [1, 500].",
  );
  expect(await run("read", { file_path: "big", view_range: [1, 1] })).toMatch(/^!read: line 1 of big alone exceeds 262144-byte limit\./u);
  expect(await run("read", { file_path: "big", view_range: [1, 2] })).toMatch(/^!read: view_range \[1, 2\] of big exceeds 262144-byte limit\./u);
  expect((await run("read", { file_path: "fits" })).length).toBe(262_144);
  expect(await run("read", { file_path: "binary" })).toMatch(/^!read: binary is not valid UTF-8/u);
  expect(await run("read", { file_path: "absent" })).toBe("!read: absent: no such file or directory");
});

test.each(samples)("read: an image or a PDF is a block of its type, whatever its name: $name", async ({ type, content }) => {
  const { run, sandbox } = await tools();
  await sandbox.files.write("shot.txt", content);
  const source = { type: "base64", media_type: type, data: Buffer.from(content).toString("base64") };
  expect(JSON.parse(await run("read", { file_path: "shot.txt" }))).toEqual({ type: type === "application/pdf" ? "document" : "image", source });
});

test("read: what is named like an image and is none is text, or no text", async () => {
  const { run, sandbox } = await tools();
  await sandbox.files.write("a.png", "not a picture");
  await sandbox.files.write("a.gif", "GIF89a is how such a file begins");
  await sandbox.files.write("a.pdf", "%PDF-1.7 is how such a file begins");
  await sandbox.files.write("b.png", sample("png").subarray(0, 70));
  await sandbox.files.write("c.png", Uint8Array.of(0xff, 0xfe));
  expect(await run("read", { file_path: "a.png" })).toBe("not a picture");
  expect(await run("read", { file_path: "a.gif" })).toBe("GIF89a is how such a file begins");
  expect(await run("read", { file_path: "a.pdf" })).toBe("%PDF-1.7 is how such a file begins");
  expect(await run("read", { file_path: "b.png" })).toBe("!read: b.png begins like image/png, but it is damaged or not complete");
  expect(await run("read", { file_path: "c.png" })).toMatch(/^!read: c\.png is not valid UTF-8/u);
});

test("read: images up to 5 MiB of base64, PDFs up to 20 MiB, and no range of either", async () => {
  const { run, sandbox } = await tools();
  const most = 3_932_160;
  await sandbox.files.write("fits.png", png({ sizeBytes: most }));
  await sandbox.files.write("large.png", png({ sizeBytes: most + 1 }));
  expect(JSON.parse(await run("read", { file_path: "fits.png" })).source.data).toHaveLength(5_242_880);
  expect(await run("read", { file_path: "large.png" })).toBe(
    `!read: large.png is ${most + 1} bytes, exceeds ${most}-byte limit for image/PDF files.`,
  );
  const pdf = (sizeBytes: number): Uint8Array => {
    const content = new Uint8Array(sizeBytes).fill(0x0a);
    content.set(sample("pdf").subarray(0, 40));
    content.set(sample("pdf").subarray(-6), sizeBytes - 6);
    return content;
  };
  await sandbox.files.write("fits.pdf", pdf(20_971_520));
  await sandbox.files.write("large.pdf", pdf(20_971_521));
  expect(JSON.parse(await run("read", { file_path: "fits.pdf" })).source.data).toHaveLength(27_962_028);
  expect(await run("read", { file_path: "large.pdf" })).toBe("!read: large.pdf is 20971521 bytes, exceeds 20971520-byte limit for image/PDF files.");
  await sandbox.files.write("small.pdf", sample("pdf"));
  for (const file_path of ["fits.png", "large.png", "fits.pdf", "small.pdf"]) {
    for (const view_range of [
      [1, 2],
      [3, -1],
    ]) {
      expect(await run("read", { file_path, view_range })).toBe("!read: view_range is not supported for image/PDF files");
    }
  }
});

test("paths stay in the work directory, whatever they look like", async () => {
  const { run } = await tools();
  for (const path of ["../../etc/shadow", "/etc/shadow", "a/../../etc", "/workspace/../etc/passwd", "/workspaces/x"]) {
    for (const [name, input] of [
      ["read", {}],
      ["write", { content: "" }],
      ["edit", { old_string: "a", new_string: "b" }],
    ] as const) {
      expect(await run(name, { file_path: path, ...input })).toBe(`!path ${JSON.stringify(path)} is outside the session's working directory`);
    }
  }
  expect(await run("write", { file_path: "/workspace/deep/er/../x", content: "héé" })).toBe("wrote 5 bytes to /workspace/deep/er/../x");
  expect(await run("read", { file_path: "deep/x" })).toBe("héé");
});

test("edit: counts, uniqueness and literal text", async () => {
  const { run } = await tools();
  await run("write", { file_path: "f", content: "aaa b" });
  const edit = async (more: object): Promise<string> => await run("edit", { file_path: "f", ...more });
  expect(await edit({ old_string: "c", new_string: "d" })).toBe("!edit: old_string not found in f");
  expect(await edit({ old_string: "\ud800", new_string: "d" })).toBe("!edit: old_string not found in f");
  expect(await edit({ old_string: "a", new_string: "d" })).toBe("!edit: old_string appears 3 times in f (must be unique)");
  expect(await edit({ old_string: "a" })).toBe("!edit: new_string is required");
  expect(await edit({ old_string: "b", new_string: "$&$1" })).toBe("edited f (1 replacement(s))");
  expect(await edit({ old_string: "a", new_string: "", replace_all: true })).toBe("edited f (3 replacement(s))");
  expect(await run("read", { file_path: "f" })).toBe(" $&$1");
});

test("edit: bytes that are no UTF-8 stay as they are", async () => {
  const { run, sandbox } = await tools();
  await sandbox.files.write("f", Uint8Array.of(0xff, 0x61, 0xfe));
  expect(await run("edit", { file_path: "f", old_string: "a", new_string: "é" })).toBe("edited f (1 replacement(s))");
  expect([...(await sandbox.files.read("f"))]).toEqual([0xff, 0xc3, 0xa9, 0xfe]);
});

test("glob: nothing found, also where nothing is", async () => {
  const { run } = await tools();
  expect(await run("glob", { pattern: "*.nope" })).toBe("no matches");
  expect(await run("glob", { pattern: "*", path: "absent" })).toBe("no matches");
});
