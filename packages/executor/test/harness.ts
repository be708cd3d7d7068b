import { type CreateSessionOptions, type SessionHandle, type Simulator, type SimulatorOptions, startSimulator } from "@glovebox/simulator";
import { Worker, type WorkerEvent, type WorkerOptions } from "../src/index.ts";
import { type FakeSandboxes, type FakeSandboxesOptions, fakeSandboxes } from "./fake-sandboxes.ts";

export const ownerKey: Uint8Array = new Uint8Array(32).fill(7);

type Matching<Type extends WorkerEvent["type"]> = Extract<WorkerEvent, { readonly type: Type }>;

/** A worker that runs, and what it told. */
export interface RunningWorker {
  readonly events: readonly WorkerEvent[];
  /** What `run` gave, once it ended. */
  readonly done: Promise<void>;
  /** The first event of a type, past or to come. */
  until<Type extends WorkerEvent["type"]>(type: Type, matches?: (event: Matching<Type>) => boolean): Promise<Matching<Type>>;
  ofType<Type extends WorkerEvent["type"]>(type: Type): readonly Matching<Type>[];
  /** Ask it to stop, and wait until it did. */
  stop(): Promise<void>;
}

export interface Harness extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly sandboxes: FakeSandboxes;
  session(options: CreateSessionOptions): SessionHandle;
  work(options?: Partial<WorkerOptions>): RunningWorker;
}

/** A simulated control plane, sandboxes in memory, and workers over both. */
export async function startHarness(simulated: SimulatorOptions = {}, sandboxed: FakeSandboxesOptions = {}): Promise<Harness> {
  const simulator = await startSimulator(simulated);
  const sandboxes = fakeSandboxes(sandboxed);
  const workers: RunningWorker[] = [];
  return {
    simulator,
    sandboxes,
    session: (options) => simulator.createSession(options),
    work: (options = {}) => {
      const { environmentId, environmentKey, url: baseUrl } = simulator;
      const worker = runWorker({ environmentId, environmentKey, baseUrl, provider: sandboxes.provider, ownerKey, drainMs: 50, ...options });
      workers.push(worker);
      return worker;
    },
    [Symbol.asyncDispose]: async () => {
      for (const worker of workers) await worker.stop().catch(() => undefined);
      await simulator[Symbol.asyncDispose]();
    },
  };
}

export function runWorker(options: WorkerOptions): RunningWorker {
  const events: WorkerEvent[] = [];
  const waiting = new Set<(event: WorkerEvent) => void>();
  const observer = (event: WorkerEvent): void => {
    events.push(event);
    for (const tell of waiting) tell(event);
  };
  const stop = new AbortController();
  const done = new Worker({ ...options, observer }).run(stop.signal);
  done.catch(() => undefined);
  const running: RunningWorker = {
    events,
    done,
    until: async (type, matches = () => true) => {
      const isIt = (event: WorkerEvent): event is Matching<typeof type> => event.type === type && matches(event as Matching<typeof type>);
      const past = events.find(isIt);
      if (past !== undefined) return past;
      const { promise, resolve } = Promise.withResolvers<Matching<typeof type>>();
      const tell = (event: WorkerEvent): void => {
        if (isIt(event)) resolve(event);
      };
      waiting.add(tell);
      return await promise.finally(() => waiting.delete(tell));
    },
    ofType: (type) => events.filter((event): event is Matching<typeof type> => event.type === type),
    stop: async () => {
      stop.abort();
      await done;
    },
  };
  return running;
}
