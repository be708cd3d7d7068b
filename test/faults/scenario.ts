import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { Worker } from "@glovebox/executor";
import { type Simulator, startSimulator } from "@glovebox/simulator";
import { fakeSandboxes } from "../../packages/executor/test/fake-sandboxes.ts";
import { ownerKey } from "../workers/sandboxes.ts";
import { type FaultCase, requestFaults } from "./faults.ts";

/** How a session of three calls went. */
export interface Outcome {
  /** All calls were answered with what the tool gave. */
  readonly session: "served" | "not served";
  /** How often the effect of a call happened, at most. */
  readonly effects: "once" | "twice" | "none";
  readonly worker: "goes on" | "ends";
  /** What became of the work item. */
  readonly item: "stopped" | "left" | "never claimed";
}

/** In the words of the table. */
export function inWords({ session, effects, worker, item }: Outcome): string {
  return [
    session,
    ...(effects === "twice" ? ["an effect twice"] : []),
    ...(effects === "none" ? ["nothing run"] : []),
    ...(worker === "ends" ? ["worker ends"] : []),
    ...(item === "left" ? ["item left to its lease"] : []),
  ].join(", ");
}

/** A worker in this process whose only tool notes what it was asked to do. */
interface Subject {
  readonly ran: readonly string[];
  readonly ended: () => boolean;
  stop(): Promise<void>;
}

export type WorkerName = "glovebox" | "official";

const commands = ["one", "two", "three"] as const;
/** Long enough for a heartbeat while it runs. */
const slowMs = 1_300;
const leaseTtlMs = 5_000;
const patienceMs = 15_000;
const settleMs = 2_500;

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function outcomeOf(name: WorkerName, fault: FaultCase): Promise<Outcome> {
  await using simulator = await startSimulator({ behaviour: { leaseTtlMs, leaseTtlBoundsMs: [1_000, 300_000] } });
  plant(simulator, fault);
  const subject = subjects[name](simulator);
  const session = simulator.createSession({
    script: { turns: commands.map((command) => ({ calls: [{ name: "bash", input: { command }, expect: { equals: `did ${command}` } }] })) },
  });
  const report = await Promise.race([session.finished, pause(patienceMs)]);
  await pause(settleMs);
  const counts = commands.map((command) => subject.ran.filter((ran) => ran === command).length);
  const outcome: Outcome = {
    session: report?.passed === true && report.status === "completed" ? "served" : "not served",
    effects: Math.max(...counts) > 1 ? "twice" : Math.max(...counts) === 1 ? "once" : "none",
    worker: subject.ended() ? "ends" : "goes on",
    item: itemState(session.work.at(-1)?.state),
  };
  await subject.stop();
  return outcome;
}

function plant(simulator: Simulator, { where, fault }: FaultCase): void {
  if (where === "stream frame") {
    simulator.addStreamFault({ kind: fault as never, where: ({ type }) => type === "agent.tool_use", nth: 2 });
    return;
  }
  simulator.addRequestFault({ endpoint: where, ...requestFaults[fault] });
}

function itemState(state: string | undefined): Outcome["item"] {
  if (state === "stopped") return "stopped";
  return state === undefined || state === "queued" ? "never claimed" : "left";
}

const subjects: Readonly<Record<WorkerName, (simulator: Simulator) => Subject>> = {
  glovebox: (simulator) => {
    const sandboxes = fakeSandboxes({
      shell: async ({ request }) => {
        if (request.command === "two") await pause(slowMs);
        return { output: `did ${request.command}\n` };
      },
    });
    const stop = new AbortController();
    let ended = false;
    const { environmentId, environmentKey, url: baseUrl } = simulator;
    const options = { environmentId, environmentKey, baseUrl, provider: sandboxes.provider, ownerKey, maxIdleMs: 50, drainMs: 50 };
    const running = new Worker(options).run(stop.signal).then(
      () => (ended = true),
      () => (ended = true),
    );
    return {
      ran: sandboxes.commands,
      ended: () => ended,
      stop: async () => {
        stop.abort();
        await running;
      },
    };
  },
  official: (simulator) => {
    const ran: string[] = [];
    const bash = betaTool({
      name: "bash",
      description: "Notes its command.",
      inputSchema: { type: "object", properties: { command: { type: "string" } }, required: ["command"] },
      run: async ({ command }) => {
        ran.push(command);
        if (command === "two") await pause(slowMs);
        return `did ${command}`;
      },
    });
    const stop = new AbortController();
    let ended = false;
    const client = new Anthropic({ apiKey: "unused", baseURL: simulator.url, logLevel: "off" });
    const { environmentId, environmentKey } = simulator;
    const running = client.beta.environments.work
      .worker({ environmentId, environmentKey, maxIdleMs: 50, tools: [bash] })
      .run(stop.signal)
      .then(
        () => (ended = true),
        () => (ended = true),
      );
    return {
      ran,
      ended: () => ended,
      stop: async () => {
        stop.abort();
        await running;
      },
    };
  },
};
