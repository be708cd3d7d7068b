import type { CustomCommand } from "just-bash";
import { defineCommand } from "just-bash";

/** Flags of ripgrep's that say how just-bash's `rg` behaves anyway. */
const already = new Set(["--no-config", "--no-heading", "--color=never", "--no-messages"]);

/** Arguments that just-bash's `rg` knows, for those of ripgrep's that it does not. Anything else is left as it is. */
export function knownArguments(given: readonly string[]): string[] {
  const known: string[] = [];
  for (let index = 0; index < given.length; index += 1) {
    const argument = given[index] ?? "";
    const next = given[index + 1];
    if (argument === "--") {
      const places = given.slice(index + 1);
      // just-bash has no "--": what looks like a flag is named through its directory
      return [...known, ...places.map((place) => (place.startsWith("-") ? `./${place}` : place))];
    }
    if (argument === "--color" && next === "never") index += 1;
    else if ((argument === "--regexp" || argument === "-e") && next !== undefined) {
      known.push("-e", next);
      index += 1;
    } else if (!already.has(argument)) known.push(argument);
  }
  return known;
}

/** just-bash's own `rg` under ripgrep's usual flags, which agents' tools pass. */
export const searchCommand: CustomCommand = defineCommand("rg", async (given, { origCommand }) => {
  if (origCommand === undefined) return { stdout: "", stderr: "rg: not in this just-bash\n", exitCode: 127 };
  return await origCommand(knownArguments(given));
});
