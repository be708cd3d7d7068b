import { Readable } from "node:stream";
import { type ExecOptions, type RunningProcess, Sandbox, type SandboxSpec } from "@glovebox/core";
import { type Command, type CommandContext, defineCommand } from "../command.ts";
import { CommandError, execExitCodeTexts, exitCodes, UsageError } from "../failure.ts";
import { exitCodeOf, programFailure } from "../program-end.ts";
import { attachSandbox, machineOwnerKey, openProvider, providerFlag } from "../providers.ts";
import { pump } from "../pump.ts";

const flags = {
  provider: providerFlag,
  image: { kind: "text", value: "IMAGE", text: "Image of the new sandbox", fallback: "the provider's own" },
  sandbox: { kind: "text", value: "ID", text: "Run in this sandbox, which stays; see `glovebox ps`" },
  env: { kind: "pairs", short: "e", text: "Environment variable of the program" },
  workdir: { kind: "text", short: "w", value: "PATH", text: "Absolute directory to run in", fallback: "the sandbox's own, /workspace" },
  user: { kind: "text", short: "u", value: "USER", text: "User to run as (name, uid or uid:gid)", fallback: "the sandbox's own" },
  timeout: { kind: "duration", text: "Kill the program after this long", fallback: "never" },
  keep: { kind: "switch", text: "Leave the new sandbox running and print its id on stderr" },
  "no-stdin": { kind: "switch", short: "n", text: "Do not read stdin; the program gets end of file" },
} as const;

/** Where output is collected: of each stream. */
const maxCollectedBytes = 64 * 1024 * 1024;
const longestMs = 2_000_000_000;

export const exec: Command = defineCommand({
  name: "exec",
  summary: "Run one program in a new sandbox, or in one that runs",
  usage: ["[FLAGS] -- PROGRAM [ARGUMENTS]"],
  details: [
    "stdin, stdout and stderr are passed through byte for byte, as they come. That includes control sequences: what a hostile program writes reaches " +
      "your terminal. Pipe the output through a pager or into a file when you do not trust it.",
    "The embedded provider (--provider virtual) takes no input while a program runs: without --no-stdin input is read to its end first, and up to 64 MiB of " +
      "output come when the program has ended.",
    "The program is started as it is, without a shell: `glovebox exec -- sh -c 'ls | wc -l'`. It has no terminal, and the sandbox no network. The " +
      "sandbox is destroyed when the program has ended, unless --keep or --sandbox is given.",
    "The first Ctrl-C or SIGTERM goes to the program, the second kills it, the third ends glovebox at once.",
  ],
  flags,
  positionals: { min: 0, max: 0, name: "" },
  takesRest: true,
  exitCodes: execExitCodeTexts,
  patience: 2,
  run: async ({ flags: given, rest }, context) => {
    const [program, ...programArguments] = rest ?? [];
    if (program === undefined) throw new UsageError("no program; write it after --: glovebox exec -- ls -l");
    if (given.workdir !== undefined && !given.workdir.startsWith("/")) throw new UsageError("--workdir: give an absolute path");
    for (const flag of ["image", "keep"] as const) {
      if (given.sandbox !== undefined && given[flag] !== undefined && given[flag] !== false) {
        throw new UsageError(`--${flag} is for a new sandbox, --sandbox names one that runs; give one of the two`);
      }
    }
    try {
      const provider = await openProvider(given.provider ?? "docker");
      const spec: SandboxSpec = {
        ...(given.image === undefined ? {} : { image: given.image }),
        ...(given.workdir === undefined ? {} : { workdir: given.workdir }),
      };
      const sandbox =
        given.sandbox === undefined
          ? await Sandbox.create(provider, spec, {
              ownerKey: await machineOwnerKey(),
              signal: context.signal,
              ...(given.keep ? { ownership: { by: "session", session: "glovebox-cli" } } : {}),
            })
          : await attachSandbox(provider, given.sandbox, context.signal);
      try {
        if (given.keep) context.stderr.write(`${sandbox.id}\n`);
        return await runProgram(sandbox, [program, ...programArguments], given, context);
      } finally {
        // a borrowed sandbox is only let go by its disposal
        await (given.keep ? sandbox.close() : sandbox[Symbol.asyncDispose]());
      }
    } catch (error) {
      throw programFailure(error);
    }
  },
});

interface ProgramFlags {
  readonly env: Readonly<Record<string, string>>;
  readonly workdir: string | undefined;
  readonly user: string | undefined;
  readonly timeout: number | undefined;
  readonly "no-stdin": boolean;
}

async function runProgram(sandbox: Sandbox, argv: readonly string[], given: ProgramFlags, context: CommandContext): Promise<number> {
  // until it runs, an interruption aborts the start; from then on it goes to the program
  const starting = new AbortController();
  let running: RunningProcess | undefined;
  context.onInterrupt((interruption) => {
    if (running === undefined) return starting.abort(interruption);
    const name = context.signal.aborted ? "SIGKILL" : interruption.signalName;
    running.signal(name).catch(() => undefined); // it has ended, or the sandbox is lost, which `exit` tells
  });
  const options = {
    env: given.env,
    signal: starting.signal,
    ...(given.workdir === undefined ? {} : { cwd: given.workdir }),
    ...(given.user === undefined ? {} : { user: given.user }),
    ...(given.timeout === undefined ? {} : { timeoutMs: given.timeout }),
  };
  const wantsInput = !given["no-stdin"];
  if (wantsInput && sandbox.capabilities.exec.stdinWhileRunning === false) return await runCollected(sandbox, argv, options, context);
  running = await sandbox.spawn(argv, { ...options, stdin: wantsInput ? "pipe" : "null" });
  const feeding = running.stdin === null ? undefined : feed(context, running.stdin);
  const [exit] = await Promise.all([running.exit, pump(running.stdout, context.stdout), pump(running.stderr, context.stderr)]);
  feeding?.stop();
  return exitCodeOf(exit);
}

/** Where a program's input must be there before it starts, nothing flows: input is read to its end, output comes when the program has ended. */
async function runCollected(sandbox: Sandbox, argv: readonly string[], options: ExecOptions, context: CommandContext): Promise<number> {
  const result = await sandbox.exec(argv, {
    ...options,
    timeoutMs: options.timeoutMs ?? longestMs,
    stdin: context.stdin.isTTY === true ? "" : (Readable.toWeb(context.stdin) as ReadableStream<Uint8Array>),
    maxOutputBytes: maxCollectedBytes,
  });
  await pump(new Blob([result.stdout as Uint8Array<ArrayBuffer>]).stream(), context.stdout);
  await pump(new Blob([result.stderr as Uint8Array<ArrayBuffer>]).stream(), context.stderr);
  const dropped = result.droppedBytes.stdout + result.droppedBytes.stderr;
  if (dropped > 0)
    throw new CommandError(`the program wrote ${dropped} bytes more than ${sandbox.ref.provider} collects`, { exitCode: exitCodes.gloveboxFailed });
  return exitCodeOf(result);
}

/** Pass stdin on until it ends, or the program does not want it any more. */
function feed({ stdin }: CommandContext, to: WritableStream<Uint8Array>): { readonly stop: () => void } {
  const stopped = new AbortController();
  // an ended program refuses input, which is no failure of ours
  const done = (Readable.toWeb(stdin) as ReadableStream<Uint8Array>).pipeTo(to, { signal: stopped.signal }).catch(() => undefined);
  return {
    stop: () => {
      stopped.abort();
      void done.then(() => stdin.destroy());
    },
  };
}
