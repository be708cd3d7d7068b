import { type CallRecord, type Simulator, startSimulator } from "@glovebox/simulator";
import { startContainedOfficialWorker } from "../workers/official-in-container.ts";
import { removeSandboxes } from "../workers/sandboxes.ts";
import { startWorker } from "../workers/start.ts";
import { callsOf, type DifferentialSession, toTurns } from "./session.ts";

export interface Answer {
  readonly isError: boolean;
  /** The text blocks, joined by a line feed. */
  readonly text: string;
}

/** What each call of the sessions was answered with, by its name. */
export type Answers = ReadonlyMap<string, Answer>;

type Start = (simulator: Simulator) => AsyncDisposable | Promise<AsyncDisposable>;

/** Every session with a file system of its own: the official worker shares one work directory, so it is started anew for each. */
export async function officialAnswers(sessions: readonly DifferentialSession[]): Promise<Answers> {
  const all = await Promise.all(sessions.map((session) => answersOf([session], startContainedOfficialWorker)));
  return new Map(all.flatMap((answers) => [...answers]));
}

export function gloveboxAnswers(sessions: readonly DifferentialSession[]): Promise<Answers> {
  return answersOf(sessions, (simulator) => startWorker(simulator, "docker", { flags: ["--max-idle", "500ms"] }));
}

async function answersOf(sessions: readonly DifferentialSession[], start: Start): Promise<Answers> {
  await using simulator = await startSimulator();
  await using _sandboxes = removeSandboxes(simulator);
  await using _worker = await start(simulator);
  const reports = await Promise.all(sessions.map((session) => simulator.createSession({ script: { turns: toTurns(session) } }).finished));
  return new Map(
    reports.flatMap(({ calls, failures }, index) => {
      const session = sessions[index] as DifferentialSession;
      const names = callsOf(session).map(({ name }) => name);
      if (failures.length > 0 || calls.length !== names.length) throw new Error(`${session.name}: ${JSON.stringify(failures)}`);
      return names.map((name, at): [string, Answer] => [name, answerOf(calls[at] as CallRecord)]);
    }),
  );
}

function answerOf({ name, outcome, result }: CallRecord): Answer {
  if (result === null) throw new Error(`a call of ${name} got no result: ${outcome}`);
  return { isError: result.isError, text: result.text };
}
