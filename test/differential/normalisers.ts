import type { DifferentialCall } from "./session.ts";

/** What may differ between two right answers, and how both are made the same. */
export interface Normaliser {
  readonly reason: string;
  readonly applies: (call: DifferentialCall) => boolean;
  readonly normalise: (text: string) => string;
}

export const normalisers: readonly Normaliser[] = [
  {
    reason: "ripgrep searches files in parallel, so the order of files differs in each run; the order within a file counts",
    applies: ({ tool }) => tool === "grep",
    normalise: (text) => {
      const byFile = Map.groupBy(text.split(/(?<=\n)/u), (line) => /^(\/[^:]*):\d+:/u.exec(line)?.[1] ?? "");
      return [...byFile]
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .flatMap(([, lines]) => lines)
        .join("");
    },
  },
  {
    reason: "a process has another number in each run, and bash tells of its death after the command here, within the next line there",
    applies: ({ name }) => name === "bash: killed by a signal",
    normalise: (text) => text.replace(/line \d+:\s+\d+ Killed/u, "line N: PID Killed"),
  },
];

export function normalised(call: DifferentialCall, text: string): string {
  return normalisers.filter(({ applies }) => applies(call)).reduce((current, { normalise }) => normalise(current), text);
}
