import { readFile, readdir } from "node:fs/promises";

/** Where Debian's packages come from on this machine. */
export interface AptSource {
  readonly mirror: string;
  readonly suite: string;
}

/** @returns `undefined` where this is no Debian, or its sources name no mirror for its own release */
export async function aptSource(root = "/"): Promise<AptSource | undefined> {
  const release = await readFile(`${root}etc/os-release`, "utf8").catch(() => "");
  const suite = /^VERSION_CODENAME=(\S+)$/mu.exec(release)?.[1];
  if (suite === undefined || !/^ID=debian$/mu.test(release)) return undefined;
  const directory = `${root}etc/apt/sources.list.d/`;
  const names = (await readdir(directory).catch((): string[] => [])).toSorted((a, b) => (a < b ? -1 : 1));
  for (const path of [`${root}etc/apt/sources.list`, ...names.map((name) => directory + name)]) {
    const text = await readFile(path, "utf8").catch(() => "");
    const mirror = path.endsWith(".sources") ? fromStanzas(text, suite) : fromLines(text, suite);
    if (mirror !== undefined) return { mirror, suite };
  }
  return undefined;
}

/** See sources.list(5), "deb822-style format". */
function fromStanzas(text: string, suite: string): string | undefined {
  for (const stanza of text.split(/\n\s*\n/u)) {
    const field = (name: string): readonly string[] => (new RegExp(`^${name}:(.*)$`, "imu").exec(stanza)?.[1] ?? "").trim().split(/\s+/u);
    if (!field("Types").includes("deb") || field("Enabled").includes("no")) continue;
    const mirror = field("URIs").find(isWeb);
    if (field("Suites").includes(suite) && field("Components").includes("main") && mirror !== undefined) return mirror;
  }
  return undefined;
}

/** See sources.list(5), "one-line-style format". */
function fromLines(text: string, suite: string): string | undefined {
  for (const line of text.split("\n")) {
    const [, mirror, lineSuite, components = ""] = /^deb\s+(?:\[[^\]]*\]\s+)?(\S+)\s+(\S+)\s+(.*)$/u.exec(line.trim()) ?? [];
    if (mirror !== undefined && isWeb(mirror) && lineSuite === suite && components.split(/\s+/u).includes("main")) return mirror;
  }
  return undefined;
}

function isWeb(uri: string): boolean {
  return /^https?:\/\//u.test(uri);
}
