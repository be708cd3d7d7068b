import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { SandboxError } from "@glovebox/core";
import { maxConcurrent } from "./capabilities.ts";
import { answer } from "./disk-calls.ts";
import type { VirtualDisk } from "./disk.ts";
import { threadFailure } from "./errors.ts";
import type { EndedMessage, RunMessage, ToThread } from "./messages.ts";
import { fromThread } from "./messages.ts";
import type { ResolvedOptions } from "./options.ts";

/** A program to run; `started` is called once a thread has it. */
export interface Job {
  readonly message: Omit<RunMessage, "kind" | "run">;
  readonly disk: VirtualDisk;
  started(): void;
}

/** A program that waits or runs. */
export interface RunningJob {
  /**
   * How it ended. `undefined`: it was stopped.
   * @throws {SandboxError} `resource_exhausted`, reason `ENOMEM`; `internal`: the thread failed
   */
  readonly ended: Promise<EndedMessage | undefined>;
  /** End it, with its thread: a program that never waits hears nothing else. What it had written to its streams is lost. Idempotent. */
  stop(): void;
}

interface Entry extends Job {
  readonly run: number;
  /** When it was asked for, by `performance.now()`. */
  readonly since: number;
  readonly resolve: (ended: EndedMessage | undefined) => void;
  readonly reject: (error: unknown) => void;
  thread: Thread | undefined;
  stopping: boolean;
}

interface Thread {
  readonly worker: Worker;
  entry: Entry | undefined;
  idleTimer: NodeJS.Timeout | undefined;
  /** Counted no more. */
  removed: boolean;
}

/** Where a program waited so long and none ended meanwhile, it gets a thread beyond the cores. */
const patienceMs = 100;
/** An unused thread is ended after this. */
const idleMs = 10_000;
const mebibyte = 1_048_576;

const threadEntry = new URL(import.meta.url.endsWith(".ts") ? "./thread.ts" : "./thread.js", import.meta.url);

/**
 * Threads for the programs of all sandboxes of a provider, one program a thread: a program that never waits delays no other, and
 * ending its thread is no loss to others. Files are not in the threads.
 */
export class ThreadPool {
  readonly #options: ResolvedOptions;
  readonly #waiting: Entry[] = [];
  readonly #idle: Thread[] = [];
  readonly #running = new Map<VirtualDisk, number>();
  #threads = 0;
  #starting = false;
  #growTimer: NodeJS.Timeout | undefined;
  #runs = 0;
  #lastEndedAt = performance.now();
  #commands: Promise<readonly string[]> | undefined;

  constructor(options: ResolvedOptions) {
    this.#options = options;
  }

  /**
   * The names of just-bash's commands. Starts a first thread, so a missing or broken installation shows here.
   * @throws {SandboxError} `internal`
   */
  commands(): Promise<readonly string[]> {
    if (this.#commands === undefined) {
      const { promise, resolve, reject } = Promise.withResolvers<readonly string[]>();
      this.#commands = promise;
      this.#start(reject, resolve);
      promise.catch(() => (this.#commands = undefined));
    }
    return this.#commands;
  }

  run(job: Job): RunningJob {
    this.#runs += 1;
    const { promise, resolve, reject } = Promise.withResolvers<EndedMessage | undefined>();
    const entry: Entry = {
      ...job,
      started: () => job.started(),
      run: this.#runs,
      since: performance.now(),
      resolve,
      reject,
      thread: undefined,
      stopping: false,
    };
    this.#waiting.push(entry);
    this.#dispatch();
    return { ended: promise, stop: () => this.#stop(entry) };
  }

  #dispatch(): void {
    while (this.#idle.length > 0) {
      const entry = this.#waiting.find((each) => this.#mayRun(each));
      const thread = entry === undefined ? undefined : this.#idle.pop();
      if (entry === undefined || thread === undefined) return;
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      this.#begin(entry, thread);
    }
    this.#grow();
  }

  #mayRun({ disk }: Entry): boolean {
    return (this.#running.get(disk) ?? 0) < maxConcurrent;
  }

  /**
   * One thread at a time, and beyond the cores only for a program that waits for others that do not end: many short ones are soonest done by the threads
   * that run, and more threads would take memory and each other's time.
   */
  #grow(): void {
    const entry = this.#waiting.find((each) => this.#mayRun(each));
    if (entry === undefined || this.#starting || this.#threads >= this.#options.maxThreads) return;
    const waitedMs = performance.now() - Math.max(entry.since, this.#lastEndedAt);
    if (this.#threads < availableParallelism() || waitedMs >= patienceMs) {
      this.#start((error) => {
        const first = this.#waiting.shift();
        first?.reject(error);
      });
      return;
    }
    if (this.#growTimer !== undefined) return;
    this.#growTimer = setTimeout(
      () => {
        this.#growTimer = undefined;
        this.#dispatch();
      },
      patienceMs - waitedMs + 1,
    );
  }

  #begin(entry: Entry, thread: Thread): void {
    clearTimeout(thread.idleTimer);
    this.#running.set(entry.disk, (this.#running.get(entry.disk) ?? 0) + 1);
    thread.entry = entry;
    entry.thread = thread;
    thread.worker.ref();
    this.#tell(thread, { ...entry.message, kind: "run", run: entry.run });
    entry.started();
  }

  #stop(entry: Entry): void {
    if (entry.stopping) return;
    entry.stopping = true;
    const { thread } = entry;
    if (thread === undefined) {
      this.#waiting.splice(this.#waiting.indexOf(entry), 1);
      entry.resolve(undefined);
      return;
    }
    if (thread.entry !== entry) return;
    void thread.worker.terminate();
  }

  /** @param failed called when it ends before it is ready */
  #start(failed: (error: unknown) => void, ready?: (commands: readonly string[]) => void): void {
    this.#starting = true;
    let started = false;
    const worker = new Worker(threadEntry, {
      env: {}, // nothing of the host's environment
      execArgv: [],
      stdout: true,
      stderr: true,
      resourceLimits: {
        maxOldGenerationSizeMb: Math.floor(this.#options.threadMemoryBytes / mebibyte),
        maxYoungGenerationSizeMb: 32,
        stackSizeMb: 4,
      },
    });
    const thread: Thread = { worker, entry: undefined, idleTimer: undefined, removed: false };
    this.#threads += 1;
    let failure: unknown;
    worker.on("error", (error) => (failure = error));
    worker.on("exit", () => {
      this.#remove(thread);
      const error = threadFailure(failure, thread.entry === undefined ? "none" : "unknown");
      const { entry } = thread;
      if (!started) {
        this.#starting = false;
        failed(error);
      } else if (entry !== undefined) {
        this.#leave(thread, entry);
        if (entry.stopping) entry.resolve(undefined);
        else entry.reject(error);
      }
      this.#dispatch();
    });
    worker.on("message", (value: unknown) => {
      const message = fromThread(value);
      if (message === undefined) {
        failure = new SandboxError("internal", "a thread broke the message protocol", { effect: "unknown" });
        void worker.terminate();
        return;
      }
      if (message.kind === "ready") {
        if (started) return;
        [started, this.#starting] = [true, false];
        ready?.(message.commands);
        this.#rest(thread);
        this.#dispatch();
        return;
      }
      const { entry } = thread;
      if (entry === undefined || message.run !== entry.run) return; // of a program that ended: it changes nothing any more
      if (message.kind === "file") {
        try {
          this.#tell(thread, answer(entry.disk, message));
        } catch (error) {
          failure = error; // a file call that the disk should have refused: the program ends, nothing else
          void worker.terminate();
        }
        return;
      }
      this.#leave(thread, entry);
      this.#rest(thread);
      entry.resolve(message);
      this.#dispatch();
    });
  }

  #tell(thread: Thread, message: ToThread): void {
    thread.worker.postMessage(message, []);
  }

  #leave(thread: Thread, entry: Entry): void {
    this.#lastEndedAt = performance.now();
    thread.entry = undefined;
    const left = (this.#running.get(entry.disk) ?? 1) - 1;
    if (left === 0) this.#running.delete(entry.disk);
    else this.#running.set(entry.disk, left);
  }

  #rest(thread: Thread): void {
    thread.worker.unref();
    this.#idle.push(thread);
    thread.idleTimer = setTimeout(() => {
      this.#remove(thread);
      void thread.worker.terminate();
    }, idleMs).unref();
  }

  #remove(thread: Thread): void {
    clearTimeout(thread.idleTimer);
    const index = this.#idle.indexOf(thread);
    if (index !== -1) this.#idle.splice(index, 1);
    if (thread.removed) return;
    thread.removed = true;
    this.#threads -= 1;
  }
}
