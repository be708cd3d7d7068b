import { execFile } from "node:child_process";
import { createReadStream } from "node:fs";
import { appendFile, chown, mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { arch, homedir } from "node:os";
import { join } from "node:path";
import { parseArgs, promisify } from "node:util";
import { SandboxError } from "@glovebox/core";
import { Engine } from "../src/engine.ts";
import { EngineFailure, rethrow } from "../src/errors.ts";
import { resolveOptions } from "../src/options.ts";
import { type AptSource, aptSource } from "./apt-source.ts";
import { DEFAULT_IMAGE } from "./name.ts";
import { RECIPE_LABEL, agent, configuration, leftOut, packages, recipeDigest } from "./recipe.ts";

const usage = `usage: build:image [--name NAME] [--force]
Builds the default sandbox image (${DEFAULT_IMAGE}) from this machine's Debian packages, without a registry.
  --name NAME  tag it so, a version beside it
  --force      build it anew, Debian's updates included`;

const run = promisify(execFile);
const say = (line: string): void => console.log(`build:image: ${line}`);
const LOCK_POLL_MS = 1_000;

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { name: { type: "string" }, force: { type: "boolean" }, help: { type: "boolean" } } });
  if (values.help === true) return console.log(usage);
  const name = values.name ?? DEFAULT_IMAGE;
  const [, repository = "", tag = "latest"] = /^(.+?)(?::([\w.-]+))?$/u.exec(name) ?? [];
  const engine = new Engine(resolveOptions({}, process.env).address);
  const source = await aptSource();
  const recipe = recipeDigest(source?.suite ?? "", arch());
  const there = await imageRecipe(engine, name);
  if (values.force !== true && (there === recipe || (there !== undefined && source === undefined))) return say(`${name} is there (recipe ${there})`);

  const cache = join(process.env["XDG_CACHE_HOME"] || join(homedir(), ".cache"), "glovebox");
  await mkdir(cache, { recursive: true });
  await using _lock = await lock(join(cache, "build-image.lock"));
  const archive = join(cache, `sandbox-${recipe}.tar`);
  if (values.force === true) await rm(archive, { force: true });
  if (!(await exists(archive))) await buildArchive(archive, requireDebian(source), cache);
  else say(`using ${archive}`);
  await importArchive(engine, archive, { repository, tag, recipe });
  if (tag === "latest") await engine.bytes("POST", `/images/${name}/tag`, { query: { repo: repository, tag: recipe } });
  say(`${name} is ready`);
}

/** @returns the recipe of the image of that name, empty where it was built otherwise, `undefined` where there is none */
async function imageRecipe(engine: Engine, name: string): Promise<string | undefined> {
  const answer = await engine
    .json<{ Config?: { Labels?: Readonly<Record<string, string>> | null } }>("GET", `/images/${name}/json`)
    .catch((cause: unknown): undefined => {
      if (cause instanceof EngineFailure && cause.status === 404) return undefined;
      return rethrow(`image ${name}`, "none")(cause);
    });
  return answer && (answer.Config?.Labels?.[RECIPE_LABEL] ?? "");
}

function requireDebian(source: AptSource | undefined): AptSource {
  const otherwise = `or build it with a registry: docker build -t ${DEFAULT_IMAGE} packages/docker/image`;
  if (source === undefined) throw failed(`this machine is no Debian whose apt sources name a mirror; build the image on one, ${otherwise}`);
  if (process.getuid?.() !== 0) throw failed(`debootstrap needs root: sudo env PATH="$PATH" npx -y pnpm@12 build:image, ${otherwise}`);
  return source;
}

async function buildArchive(archive: string, { mirror, suite }: AptSource, cache: string): Promise<void> {
  const root = await mkdtemp(join(cache, "rootfs-"));
  const startedAt = performance.now();
  try {
    say(`installing Debian ${suite} and ${packages.length} packages (about a minute)`);
    await run("debootstrap", ["--variant=minbase", `--include=${packages.join(",")}`, suite, root, mirror], { maxBuffer: 64 * 1024 * 1024 }).catch(
      explain,
    );
    for (const path of leftOut) await rm(join(root, path), { recursive: true, force: true });
    for (const directory of ["var/cache/apt/archives/partial", "var/lib/apt/lists/partial", "var/log"])
      await mkdir(join(root, directory), { recursive: true });
    for (const [path, line] of Object.entries(agent)) await appendFile(join(root, path), line);
    for (const directory of ["home/agent", "workspace"]) {
      await mkdir(join(root, directory), { recursive: true, mode: 0o755 });
      await chown(join(root, directory), 1000, 1000);
    }
    say("packing");
    await run("tar", ["--create", "--numeric-owner", "--sort=name", `--file=${archive}.part`, `--directory=${root}`, "."]);
    await rename(`${archive}.part`, archive);
    say(
      `packed ${Math.round((await stat(archive)).size / 1024 ** 2)} MiB in ${Math.round((performance.now() - startedAt) / 1000)} s, kept at ${archive}`,
    );
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}

function explain(error: NodeJS.ErrnoException & { stdout?: string; stderr?: string }): never {
  if (error.code === "ENOENT") throw failed("debootstrap is missing: apt-get install debootstrap");
  const last = `${error.stdout ?? ""}${error.stderr ?? ""}`.trimEnd().split("\n").slice(-5).join("\n  ");
  throw failed(`debootstrap failed; does apt-get update work here? It said:\n  ${last}`);
}

async function importArchive(
  engine: Engine,
  archive: string,
  image: { readonly repository: string; readonly tag: string; readonly recipe: string },
): Promise<void> {
  say(`importing into the engine at ${engine.address.name}`);
  const changes = [...configuration, `LABEL ${RECIPE_LABEL}=${image.recipe}`].map((change) => ["changes", change] as const);
  const search = new URLSearchParams([
    ["fromSrc", "-"],
    ["repo", image.repository],
    ["tag", image.tag],
    ...changes.map(([key, value]) => [key, value]),
  ] as [string, string][]);
  const answer = await engine
    .bytes("POST", `/images/create?${search.toString()}`, { archive: createReadStream(archive), timeoutMs: 10 * 60_000 })
    .catch(rethrow("import the image", "unknown"));
  // the status was sent before the import began: a failure is a line of the body
  for (const line of answer
    .toString("utf8")
    .split("\n")
    .filter((text) => text.trim() !== "")) {
    const { error } = JSON.parse(line) as { error?: string };
    if (error !== undefined) throw failed(`the engine could not import ${archive}: ${error}`);
  }
}

/** One build at a time on this machine: the file holds the builder's pid, so that one left behind by a killed builder is seen through. */
async function lock(path: string): Promise<AsyncDisposable> {
  let told = false;
  for (;;) {
    const taken = await writeFile(path, String(process.pid), { flag: "wx" }).then(
      () => true,
      (error: NodeJS.ErrnoException) => {
        if (error.code === "EEXIST") return false;
        throw error;
      },
    );
    if (taken) return { [Symbol.asyncDispose]: () => rm(path, { force: true }) };
    const holder = Number(await readFile(path, "utf8").catch(() => ""));
    if (holder > 0 && !isAlive(holder)) await rm(path, { force: true });
    if (!told) say(`another build runs (pid ${holder}); waiting`);
    told = true;
    await new Promise((resolve) => setTimeout(resolve, LOCK_POLL_MS));
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

function failed(message: string): SandboxError {
  return new SandboxError("failed_precondition", message, { effect: "none" });
}

try {
  await main();
} catch (error) {
  console.error(SandboxError.is(error) ? `build:image: ${(error as Error).message}` : error);
  process.exitCode = 1;
}
