import { readFile } from "node:fs/promises";
import { type Command, defineCommand } from "../command.ts";
import { exitCodes } from "../failure.ts";

/** Of this package, from its own package.json, which lies beside both `src` and `dist`. */
export async function packageVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as { readonly version: string };
  return version;
}

export const version: Command = defineCommand({
  name: "version",
  summary: "Print the versions of Glovebox and Node",
  usage: ["[FLAGS]"],
  details: [],
  flags: { json: { kind: "switch", text: "Print one JSON object" } },
  positionals: { min: 0, max: 0, name: "" },
  run: async ({ flags }, { stdout }) => {
    const versions = { glovebox: await packageVersion(), node: process.versions.node, platform: `${process.platform}-${process.arch}` };
    stdout.write(flags.json ? `${JSON.stringify(versions)}\n` : `glovebox ${versions.glovebox} (Node ${versions.node}, ${versions.platform})\n`);
    return exitCodes.done;
  },
});
