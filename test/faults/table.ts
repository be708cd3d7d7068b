import { cases, type FaultCase } from "./faults.ts";

type Expected = Readonly<Record<string, readonly [ours: string, official: string]>>;

export const keyOf = ({ where, fault }: FaultCase): string => `${where}: ${fault}`;

const introduction = `# Faults

What becomes of a session of three calls when the control plane, or the way to it, fails once: with \`glovebox worker\`, and with the worker of
\`@anthropic-ai/sdk\` 1.12.0. Every row is run by \`test/faults\`, and this page is made from the same data.

- *served*: every call was answered with what its tool gave, and its effect happened once. *not served*: that took a new message or another worker.
- *an effect twice*: a call was run again.
- *worker ends*: its process has to be started again; it says why. *item left to its lease*: it was not stopped, and is queued again when its lease runs out.
- A fault of an endpoint strikes its first request of the session, one of the stream the frame of the second call.
`;

/** The page in docs/. */
export function faultTable(expected: Expected): string {
  const sections = Map.groupBy(cases, ({ where }) => where);
  const tables = [...sections].map(([where, rows]) => {
    const lines = rows.map((row) => {
      const [ours, official] = expected[keyOf(row)] ?? ["?", "?"];
      return `| ${row.fault} | ${ours} | ${official} |${ours === official ? "" : " differs |"}`;
    });
    return `\n## \`${where}\`\n\n| fault | Glovebox | official worker | |\n| --- | --- | --- | --- |\n${lines.map((line) => (line.endsWith("differs |") ? line : `${line} |`)).join("\n")}\n`;
  });
  return introduction + tables.join("");
}
