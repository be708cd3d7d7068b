import { listSandboxes, type SandboxEntry } from "@glovebox/core";
import { type Command, defineCommand } from "../command.ts";
import { formatDuration } from "../duration.ts";
import { exitCodes } from "../failure.ts";
import { openProvider, providerFlag } from "../providers.ts";
import { safeJson, sanitiseLine } from "../sanitise.ts";
import { table, terminal } from "../terminal.ts";

export const ps: Command = defineCommand({
  name: "ps",
  summary: "List the sandboxes of this machine",
  usage: ["[FLAGS]"],
  details: [
    "Shows every sandbox that Glovebox made on the engine, also those of other processes and users. Embedded sandboxes (--provider virtual) live in the " +
      "process that made them, so that there are none to list here.",
  ],
  flags: {
    provider: providerFlag,
    json: { kind: "switch", text: "Print a JSON array, with labels" },
  },
  positionals: { min: 0, max: 0, name: "" },
  run: async ({ flags }, { stdout, env, signal }) => {
    const provider = await openProvider(flags.provider ?? "docker");
    const entries = (await Array.fromAsync(listSandboxes(provider, {}, { signal }))).sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1));
    if (flags.json) {
      stdout.write(`${safeJson(entries, 2)}\n`);
      return exitCodes.done;
    }
    const { line, paint } = terminal(stdout, env);
    const [head = "", ...rows] = table(["ID", "STATE", "AGE", "OWNER", "IMAGE"], entries.map(row));
    line(paint(head, "bold"));
    for (const text of rows) line(text);
    return exitCodes.done;
  },
});

/** Ids, labels and images come from the engine, where anybody may have written them. */
function row({ ref, state, createdAt, ownership, image }: SandboxEntry): readonly string[] {
  const age = Date.now() - Date.parse(createdAt);
  const owner =
    ownership === undefined ? "unknown" : ownership.by === "process" ? `process ${ownership.pid} on ${ownership.host}` : ownership.session;
  return [ref.id, state, Number.isNaN(age) ? "unknown" : formatDuration(Math.max(0, age)), owner, image ?? "-"].map(sanitiseLine);
}
