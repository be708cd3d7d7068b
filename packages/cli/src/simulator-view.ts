import type { Writable } from "node:stream";
import type { CallRecord, LoggedRequest, Observation, SessionHandle } from "@glovebox/simulator";
import { formatDuration } from "./duration.ts";
import { cut, sanitiseLine } from "./sanitise.ts";
import { type Terminal, terminal } from "./terminal.ts";

const shownRequestLines = 4;
const shownSessions = 5;
const shownCalls = 8;
const shownIdCharacters = 16;
const repaintMs = 100;
const labelColumns = 10;

type Output = Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

interface Told {
  readonly session: SessionHandle;
  /** What its line said last. */
  line: string;
  /** Why it idles, from its last idle event. */
  reason: string;
  /** Calls that were told as settled. */
  readonly settled: Set<string>;
}

/**
 * What happens at a simulator, for people: requests by endpoint, sessions with their state, calls with their outcome. On a terminal a block that is
 * painted anew; elsewhere a line for each change. Everything is made safe here.
 */
export class SimulatorView {
  readonly #output: Output;
  readonly #terminal: Terminal;
  readonly #live: boolean;
  readonly #counts = new Map<string, { all: number; refused: number }>();
  readonly #sessions = new Map<string, Told>();
  readonly #byWork = new Map<string, Told>();
  readonly #dirty = new Set<Told>();
  readonly #calls: string[] = [];
  #timer: NodeJS.Timeout | undefined;
  #scheduled = false;
  #painted = 0;

  constructor(output: Output, env: NodeJS.ProcessEnv) {
    this.#output = output;
    this.#terminal = terminal(output, env);
    this.#live = this.#terminal.isTTY && env["TERM"] !== "dumb";
  }

  /** For the simulator's observer. */
  observe(observation: Observation): void {
    if (observation.type === "request") return this.#request(observation.request);
    const { session } = observation;
    const told = this.#sessions.get(session.id) ?? { session, line: "", reason: "", settled: new Set<string>() };
    this.#sessions.delete(session.id); // so that those in which something happened come last
    this.#sessions.set(session.id, told);
    if (observation.type === "event" && observation.event.type === "session.status_idle") told.reason = reasonOf(observation.event["stop_reason"]);
    this.#touch(told);
  }

  /** Tell what is left to tell. */
  end(): void {
    clearTimeout(this.#timer);
    this.#flush();
    if (this.#live) this.#paint();
    else if (this.#counts.size > 0) this.#terminal.line(label("requests", this.#requestCounts().join(", ")));
  }

  #request(request: LoggedRequest): void {
    const name = request.endpoint ?? `${request.method} ${request.path}`;
    const count = this.#counts.get(name) ?? { all: 0, refused: 0 };
    this.#counts.set(name, count);
    count.all += 1;
    const refused = request.status === null || request.status >= 400;
    if (refused) count.refused += 1;
    if (refused && !this.#live) this.#terminal.line(label("request", `${sanitiseLine(name)} ${request.status ?? "cut off"}`));
    const told = this.#byWork.get(request.workId ?? "") ?? this.#sessions.get(request.sessionId ?? "");
    if (told !== undefined) this.#touch(told);
    else if (this.#live) this.#schedulePaint();
  }

  #touch(told: Told): void {
    this.#dirty.add(told);
    if (this.#live) return this.#schedulePaint();
    if (this.#scheduled) return;
    this.#scheduled = true;
    queueMicrotask(() => this.#flush()); // an event is told before what it changes is there to read
  }

  #flush(): void {
    this.#scheduled = false;
    for (const told of this.#dirty) {
      for (const { id } of told.session.work) this.#byWork.set(id, told);
      const fresh = told.session.report().calls.filter(({ id, outcome }) => outcome !== "open" && !told.settled.has(id));
      for (const call of fresh.toSorted((left, right) => (left.settledAtMs ?? 0) - (right.settledAtMs ?? 0))) {
        told.settled.add(call.id);
        this.#call(call);
      }
      const line = this.#sessionLine(told);
      if (line !== told.line && !this.#live) this.#terminal.line(line);
      told.line = line;
    }
    this.#dirty.clear();
  }

  #call(call: CallRecord): void {
    const { paint, columns, line } = this.#terminal;
    const { name, outcome, result, settledAtMs, emittedAtMs, input } = call;
    const isError = result?.isError === true;
    const took = formatDuration((settledAtMs ?? emittedAtMs) - emittedAtMs);
    const mark = paint(`${outcome}${isError ? " (error)" : ""}`.padEnd(19), outcome === "result" && !isError ? "green" : "red");
    const head = label("call", `${cut(sanitiseLine(name), 20).padEnd(6)}  ${mark}  ${took.padStart(8)}  `);
    const room = columns - labelColumns - 6 - 19 - 14;
    const told = `${head}${paint(cut(sanitiseLine(about(input)), Math.max(10, room)), "dim")}`.trimEnd();
    if (!this.#live) return line(told);
    this.#calls.push(told);
    if (this.#calls.length > shownCalls) this.#calls.shift();
  }

  #sessionLine({ session, reason }: Told): string {
    const { calls } = session.report();
    const open = calls.filter(({ outcome }) => outcome === "open").length;
    const state = session.status === "idle" && reason !== "" ? `idle (${sanitiseLine(reason)})` : session.status;
    const item = session.work.at(-1)?.state ?? "none";
    const counted = `${calls.length} call${calls.length === 1 ? "" : "s"}${open === 0 ? "" : `, ${open} open`}`;
    return label("session", `${cut(sanitiseLine(session.id), shownIdCharacters)}  ${state.padEnd(22)}  item ${item.padEnd(8)}  ${counted}`);
  }

  #requestCounts(): readonly string[] {
    return [...this.#counts].map(([name, { all, refused }]) => `${sanitiseLine(name)} ${all}${refused === 0 ? "" : ` (${refused} refused)`}`);
  }

  /** As many lines as the terminal's width makes of them, within bounds. */
  #requestLines(columns: number): readonly string[] {
    const lines: string[] = [];
    let line = "";
    for (const count of this.#requestCounts()) {
      const longer = line === "" ? count : `${line}, ${count}`;
      if (labelColumns + longer.length < columns) line = longer;
      else {
        lines.push(`${line},`);
        line = count;
      }
    }
    lines.push(line);
    return lines.slice(0, shownRequestLines).map((each, index) => cut(label(index === 0 ? "requests" : "", each), columns));
  }

  #schedulePaint(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
      this.#paint();
    }, repaintMs).unref();
  }

  #paint(): void {
    const { columns } = this.#terminal;
    const sessions = [...this.#sessions.values()].slice(-shownSessions).map(({ line }) => cut(line, columns - 1));
    const lines = [...this.#requestLines(columns - 1), ...sessions, ...this.#calls].slice(0, Math.max(1, (this.#output.rows ?? 24) - 1));
    const back = this.#painted === 0 ? "" : `\x1b[${this.#painted}F\x1b[J`;
    this.#output.write(`${back}${lines.join("\n")}\n`);
    this.#painted = lines.length;
  }
}

function label(name: string, text: string): string {
  return `${name.padEnd(labelColumns)}${text}`;
}

function reasonOf(reason: unknown): string {
  return typeof reason === "object" && reason !== null && "type" in reason ? String(reason.type) : "";
}

/** What a call is about: the command, path or pattern of its input. */
function about(input: CallRecord["input"]): string {
  const told = [input["command"], input["file_path"], input["pattern"]].find((value) => typeof value === "string");
  return told ?? JSON.stringify(input).slice(0, 1000);
}
