import { createInterface } from "node:readline/promises";
import type { SandboxShell } from "@glovebox/core";
import { type Command, type CommandContext, defineCommand } from "../command.ts";
import { exitCodes, shellExitCodeTexts, UsageError } from "../failure.ts";
import { exitCodeOf, programFailure } from "../program-end.ts";
import { attachSandbox, openProvider } from "../providers.ts";
import { pump } from "../pump.ts";
import { sanitiseLine, TextSanitiser } from "../sanitise.ts";

const maxScriptBytes = 32 * 1024 * 1024;

export const shell: Command = defineCommand({
  name: "shell",
  summary: "Work in a running sandbox's shell, line by line",
  usage: ["[FLAGS] ID", "[FLAGS] ID < SCRIPT"],
  details: [
    "On a terminal each line is one command of a shell that stays: directory, variables, functions and jobs last, also until the next `glovebox shell` of " +
      "the same --name. Ctrl-C interrupts the command, `exit` or Ctrl-D leaves and the shell stays. There is no terminal inside yet: editors and other " +
      "full-screen programs do not work, and programs that read stdin get end of file.",
    "When stdin is no terminal, all of it is run as one script, and its exit code is passed through.",
    "What the sandbox writes is made safe when stdout is a terminal: control sequences are shown, not obeyed. --raw passes them through.",
  ],
  flags: {
    name: { kind: "text", value: "NAME", text: "Which shell; the agent's own is `main`", fallback: "operator" },
    raw: { kind: "switch", text: "Let the sandbox write to your terminal as it likes" },
  },
  positionals: { min: 1, max: 1, name: "ID" },
  exitCodes: shellExitCodeTexts,
  run: async ({ flags, positionals }, context) => {
    const [id = ""] = positionals;
    try {
      await using sandbox = await attachSandbox(await openProvider("docker"), id, context.signal);
      const session: Session = { context, shell: sandbox.shell(flags.name ?? "operator"), safe: context.stdout.isTTY === true && !flags.raw };
      if (context.stdin.isTTY !== true) return (await runCommand(session, await readScript(context), context.signal)).code;
      return await converse(session, sandbox.id);
    } catch (error) {
      throw programFailure(error);
    }
  },
});

interface Session {
  readonly context: CommandContext;
  readonly shell: SandboxShell;
  readonly safe: boolean;
}

async function readScript({ stdin }: CommandContext): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of stdin) {
    const piece = Buffer.from(chunk as Uint8Array);
    bytes += piece.byteLength;
    if (bytes > maxScriptBytes) throw new UsageError("the script on stdin is larger than 32 MiB; put it into the sandbox as a file");
    chunks.push(piece);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** How a command ended. */
interface CommandEnd {
  readonly code: number;
  /** Whether the shell lives on. */
  readonly shellKept: boolean;
}

async function runCommand({ context, shell: target, safe }: Session, command: string, interrupting: AbortSignal): Promise<CommandEnd> {
  const running = await target.start(command);
  const interrupt = (): void => void running.signal("SIGINT").catch(() => undefined); // it has ended meanwhile
  if (interrupting.aborted) interrupt();
  interrupting.addEventListener("abort", interrupt);
  const sanitiser = new TextSanitiser();
  await pump(running.stdout, context.stdout, safe ? (chunk) => sanitiser.push(chunk) : undefined);
  if (safe) context.stdout.write(sanitiser.end());
  const exit = await running.exit;
  return { code: exitCodeOf(exit), shellKept: exit.shellKept ?? true };
}

/** Read commands until the end; readline owns the terminal and tells of Ctrl-C. */
async function converse(session: Session, id: string): Promise<number> {
  const { stdin, stdout, stderr, signal } = session.context;
  const lines = createInterface({ input: stdin, output: stdout, historySize: 1000 });
  let interrupting = new AbortController();
  const closed = new AbortController();
  lines.on("SIGINT", () => interrupting.abort());
  lines.on("close", () => closed.abort());
  const prompt = `${sanitiseLine(id)}$ `;
  let code: number = exitCodes.done;
  try {
    for (;;) {
      interrupting = new AbortController();
      const asking = AbortSignal.any([signal, closed.signal, interrupting.signal]);
      const line = await lines.question(prompt, { signal: asking }).catch((error: unknown) => {
        if (!asking.aborted) throw error;
        stdout.write("\n");
      });
      if (line === undefined && !closed.signal.aborted && !signal.aborted) continue;
      if (line === undefined || line.trim() === "exit") return code;
      if (line.trim() === "") continue;
      interrupting = new AbortController();
      const end = await runCommand(session, line, AbortSignal.any([signal, interrupting.signal]));
      code = end.code;
      if (!end.shellKept) stderr.write(`(exit ${code}; the shell ended, the next line gets a fresh one)\n`);
      else if (code !== 0) stderr.write(`(exit ${code})\n`);
    }
  } finally {
    lines.close();
  }
}
