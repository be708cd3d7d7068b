import type { JsonObject, Turn } from "@glovebox/simulator";

/** One tool call that both workers get. */
export interface DifferentialCall {
  /** Unique in the suite; what a failure and a listed difference are named by. */
  readonly name: string;
  readonly tool: "bash" | "read" | "write" | "edit" | "glob" | "grep";
  readonly input: JsonObject;
  /** Label of a child thread. Default: the primary one. */
  readonly thread?: string;
}

/** One session: its calls follow one another, those of one inner list are of one turn. */
export interface DifferentialSession {
  readonly name: string;
  readonly turns: readonly (DifferentialCall | readonly DifferentialCall[])[];
}

export function callsOf(session: DifferentialSession): readonly DifferentialCall[] {
  return session.turns.flat();
}

export function toTurns(session: DifferentialSession): readonly Turn[] {
  return session.turns.map((turn) => ({
    calls: [turn].flat().map(({ tool, input, thread }) => ({ name: tool, input, ...(thread === undefined ? {} : { thread }) })),
  }));
}

/** Calls of one tool from names and inputs. */
export const callsTo =
  (tool: DifferentialCall["tool"]) =>
  (inputs: Readonly<Record<string, JsonObject>>): readonly DifferentialCall[] =>
    Object.entries(inputs).map(([name, input]) => ({ name: `${tool}: ${name}`, tool, input }));

/** Commands by the name of what they try; a step that only prepares is a case like any other. */
export const commands = (texts: Readonly<Record<string, string>>): readonly DifferentialCall[] =>
  callsTo("bash")(Object.fromEntries(Object.entries(texts).map(([name, command]) => [name, { command }])));
