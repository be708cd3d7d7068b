import { vi } from "vitest";
import { controlPlaneClient } from "../src/control-plane.ts";
import { Secrets } from "../src/events.ts";
import { Poller } from "../src/poller.ts";
import { RequestBudget } from "../src/request-budget.ts";

export const readsPerMinute = 1_200;

interface Queue {
  readonly items: { readonly id: string; readonly sinceMs: number }[];
  readonly waiting: Set<(answer: Response) => void>;
  readonly polledAtMs: Map<string, number>;
}

/** What a fleet did: what was granted and refused, and how long items waited to be given to somebody, in ms. */
export interface FleetRun {
  readonly readAtMs: readonly number[];
  readonly refusedAtMs: readonly number[];
  readonly pickUpsMs: readonly number[];
}

/** A control plane of queues alone, on the clock that vitest fakes, that holds an organisation to its reads of a minute. */
class Queues {
  readonly readAtMs: number[] = [];
  readonly refusedAtMs: number[] = [];
  readonly pickUpsMs: number[] = [];
  readonly #queues = new Map<string, Queue>();
  #made = 0;

  enqueue(environmentId: string): void {
    const queue = this.#queue(environmentId);
    queue.items.push({ id: `work_${this.#made++}`, sinceMs: Date.now() });
    const [deliver] = queue.waiting;
    deliver?.(this.#take(queue) ?? Response.json(null));
  }

  readonly fetch: typeof fetch = async (input, init) => {
    const url = new URL(typeof input === "string" ? input : "");
    const [, , , environmentId = ""] = url.pathname.split("/");
    const queue = this.#queue(environmentId);
    if (url.pathname.endsWith("/ack")) return Response.json({});
    if ((this.readAtMs.at(-readsPerMinute) ?? -Infinity) > Date.now() - 60_000) {
      this.refusedAtMs.push(Date.now());
      return Response.json(
        { type: "error", error: { type: "rate_limit_error", message: "slow down" } },
        { status: 429, headers: { "retry-after": "2" } },
      );
    }
    this.readAtMs.push(Date.now());
    const workers = [...queue.polledAtMs.values()].filter((atMs) => atMs > Date.now() - 30_000).length;
    if (url.pathname.endsWith("/stats")) return Response.json({ workers_polling: workers });
    queue.polledAtMs.set(new Headers(init?.headers).get("anthropic-worker-id") ?? "", Date.now());
    return this.#take(queue) ?? (await this.#wait(queue, Number(url.searchParams.get("block_ms"))));
  };

  #queue(environmentId: string): Queue {
    const queue = this.#queues.get(environmentId) ?? { items: [], waiting: new Set(), polledAtMs: new Map() };
    this.#queues.set(environmentId, queue);
    return queue;
  }

  #take(queue: Queue): Response | undefined {
    const item = queue.items.shift();
    if (item === undefined) return undefined;
    this.pickUpsMs.push(Date.now() - item.sinceMs);
    return Response.json({ id: item.id, data: { type: "session", id: "sesn_1" }, secret: null });
  }

  async #wait(queue: Queue, blockMs: number): Promise<Response> {
    const { promise, resolve } = Promise.withResolvers<Response>();
    queue.waiting.add(resolve);
    const timer = setTimeout(() => resolve(Response.json(null)), blockMs);
    const answer = await promise;
    clearTimeout(timer);
    queue.waiting.delete(resolve);
    return answer;
  }
}

/**
 * Idle workers, each a process of its own, for some minutes; now and then an item comes to one of the environments.
 * @param start of one worker, which polls until the signal aborts. Default: ours
 */
export async function runFleet(options: {
  readonly workers: number;
  readonly environments: number;
  readonly minutes: number;
  readonly pollsPerMinute?: number;
  readonly start?: (fetchFunction: typeof fetch, environmentId: string, workerId: string, signal: AbortSignal) => Promise<void>;
}): Promise<FleetRun> {
  const { workers, environments, minutes, pollsPerMinute = 600 } = options;
  const queues = new Queues();
  const stop = new AbortController();
  const start = options.start ?? ours(pollsPerMinute);
  const running = Array.from({ length: workers }, (_, index) => start(queues.fetch, `env_${index % environments}`, `worker_${index}`, stop.signal));
  // the first minute is the start; items come from then on
  await vi.advanceTimersByTimeAsync(60_000);
  const endMs = Date.now() + (minutes - 1) * 60_000;
  while (Date.now() < endMs) {
    await vi.advanceTimersByTimeAsync(200 + Math.random() * 2_000);
    queues.enqueue(`env_${Math.floor(Math.random() * environments)}`);
  }
  await vi.advanceTimersByTimeAsync(30_000);
  stop.abort();
  await vi.advanceTimersByTimeAsync(60_000);
  await Promise.all(running);
  return queues;
}

function ours(pollsPerMinute: number): NonNullable<Parameters<typeof runFleet>[0]["start"]> {
  return async (fetchFunction, environmentId, workerId, signal) => {
    const client = controlPlaneClient({ baseUrl: "http://control.test" }, "key", new RequestBudget(readsPerMinute).over(fetchFunction));
    const shared = { pollsPerMinute, reclaimOlderThanMs: undefined, observe: () => undefined, secrets: new Secrets() };
    const poller = new Poller({ client, environmentId, workerId, ...shared });
    const counting = poller.countWorkers(signal);
    while (!signal.aborted) await poller.next(signal);
    await counting;
  };
}

/** The most that happened within any minute. */
export function mostInAMinute(atMs: readonly number[]): number {
  let [first, most] = [0, 0];
  for (const [index, ms] of atMs.entries()) {
    while ((atMs[first] ?? 0) <= ms - 60_000) first++;
    most = Math.max(most, index - first + 1);
  }
  return most;
}

export function percentile(values: readonly number[], share: number): number {
  return values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) * share)] ?? Number.NaN;
}
