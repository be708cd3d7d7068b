import { SandboxError } from "@glovebox/core";
import type { CallKey, Capabilities, ProcessExit, SandboxDriver, SandboxProcess, SandboxProvider, ShellRequest } from "@glovebox/core";
import { type FakeOptions, type FakeProvider, fakeProvider } from "../../core/test/fake-provider.ts";

/** What a command in a fake shell is given. */
export interface FakeCommand {
  readonly sandboxId: string;
  readonly request: ShellRequest;
  /** Aborts when the command is to die. */
  readonly signal: AbortSignal;
}

export interface FakeCommandEnd {
  readonly output?: string;
  readonly code?: number;
  readonly shellKept?: boolean;
}

export interface FakeSandboxesOptions extends FakeOptions {
  /** Runs commands. Default: answers with the command itself. */
  readonly shell?: (command: FakeCommand) => Promise<FakeCommandEnd>;
  /** Whether calls with a key are kept. Default `restart`. */
  readonly calls?: Capabilities["calls"];
}

/** A provider in memory with a shell and a record of calls that outlive each connection, as the guest's do. */
export interface FakeSandboxes {
  readonly provider: SandboxProvider;
  readonly fake: FakeProvider;
  /** Commands in the order in which they were started, retries that joined not counted. */
  readonly commands: readonly string[];
  /** Keys that were released. */
  readonly released: readonly string[];
  /** Cut every connection; what runs with a key goes on. */
  disconnect(): void;
  /** Cut every connection and lose the sandboxes with everything in them. */
  destroyAll(): void;
}

export function fakeSandboxes(options: FakeSandboxesOptions = {}): FakeSandboxes {
  const { shell = async ({ request }) => ({ output: `${request.command}\n` }), calls = { survives: "restart" } } = options;
  const commands: string[] = [];
  const released: string[] = [];
  const records = new Map<string, Promise<ShellEnd>>();
  const generations = new Map<string, number>();
  const connections = new Set<(reason: Error) => void>();
  const fake = fakeProvider({
    ...options,
    capabilities: { shell: { support: "native", keeps: "state" }, calls, ...options.capabilities },
    driver: (driver) => {
      const generation = (generations.get(driver.ref.id) ?? 0) + 1;
      generations.set(driver.ref.id, generation);
      const lost = Promise.withResolvers<Error>();
      connections.add(lost.resolve);
      const fenced = (): void => {
        if (generations.get(driver.ref.id) !== generation) throw new SandboxError("aborted", "taken over", { effect: "none", reason: "fenced" });
      };
      const begin = (request: ShellRequest, signal: AbortSignal): Promise<ShellEnd> => {
        commands.push(request.command);
        return runCommand(shell, { sandboxId: driver.ref.id, request, signal });
      };
      const once = (request: ShellRequest, key: CallKey, signal: AbortSignal): { readonly end: Promise<ShellEnd>; readonly replayed: boolean } => {
        fenced();
        const id = `${driver.ref.id}/${key.id}`;
        const known = records.get(id);
        const end = known ?? begin(request, signal);
        records.set(id, end);
        return { end, replayed: known !== undefined };
      };
      const facets: Partial<SandboxDriver> = {
        lost: lost.promise,
        shell: {
          run: async (request, { signal, call }) => {
            const { end, replayed } = call === undefined ? { end: begin(request, signal), replayed: false } : once(request, call, signal);
            const gone = lost.promise.then((cause) => {
              throw new SandboxError("unavailable", "the connection was lost", { effect: "unknown", cause });
            });
            return toProcess(Promise.race([end, gone]), replayed);
          },
          restart: async () => void commands.push("(restart)"),
        },
        ...(calls === false
          ? {}
          : {
              calls: {
                generation,
                status: async ({ id }) => (records.has(`${driver.ref.id}/${id}`) ? "running" : "unclaimed"),
                release: async (keys) => void released.push(...keys.map(({ id }) => id)),
              },
            }),
      };
      return { ...facets, ...options.driver?.(driver) };
    },
  });
  const disconnect = (): void => {
    for (const lose of connections) lose(new SandboxError("unavailable", "cut by the test", { effect: "unknown" }));
    connections.clear();
  };
  return {
    provider: fake,
    fake,
    commands,
    released,
    disconnect,
    destroyAll: () => {
      (fake.sandboxes as Map<string, unknown>).clear();
      records.clear();
      disconnect();
    },
  };
}

interface ShellEnd {
  readonly exit: Omit<ProcessExit, "replayed">;
  readonly output: Uint8Array;
}

async function runCommand(shell: NonNullable<FakeSandboxesOptions["shell"]>, command: FakeCommand): Promise<ShellEnd> {
  const killed = new AbortController();
  let timedOut = false;
  const { timeoutMs, output: limit } = command.request;
  const expire = (): void => {
    timedOut = true;
    killed.abort();
  };
  const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs);
  const signal = AbortSignal.any([command.signal, killed.signal]);
  try {
    const { output = "", code = 0, shellKept = true } = await shell({ ...command, signal });
    const bytes = new TextEncoder().encode(output);
    const kept = limit === undefined || bytes.length <= limit.maxBytes ? bytes : bytes.subarray(bytes.length - limit.maxBytes);
    const ended = signal.aborted ? { code: null, signal: "SIGKILL" } : { code, signal: null };
    const droppedBytes = { stdout: bytes.length - kept.length, stderr: 0 };
    return { exit: { ...ended, timedOut, droppedBytes, shellKept: shellKept && !signal.aborted }, output: kept };
  } finally {
    clearTimeout(timer);
  }
}

function toProcess(end: Promise<ShellEnd>, replayed: boolean): SandboxProcess {
  const empty = (): ReadableStream<Uint8Array> => new ReadableStream({ start: (controller) => controller.close() });
  return {
    stdin: null,
    stdout: new ReadableStream<Uint8Array>({
      async start(controller) {
        try {
          const { output } = await end;
          if (output.byteLength > 0) controller.enqueue(output);
          controller.close();
        } catch (error) {
          controller.error(error);
        }
      },
    }),
    stderr: empty(),
    exit: end.then(({ exit }) => ({ ...exit, replayed })),
    signal: async () => undefined,
  };
}

/** Resolves when the signal aborts. */
export function aborted(signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
  return promise;
}
