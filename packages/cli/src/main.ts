#!/usr/bin/env node
import { type Command, Interruption, type SignalName } from "./command.ts";
import { run } from "./run.ts";

const interrupted = new AbortController();
const handlers: ((interruption: Interruption) => void)[] = [];
let selected: Command | undefined;
let received = 0;

function interrupt(signalName: SignalName): void {
  const interruption = new Interruption(signalName);
  received += 1;
  if (received > (selected?.patience ?? 1)) process.exit(interruption.exitCode);
  for (const handler of handlers) handler(interruption);
  interrupted.abort(interruption);
}

for (const signalName of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signalName, () => interrupt(signalName));

// the reader went away (`glovebox ps | head -1`)
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  interrupt("SIGPIPE");
});

const { argv, env, stdin, stdout, stderr } = process;
const context = {
  env,
  cwd: process.cwd(),
  stdin,
  stdout,
  stderr,
  signal: interrupted.signal,
  onInterrupt: (handler: (interruption: Interruption) => void): void => void handlers.push(handler),
};
process.exitCode = await run(argv.slice(2), context, (command) => {
  selected = command;
});
