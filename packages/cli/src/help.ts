import type { Command } from "./command.ts";
import { exitCodeTexts } from "./failure.ts";
import { type Flag, placeholder } from "./flags.ts";

const width = 100;

/** The text of `glovebox --help`. */
export function mainHelp(commands: readonly Command[]): string {
  return [
    ...wrap(
      "glovebox: sandboxes for agents. Serves Claude Managed Agents' self-hosted environments; the tools run in sandboxes, the keys stay outside.",
      width,
    ),
    "",
    "Usage: glovebox COMMAND [ARGUMENTS]",
    "",
    "Commands:",
    ...columns(commands.map(({ name, summary }) => [name, summary])),
    "",
    "`glovebox COMMAND --help` tells the rest. Start with `glovebox demo`; `glovebox doctor` says what is missing.",
    "",
    "Exit codes:",
    ...columns(exitCodeTexts),
    "",
  ].join("\n");
}

/** The text of `glovebox NAME --help`, from the data that parses its arguments. */
export function commandHelp(command: Command): string {
  const flags = Object.entries(command.flags).filter(([, flag]) => flag.kind !== "refused");
  const refused = Object.entries(command.flags).filter(([, flag]) => flag.kind === "refused");
  return [
    `glovebox ${command.name}: ${command.summary}`,
    "",
    ...command.usage.map((usage, index) => `${index === 0 ? "Usage:" : "      "} ${`glovebox ${command.name} ${usage}`.trimEnd()}`),
    "",
    ...command.details.flatMap((paragraph) => [...wrap(paragraph, width), ""]),
    ...(command.example === undefined ? [] : [command.example.title, ...command.example.text.split("\n").map((line) => `  ${line}`), ""]),
    "Flags:",
    ...columns([...flags.map(([name, flag]) => [spelling(name, flag), describe(flag)] as const), ["-h, --help", "Show this text"]]),
    "",
    ...(refused.length === 0 ? [] : ["Not here:", ...columns(refused.map(([name, flag]) => [`    --${name}`, flag.text])), ""]),
    "Exit codes:",
    ...columns(command.exitCodes ?? exitCodeTexts),
    "",
  ].join("\n");
}

function spelling(name: string, flag: Flag): string {
  const short = flag.kind !== "refused" && flag.short !== undefined ? `-${flag.short}, ` : "    ";
  return `${short}--${name} ${placeholder(flag)}`.trimEnd();
}

function describe(flag: Flag): string {
  if (flag.kind === "refused") return flag.text;
  return [
    flag.text,
    ...(flag.kind === "pairs" ? ["May be repeated."] : []),
    ...(flag.env === undefined ? [] : [`Else ${flag.env}.`]),
    ...(flag.fallback === undefined ? [] : [`Default: ${flag.fallback}.`]),
  ]
    .map((sentence) => (/[.!?]$/u.test(sentence) ? sentence : `${sentence}.`))
    .join(" ");
}

function columns(rows: readonly (readonly [left: string, right: string])[]): string[] {
  const left = Math.min(34, Math.max(...rows.map(([name]) => name.length)));
  return rows.flatMap(([name, text]) => {
    const [first = "", ...more] = wrap(text, width - left - 4);
    const indent = " ".repeat(left + 4);
    const head = name.length > left ? [`  ${name}`, `${indent}${first}`] : [`  ${name.padEnd(left)}  ${first}`];
    return [...head, ...more.map((line) => `${indent}${line}`)];
  });
}

function wrap(text: string, limit: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > limit) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
