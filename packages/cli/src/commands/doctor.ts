import { exitCodes } from "../failure.ts";
import { type Command, defineCommand } from "../command.ts";
import { diagnose, type Finding } from "../diagnosis.ts";
import { safeJson, sanitiseLine } from "../sanitise.ts";
import { terminal } from "../terminal.ts";

export const doctor: Command = defineCommand({
  name: "doctor",
  summary: "Check what Glovebox needs on this machine, and say what to do",
  usage: ["[FLAGS]"],
  details: [
    "Looks at Node, the owner key, the Docker engine, free space and the environment, and runs a program in a sandbox of each provider, which it destroys " +
      "again. Prints one line for each check: ok, warn or fail. The exit code is 1 when one failed.",
  ],
  flags: { json: { kind: "switch", text: "Print a JSON array" } },
  positionals: { min: 0, max: 0, name: "" },
  run: async ({ flags }, { stdout, env, signal }) => {
    const findings: Finding[] = [];
    const { line, paint } = terminal(stdout, env);
    const colours = { ok: "green", warn: "yellow", fail: "red" } as const;
    for await (const finding of diagnose(env, signal)) {
      findings.push(finding);
      if (flags.json) continue;
      line(`${paint(finding.status.padEnd(4), colours[finding.status])}  ${finding.check.padEnd(12)}  ${sanitiseLine(finding.found)}`);
      if (finding.advice !== undefined) line(`${" ".repeat(20)}${paint(sanitiseLine(finding.advice), "dim")}`);
    }
    if (flags.json) stdout.write(`${safeJson(findings, 2)}\n`);
    return findings.some(({ status }) => status === "fail") ? exitCodes.failed : exitCodes.done;
  },
});
