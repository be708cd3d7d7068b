import type { WorkerEvent } from "@glovebox/executor";
import { formatDuration } from "./duration.ts";
import { cut, sanitiseLine, sanitiseText } from "./sanitise.ts";
import type { Terminal } from "./terminal.ts";

type CallFinished = Extract<WorkerEvent, { type: "call.finished" }>;

const shownLines = 8;
/** Enough to tell sandboxes apart; the whole id is told once. */
const shownIdCharacters = 16;

/** Tells a session live: what the agent says, and each call with time, sandbox and the beginning of its result. Everything is made safe here. */
export class DemoView {
  readonly #terminal: Terminal;
  readonly #now: () => number;
  readonly #started: number;
  readonly #inputs = new Map<string, unknown>();
  #sandboxId = "";

  /** @param now milliseconds of a monotonic clock */
  constructor(terminal: Terminal, now: () => number = () => performance.now()) {
    this.#terminal = terminal;
    this.#now = now;
    this.#started = now();
  }

  /** The agent's own text, or the user's. */
  say(who: "agent" | "user", text: string): void {
    const { line, paint } = this.#terminal;
    line();
    for (const [index, part] of sanitiseText(text).split("\n").entries())
      line(`${paint((index === 0 ? who : "").padEnd(5), "cyan")}  ${paint(part, "bold")}`);
  }

  /** For the worker's observer. */
  observe(event: WorkerEvent): void {
    const { line, paint } = this.#terminal;
    switch (event.type) {
      case "sandbox.ready":
        this.#sandboxId = event.sandboxId;
        line(
          paint(
            `${this.#time()}  sandbox ${sanitiseLine(event.sandboxId)} ${event.how} on ${sanitiseLine(event.provider)} in ${formatDuration(event.durationMs)}`,
            "dim",
          ),
        );
        break;
      case "sandbox.failed":
      case "sandbox.lost":
        line(paint(`${this.#time()}  ${event.type}: ${sanitiseLine(event.failure.message)}`, "red"));
        break;
      case "call.started":
        this.#inputs.set(event.callId, event.input);
        break;
      case "call.finished":
        this.#call(event);
        break;
      default:
        break;
    }
  }

  #call(event: CallFinished): void {
    const { line, paint, columns } = this.#terminal;
    const { tool, isError, durationMs, callId, text } = event;
    const mark = isError ? paint("error", "red") : paint("ok   ", "green");
    const took = formatDuration(durationMs).padStart(8);
    const head = `${this.#time()}  ${sanitiseLine(tool).padEnd(5)}  ${mark}  ${took}  `;
    const sandboxId = this.#sandboxId.slice(0, shownIdCharacters);
    const room = columns - `+00.00s  tool   error  ${took}  `.length - sandboxId.length - 2;
    const what = cut(sanitiseLine(summarise(this.#inputs.get(callId))), Math.max(20, room));
    this.#inputs.delete(callId);
    line(`${head}${what.padEnd(Math.max(20, room))}  ${paint(sanitiseLine(sandboxId), "dim")}`.trimEnd());
    const lines = sanitiseText(text).trimEnd().split("\n");
    for (const shown of lines.slice(0, shownLines)) line(paint(`         │ ${cut(shown.replaceAll("\t", "    "), columns - 11)}`, "dim"));
    if (lines.length > shownLines) line(paint(`         │ … ${lines.length - shownLines} lines more`, "dim"));
  }

  #time(): string {
    return `+${((this.#now() - this.#started) / 1000).toFixed(2).padStart(5, "0")}s`;
  }
}

/** What a call is about: the command, path or pattern of its input. */
function summarise(input: unknown): string {
  if (typeof input !== "object" || input === null) return "";
  const fields = input as Readonly<Record<string, unknown>>;
  const told = [fields["command"], fields["file_path"], fields["pattern"]].find((value) => typeof value === "string");
  return told ?? JSON.stringify(input).slice(0, 1000);
}
