import type { Capabilities } from "../src/capabilities.ts";
import { SandboxError } from "../src/errors.ts";
import { OutputCollector } from "../src/output.ts";
import type {
  CreateRequest,
  PauseFacet,
  ProcessExit,
  SandboxDriver,
  SandboxEntry,
  SandboxProcess,
  SandboxProvider,
  SpawnRequest,
} from "../src/provider.ts";
import { FakeFiles } from "./fake-files.ts";

/** What a fake program is given; it returns its exit code, or the signal that ended it. */
interface FakeProgramCall {
  readonly request: SpawnRequest;
  readonly stdin: ReadableStream<Uint8Array>;
  /** Aborts with the signal's name. */
  readonly signal: AbortSignal;
  readonly files: FakeFiles;
  readonly out: (text: string | Uint8Array) => void;
  readonly err: (text: string | Uint8Array) => void;
}

type FakeProgram = (call: FakeProgramCall) => Promise<number | string>;

export interface FakeOptions {
  readonly name?: string;
  readonly capabilities?: Partial<Capabilities>;
  /** By the name in `argv[0]`, besides `true`, `false`, `echo`, `cat`, `exit`, `sleep` (until a signal) and `/bin/sh -c "one of these"`. */
  readonly programs?: Readonly<Record<string, FakeProgram>>;
  /** Replaces methods of each driver, so that a test can have one that misbehaves. */
  readonly driver?: (driver: SandboxDriver) => Partial<SandboxDriver>;
  /** Awaited by `create` before and after it made the sandbox, whatever the signal says: a driver that ignores aborts. */
  readonly creating?: Promise<void>;
}

/** A provider in memory that keeps the contract, for tests. `log` names what was asked of it, in order. */
export interface FakeProvider extends SandboxProvider {
  readonly sandboxes: ReadonlyMap<string, CreateRequest>;
  readonly log: readonly string[];
}

export const fakeCapabilities: Capabilities = {
  image: { from: "any", templates: false },
  cpu: { bounds: "allocation", step: 0.25, smallest: 0.25, largest: 8 },
  memory: { bounds: ["min", "max"], step: 1_048_576 },
  disk: false,
  gpu: false,
  processes: { bounds: ["max"] },
  env: { support: "native", names: "any" },
  labels: { support: "native", mutable: true, query: "all", consistency: "strong" },
  region: false,
  user: false,
  identity: { unique: "native", attach: "id", refChanges: false },
  list: { support: "native", scope: "process", consistency: "strong" },
  expiry: false,
  exec: {
    streams: "separate",
    bytes: "exact",
    stdin: "native",
    user: false,
    signal: { support: "native", names: "all", to: "group" },
    exitSignal: true,
    timeout: "native",
    outputLimit: "native",
  },
  shell: false,
  pty: false,
  calls: false,
  files: {
    support: "native",
    read: "stream",
    write: "stream",
    ranges: "native",
    list: "native",
    rename: "native",
    symlinks: "native",
    confined: "resolved",
  },
  text: "emulated",
  pause: { support: "native", keeps: "disk+memory" },
  suspend: false,
  snapshot: false,
  fork: false,
  resize: false,
  ports: false,
  egress: { denyAll: "native", rules: false },
  excludes: [],
};

const programs: Readonly<Record<string, FakeProgram>> = {
  true: async () => 0,
  false: async () => 1,
  exit: async ({ request }) => Number(request.argv[1]),
  echo: async ({ request, out }) => (out(`${request.argv.slice(1).join(" ")}\n`), 0),
  cat: async ({ stdin, out }) => {
    for await (const chunk of stdin) out(chunk);
    return 0;
  },
  sleep: async ({ signal }) => await new Promise((resolve) => signal.addEventListener("abort", () => resolve(String(signal.reason)))),
};

export function fakeProvider(options: FakeOptions = {}): FakeProvider {
  const { name = "fake", creating = Promise.resolve() } = options;
  const capabilities = { ...fakeCapabilities, ...options.capabilities };
  const sandboxes = new Map<string, CreateRequest>();
  const files = new Map<string, FakeFiles>();
  const paused = new Set<string>();
  const log: string[] = [];
  const known = (id: string, proof: string): CreateRequest => {
    const request = sandboxes.get(id);
    if (request === undefined) throw new SandboxError("not_found", `no sandbox ${id}`, { effect: "none" });
    if (request.proof !== proof) throw new SandboxError("permission_denied", `${id}: the proof is wrong`, { effect: "none" });
    return request;
  };
  const pausingOf = (id: string): PauseFacet => ({
    pause: async () => {
      log.push("pause");
      paused.add(id);
    },
    resume: async () => {
      log.push("resume");
      paused.delete(id);
    },
  });
  const driverOf = ({ id, proof, spec }: CreateRequest): SandboxDriver => {
    const disk = files.get(id) ?? new FakeFiles(spec.workdir);
    files.set(id, disk);
    const driver: SandboxDriver = {
      ref: { provider: name, id, proof },
      workdir: spec.workdir,
      capabilities,
      lost: Promise.withResolvers<Error>().promise,
      files: disk,
      spawn: async (request, { signal }) => {
        log.push(`spawn ${request.argv.join(" ")}`);
        known(id, proof);
        return runFake({ ...programs, ...options.programs }, request, disk, signal);
      },
      close: async () => void log.push(`close ${id}`),
      destroy: async () => {
        log.push(`destroy ${id}`);
        sandboxes.delete(id);
      },
      ...(capabilities.pause === false ? {} : { pausing: pausingOf(id) }),
    };
    return { ...driver, ...options.driver?.(driver) };
  };
  return {
    name,
    specVersion: 1,
    sandboxes,
    log,
    capabilitiesFor: () => capabilities,
    create: async (request) => {
      log.push(`create ${request.id}`);
      await creating;
      if (sandboxes.has(request.id)) throw new SandboxError("already_exists", `${request.id} is taken`, { effect: "none" });
      sandboxes.set(request.id, request);
      return driverOf(request);
    },
    attach: async (ref, { mode }) => {
      log.push(`attach ${ref.id} ${mode}`);
      return driverOf(known(ref.id, ref.proof));
    },
    async *list({ labels = {} }): AsyncGenerator<SandboxEntry, void, undefined> {
      for (const { id, spec, ownership } of sandboxes.values()) {
        if (Object.entries(labels).some(([key, value]) => spec.labels?.[key] !== value)) continue;
        const state = paused.has(id) ? "paused" : "running";
        const image = typeof spec.image === "string" ? spec.image : undefined;
        yield { ref: { provider: name, id }, state, image, createdAt: new Date(0).toISOString(), ownership, labels: spec.labels ?? {} };
      }
    },
    destroy: async (ref) => {
      log.push(`destroy ${ref.id}`);
      if (!sandboxes.has(ref.id)) return;
      known(ref.id, ref.proof);
      sandboxes.delete(ref.id);
    },
  };
}

function runFake(table: Readonly<Record<string, FakeProgram>>, request: SpawnRequest, files: FakeFiles, abort: AbortSignal): SandboxProcess {
  const [program, flag, text] = request.argv;
  const argv = program === "/bin/sh" && flag === "-c" ? ((text ?? "").split(" ") as [string, ...string[]]) : request.argv;
  const run = Object.hasOwn(table, argv[0]) ? table[argv[0]] : undefined;
  if (run === undefined) throw new SandboxError("not_found", `${argv[0]}: ENOENT`, { effect: "none", reason: "ENOENT" });
  const killed = new AbortController();
  const input = new TransformStream<Uint8Array, Uint8Array>();
  if (request.stdin === "null") void input.writable.close();
  const [stdout, stderr] = [channel(request), channel(request)];
  let timedOut = false;
  const timer = request.timeoutMs === undefined ? undefined : setTimeout(() => ((timedOut = true), killed.abort("SIGKILL")), request.timeoutMs);
  abort.addEventListener("abort", () => killed.abort("SIGKILL"), { once: true });
  if (abort.aborted) killed.abort("SIGKILL");
  const end = async (): Promise<ProcessExit> => {
    const call = {
      request: { ...request, argv },
      stdin: input.readable,
      signal: killed.signal,
      files,
      out: stdout.write,
      err: request.mergeStderr === true ? stdout.write : stderr.write,
    };
    const ended = await run(call);
    clearTimeout(timer);
    const droppedBytes = { stdout: stdout.end(), stderr: stderr.end() };
    const how = typeof ended === "number" ? { code: ended, signal: null } : { code: null, signal: ended };
    return { ...how, timedOut, droppedBytes, replayed: false };
  };
  return {
    stdin: request.stdin === "null" ? null : input.writable,
    stdout: stdout.stream,
    stderr: stderr.stream,
    exit: end(),
    signal: async (name) => killed.abort(name),
  };
}

interface Channel {
  readonly stream: ReadableStream<Uint8Array>;
  readonly write: (text: string | Uint8Array) => void;
  readonly end: () => number;
}

function channel({ output }: SpawnRequest): Channel {
  const collector = output === undefined ? undefined : new OutputCollector(output);
  let controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  const stream = new ReadableStream<Uint8Array>({ start: (each) => void (controller = each) });
  const send = (bytes: Uint8Array): void => {
    if (bytes.byteLength > 0) controller?.enqueue(bytes);
  };
  return {
    stream,
    write: (text) => {
      const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
      if (collector === undefined) send(bytes);
      else collector.add(bytes);
    },
    end: () => {
      if (collector !== undefined) send(collector.bytes());
      controller?.close();
      return collector?.droppedBytes ?? 0;
    },
  };
}
