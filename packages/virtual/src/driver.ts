import type { Capabilities, SandboxDriver, SandboxProcess, ShellFacet } from "@glovebox/core";
import { SandboxError } from "@glovebox/core";
import { gone, rethrow } from "./errors.ts";
import { diskFiles } from "./files.ts";
import type { ShellState } from "./messages.ts";
import { startProgram } from "./program.ts";
import type { SandboxRecord, ShellRecord } from "./sandbox-record.ts";
import { checkProgram } from "./sandbox-record.ts";
import type { ThreadPool } from "./thread-pool.ts";

/** One holder's channel to a sandbox of this process. @param destroy ends the sandbox itself */
export function virtualDriver(record: SandboxRecord, capabilities: Capabilities, pool: ThreadPool, destroy: () => void): SandboxDriver {
  const closed = new AbortController();
  const lost = Promise.withResolvers<Error>();
  const onEnded = (): void => lost.resolve(gone(record.id));
  record.ended.signal.addEventListener("abort", onEnded, { once: true });

  const open = (): void => {
    if (record.ended.signal.aborted) throw gone(record.id);
    if (closed.signal.aborted)
      throw new SandboxError("failed_precondition", `the channel to sandbox ${record.id} is closed; attach again`, { effect: "none" });
  };
  /** Ends with the call, the channel and the sandbox. */
  const lifetime = (signal: AbortSignal): AbortSignal => AbortSignal.any([signal, closed.signal, record.ended.signal]);

  const close = (): void => {
    record.ended.signal.removeEventListener("abort", onEnded);
    closed.abort(new SandboxError("unavailable", `the channel to sandbox ${record.id} was closed`, { effect: "unknown", reason: "disconnected" }));
  };

  return {
    ref: { provider: "virtual", id: record.id, proof: record.proof },
    workdir: record.workdir,
    capabilities,
    lost: lost.promise,
    spawn: async (request, { signal }) => {
      signal.throwIfAborted();
      open();
      const env = { ...record.env, ...request.env };
      try {
        checkProgram(record.disk, request.argv[0], request.cwd, env["PATH"] ?? "");
      } catch (error) {
        rethrow(error);
      }
      const { argv, cwd, stdin, mergeStderr: merge = false, output, timeoutMs } = request;
      const limits = { ...(output === undefined ? {} : { output }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
      return startProgram(pool, record.disk, { program: { argv }, cwd, env, stdin, merge, ...limits }, lifetime(signal));
    },
    files: diskFiles(record.disk, open),
    shell: shellFacet(record, pool, open, lifetime),
    close: async () => close(),
    destroy: async () => {
      close();
      destroy();
    },
  };
}

/**
 * A shell that lasts, made of ones that do not: just-bash forgets everything but files after each run, so directory, variables and
 * functions are put in front of the next command.
 */
function shellFacet(record: SandboxRecord, pool: ThreadPool, open: () => void, lifetime: (signal: AbortSignal) => AbortSignal): ShellFacet {
  const shellOf = (name: string): ShellRecord => {
    const shell = record.shells.get(name) ?? { state: undefined, last: Promise.resolve(), restarts: 0, running: undefined };
    record.shells.set(name, shell);
    return shell;
  };
  return {
    run: async (request, { signal }) => {
      signal.throwIfAborted();
      open();
      const shell = shellOf(request.shell);
      const life = lifetime(signal);
      const turn = shell.last;
      const done = Promise.withResolvers<void>();
      shell.last = done.promise;
      try {
        await untilAbort(turn, life);
      } catch (error) {
        void turn.then(done.resolve);
        throw error;
      }
      const state: ShellState = shell.state ?? startState(request.cwd, { ...record.env, ...request.env });
      const { command, output, timeoutMs } = request;
      const limits = { ...(output === undefined ? {} : { output }), ...(timeoutMs === undefined ? {} : { timeoutMs }) };
      const env = Object.fromEntries(state.variables.filter(({ exported }) => exported).map(({ name, value }) => [name, value]));
      const cwd = directoryOr(record, state.cwd);
      const program = startProgram(pool, record.disk, { program: { command, state }, cwd, env, stdin: "null", merge: true, ...limits }, life);
      shell.running = program;
      const { restarts } = shell;
      const kept = program.said.then((said) => {
        shell.running = undefined;
        if (shell.restarts === restarts) shell.state = said?.state;
        done.resolve();
        return shell.state !== undefined;
      });
      const exit = program.exit.then(async (ended) => ({ ...ended, shellKept: await kept }));
      exit.catch(() => undefined); // seen by whoever awaits it
      return { stdin: null, stdout: program.stdout, stderr: program.stderr, exit, signal: program.signal } satisfies SandboxProcess;
    },
    restart: async (name, { signal }) => {
      signal.throwIfAborted();
      open();
      const shell = shellOf(name);
      shell.restarts += 1;
      shell.state = undefined;
      shell.running?.kill();
      await shell.running?.said;
    },
  };
}

const startState = (cwd: string, env: Readonly<Record<string, string>>): ShellState => ({
  cwd,
  variables: Object.entries(env).map(([name, value]) => ({ name, value, exported: true })),
  functions: [],
});

/** Where the shell stands, or the work directory when that was removed meanwhile. */
function directoryOr(record: SandboxRecord, cwd: string): string {
  try {
    if (record.disk.stat({ path: cwd }, true).type === "directory") return cwd;
  } catch {
    // gone
  }
  return record.workdir;
}

async function untilAbort(pending: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([pending, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
