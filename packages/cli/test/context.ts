import { Readable, Writable } from "node:stream";
import type { CommandContext, Interruption } from "../src/command.ts";
import { run } from "../src/run.ts";

export interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface Surroundings {
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  readonly stdin?: string;
}

/** Run a command in this process, with an environment that holds nothing but what is given. */
export async function runHere(args: readonly string[], { env = {}, cwd = "/", stdin = "" }: Surroundings = {}): Promise<Outcome> {
  const [out, err] = [collector(), collector()];
  const context: CommandContext = {
    env,
    cwd,
    stdin: Readable.from(stdin === "" ? [] : [Buffer.from(stdin)]),
    stdout: out.stream,
    stderr: err.stream,
    signal: new AbortController().signal,
    onInterrupt: (_listener: (interruption: Interruption) => void) => undefined,
  };
  const code = await run(args, context);
  return { code, stdout: out.text(), stderr: err.text() };
}

export function collector(): { readonly stream: Writable; readonly text: () => string } {
  const chunks: Buffer[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(chunk);
      done();
    },
  });
  return { stream, text: () => Buffer.concat(chunks).toString("utf8") };
}
