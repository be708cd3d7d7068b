import { SandboxError } from "@glovebox/core";
import type {
  CreateRequest,
  FilesFacet,
  ProcessExit,
  SandboxDriver,
  SandboxProcess,
  SandboxProvider,
  SandboxRef,
  SpawnRequest,
} from "@glovebox/core";
import { toyCapabilities } from "./capabilities.ts";
import { memoryFiles } from "./memory-files.ts";

/** What the toy can run: functions from arguments and input to output. Nothing here touches the machine. */
const programs: ReadonlyMap<string, (args: readonly string[], input: string) => string> = new Map([
  ["echo", (args) => `${args.join(" ")}\n`],
  ["rev", (_args, input) => Array.from(input).toReversed().join("")],
]);

interface Held {
  readonly request: CreateRequest;
  readonly files: FilesFacet;
  readonly createdAt: string;
}

/** A provider whose sandboxes are entries of a map. It shows the shape of an adapter, and isolates nothing because it runs nothing. */
export function toy(): SandboxProvider {
  const held = new Map<string, Held>();
  const owned = ({ id, proof }: SandboxRef): Held => {
    const found = held.get(id);
    if (found === undefined) throw new SandboxError("not_found", `toy has no sandbox ${id}`, { effect: "none" });
    if (found.request.proof !== proof) throw new SandboxError("permission_denied", `the proof for ${id} is wrong`, { effect: "none" });
    return found;
  };
  const toDriver = ({ request, files }: Held): SandboxDriver => ({
    ref: { provider: "toy", id: request.id, proof: request.proof },
    workdir: request.spec.workdir,
    capabilities: toyCapabilities,
    lost: Promise.withResolvers<Error>().promise, // a map is not lost
    files,
    spawn: async (spawn) => {
      if (!held.has(request.id)) throw new SandboxError("not_found", `toy has no sandbox ${request.id}`, { effect: "none" });
      return start(spawn);
    },
    close: async () => undefined,
    destroy: async () => void held.delete(request.id),
  });
  return {
    name: "toy",
    specVersion: 1,
    capabilitiesFor: () => toyCapabilities,
    create: async (request, { signal }) => {
      signal.throwIfAborted();
      if (held.has(request.id)) throw new SandboxError("already_exists", `toy has a sandbox ${request.id} already`, { effect: "none" });
      const made: Held = { request, files: memoryFiles(request.spec.workdir), createdAt: new Date().toISOString() };
      held.set(request.id, made);
      return toDriver(made);
    },
    attach: async (ref) => toDriver(owned(ref)),
    list: async function* ({ labels = {} }) {
      for (const { request, createdAt } of held.values()) {
        const mine = request.spec.labels ?? {};
        if (!Object.entries(labels).every(([key, value]) => mine[key] === value)) continue;
        yield { ref: { provider: "toy", id: request.id }, state: "running", image: undefined, createdAt, ownership: request.ownership, labels: mine };
      }
    },
    destroy: async (ref) => {
      if (held.has(ref.id)) owned(ref);
      held.delete(ref.id);
    },
  };
}

function start({ argv: [name, ...args], stdin, output, timeoutMs }: SpawnRequest): SandboxProcess {
  const program = programs.get(name);
  if (program === undefined) throw new SandboxError("not_found", `${name}: no such program`, { effect: "none", reason: "ENOENT" });
  const input = new TransformStream<Uint8Array, Uint8Array>();
  const ended = Promise.withResolvers<Pick<ProcessExit, "code" | "signal" | "timedOut">>();
  const timer = timeoutMs === undefined ? undefined : setTimeout(() => ended.resolve({ code: null, signal: "SIGKILL", timedOut: true }), timeoutMs);
  const whole = stdin === "pipe" ? new Response(input.readable).text() : Promise.resolve("");
  let written: Uint8Array = new Uint8Array();
  void whole.then(
    (text) => {
      written = new TextEncoder().encode(program(args, text));
      ended.resolve({ code: 0, signal: null, timedOut: false });
    },
    () => ended.resolve({ code: 1, signal: null, timedOut: false }),
  );
  const kept = ended.promise.then((end) => {
    clearTimeout(timer);
    if (end.code !== 0) return { end, bytes: new Uint8Array(), dropped: 0 };
    const limit = output?.maxBytes ?? written.byteLength;
    const from = output?.keep === "tail" ? Math.max(0, written.byteLength - limit) : 0;
    return { end, bytes: written.slice(from, from + limit), dropped: Math.max(0, written.byteLength - limit) };
  });
  const stdout = new ReadableStream<Uint8Array>({
    start: async (controller) => {
      const { bytes } = await kept;
      if (bytes.byteLength > 0) controller.enqueue(bytes);
      controller.close();
    },
  });
  return {
    stdin: stdin === "pipe" ? input.writable : null,
    stdout,
    stderr: new ReadableStream({ start: (controller) => controller.close() }),
    exit: kept.then(({ end, dropped }) => ({ ...end, droppedBytes: { stdout: dropped, stderr: 0 }, replayed: false })),
    signal: async () => ended.resolve({ code: null, signal: "SIGKILL", timedOut: false }),
  };
}
