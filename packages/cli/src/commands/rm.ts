import { destroySandbox, listSandboxes, SandboxError } from "@glovebox/core";
import { type Command, defineCommand } from "../command.ts";
import { exitCodes, UsageError } from "../failure.ts";
import { machineOwnerKey, openProvider, providerFlag } from "../providers.ts";
import { sanitiseLine } from "../sanitise.ts";

export const rm: Command = defineCommand({
  name: "rm",
  summary: "Destroy sandboxes, with everything in them",
  usage: ["[FLAGS] ID…", "[FLAGS] --all"],
  details: [
    "Prints the id of each sandbox that is gone. One that was gone before is a success. A sandbox that a worker is using goes too: its session's running " +
      "call fails, and the next call gets a new sandbox.",
    "--all takes every sandbox of this user on the engine; those of other users are left alone and not counted as failures.",
  ],
  flags: {
    provider: providerFlag,
    all: { kind: "switch", short: "a", text: "Every sandbox of this user, whatever uses it" },
  },
  positionals: { min: 0, max: Number.POSITIVE_INFINITY, name: "ID" },
  run: async ({ flags, positionals }, { stdout, stderr, signal }) => {
    if (flags.all === positionals.length > 0)
      throw new UsageError(flags.all ? "give ids or --all, not both" : "name sandboxes by their ids, or give --all");
    const provider = await openProvider(flags.provider ?? "docker");
    const ownerKey = await machineOwnerKey();
    const listed = flags.all ? await Array.fromAsync(listSandboxes(provider, {}, { signal }), ({ ref }) => ref.id) : positionals;
    let failed = false;
    for (const id of listed) {
      try {
        await destroySandbox(provider, { provider: provider.name, id }, { ownerKey, signal });
        stdout.write(`${sanitiseLine(id)}\n`);
      } catch (error) {
        if (!SandboxError.is(error)) throw error;
        const foreign = flags.all && error.code === "permission_denied";
        failed ||= !foreign;
        stderr.write(`glovebox rm: ${sanitiseLine(id)}: ${foreign ? "another user's, left alone" : sanitiseLine(error.message)}\n`);
      }
    }
    return failed ? exitCodes.failed : exitCodes.done;
  },
});
