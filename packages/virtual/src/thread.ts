/** Entry of a thread that runs one program at a time for whichever sandbox has one. It holds no file and no key. */
import { parentPort } from "node:worker_threads";
import { Bash, defineCommand, getCommandNames } from "just-bash";
import type { EndedMessage, FromThread, RunMessage, ShellState } from "./messages.ts";
import { toThread } from "./messages.ts";
import { searchCommand } from "./search-command.ts";
import { keepCommand, keptFunctions, keptVariables, parseFailure, programScript, shellScript } from "./shell-state.ts";
import type { FileCall } from "./thread-files.ts";
import { remoteFiles } from "./thread-files.ts";

if (parentPort === null) throw new Error("start this file as a worker thread of @glovebox/virtual");
// bound now: just-bash blocks many globals while a script runs
const port = parentPort;
const post = (message: FromThread, transfer: ArrayBuffer[] = []): void => port.postMessage(message, transfer);

/** More than this and just-bash ends the program with exit code 126. */
const maxOutputBytes = 67_108_864;
const maxStateBytes = 4_194_304;

interface Answer {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The command that hands a shell's state over is on no disk, yet found. */
const keepPath = `/usr/bin/${keepCommand}`;
const keepEntry = { exists: true, stat: { type: "file", mode: 0o755, size: 0, modifiedMs: 0 } } as const;

const answers = new Map<number, Answer>();
let requests = 0;

const fileCall =
  (run: number): FileCall =>
  (operation, ...argumentList) => {
    if (argumentList[0] === keepPath && (operation === "exists" || operation === "stat")) return Promise.resolve(keepEntry[operation]);
    requests += 1;
    const request = requests;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    answers.set(request, { resolve, reject });
    post({ kind: "file", run, request, operation, arguments: argumentList });
    return promise;
  };

/** Ends with the message's `ended`, or with the thread. */
async function run(message: RunMessage): Promise<void> {
  const { program } = message;
  answers.clear(); // nobody waits for those of an earlier run any more
  const unparsed = "command" in program ? parseFailure(program.command) : undefined;
  if ("command" in program && unparsed !== undefined) {
    const said = cut(`bash: ${unparsed}\n`, message.output);
    const droppedBytes = { stdout: said.dropped, stderr: 0 };
    post({ kind: "ended", run: message.run, code: 2, stdout: said.kept, stderr: new Uint8Array(), droppedBytes, state: program.state });
    return;
  }
  let state: ShellState | undefined;
  let code: number | undefined;
  const keep = defineCommand(keepCommand, async ([status], context) => {
    code = Number(status);
    state = { cwd: context.cwd, variables: keptVariables(context.env, context.exportedEnv ?? {}), functions: [] };
    return { stdout: "", stderr: "", exitCode: 0 };
  });
  const bash = new Bash({
    fs: remoteFiles(fileCall(message.run)),
    cwd: message.cwd,
    env: { ...message.env },
    customCommands: "command" in program ? [searchCommand, keep] : [searchCommand],
    processInfo: { pid: 2, ppid: 1, uid: 1000, gid: 1000 },
    // time and memory are bounded from outside, by ending the thread
    executionLimits: {
      maxLoopIterations: Infinity,
      maxCommandCount: Infinity,
      maxExecutionTimeMs: Infinity,
      maxAwkIterations: Infinity,
      maxSedIterations: Infinity,
      maxJqIterations: Infinity,
      maxOutputSize: maxOutputBytes,
    },
  });
  const script = "command" in program ? shellScript(program.command, program.state) : programScript(program.argv, message.merge);
  const result = await bash.exec(script, {
    cwd: message.cwd,
    rawScript: true,
    stdin: Buffer.from(message.stdin).toString("latin1"),
    stdinKind: "bytes",
  });
  const stdout = cut(result.stdout, message.output);
  const stderr = cut(result.stderr, message.output);
  const ended: EndedMessage = {
    kind: "ended",
    run: message.run,
    code: code ?? result.exitCode,
    stdout: stdout.kept,
    stderr: stderr.kept,
    droppedBytes: { stdout: stdout.dropped, stderr: stderr.dropped },
  };
  if ("command" in program && state !== undefined) {
    const after = { ...state, functions: keptFunctions(program.command, program.state.functions) };
    post(JSON.stringify(after).length <= maxStateBytes ? { ...ended, state: after } : ended);
  } else post(ended);
}

function cut(text: string, limit: RunMessage["output"]): { readonly kept: Uint8Array<ArrayBuffer>; readonly dropped: number } {
  const bytes = new TextEncoder().encode(text);
  if (limit === undefined || bytes.byteLength <= limit.maxBytes) return { kept: bytes, dropped: 0 };
  const dropped = bytes.byteLength - limit.maxBytes;
  return { kept: limit.keep === "head" ? bytes.slice(0, limit.maxBytes) : bytes.slice(dropped), dropped };
}

port.on("message", (value: unknown) => {
  const message = toThread(value);
  if (message.kind === "run") {
    // a failure ends the thread, which is what its owner looks for
    void run(message).catch((error: unknown) =>
      queueMicrotask(() => {
        throw error;
      }),
    );
  } else {
    const answer = answers.get(message.request);
    answers.delete(message.request);
    if (message.ok) answer?.resolve(message.value);
    else answer?.reject(Object.assign(new Error(message.text), { code: message.errno }));
  }
});

post({ kind: "ready", commands: getCommandNames() });
