import { checkTimeout } from "./calls.ts";
import { checkEnv, checkKey, checkText, unsupported } from "./checks.ts";
import type { DriverCalls, KeyedLimits } from "./driver-calls.ts";
import { type OutputOptions, type RunningProcess, execTimeoutMs, finish, outputLimit, start } from "./process.ts";
import type { OutputLimit, ProcessExit, ShellRequest } from "./provider.ts";

export interface ShellOptions extends KeyedLimits, OutputOptions {
  /** How long the command may run, in milliseconds, from when it is its turn. Default 120,000. Then the shell goes with it. */
  readonly timeoutMs?: number;
  /** Added to the environment of a new shell; a shell that is there keeps its own. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface ShellStartOptions extends Omit<ShellOptions, keyof OutputOptions> {
  /** Collected inside and delivered at the end. Default: streamed, with back-pressure. */
  readonly output?: OutputLimit;
}

/** How a shell command ended. */
export interface ShellResult extends Omit<ProcessExit, "droppedBytes" | "shellKept"> {
  /** stdout and stderr as a terminal shows them. */
  readonly output: Uint8Array;
  /** `output` as UTF-8; what is none becomes U+FFFD. */
  readonly text: string;
  readonly droppedBytes: number;
  /** Whether the shell lives on, with its directory, variables, functions and jobs. If not, the next command gets a fresh one. */
  readonly shellKept: boolean;
  readonly durationMs: number;
}

/**
 * A persistent shell: directory, variables, functions and jobs last from one command to the next. Commands run one after another.
 * It is made at its first command and lives in the sandbox, so whoever attaches finds it by its name.
 */
export class SandboxShell {
  readonly name: string;
  readonly #calls: DriverCalls;

  constructor(calls: DriverCalls, name: string) {
    this.name = checkKey("shell name", name);
    this.#calls = calls;
    if (calls.driver.capabilities.shell === false) unsupported(calls.provider, "has no persistent shell (capability shell)");
  }

  /** Run a command to its end. What the shell cannot parse, `exit` and a dying shell are results. Reads of stdin give end of file. */
  async run(command: string, options: ShellOptions = {}): Promise<ShellResult> {
    const { maxOutputBytes, keep, timeoutMs = execTimeoutMs, ...rest } = options;
    const output = outputLimit({ ...(maxOutputBytes === undefined ? {} : { maxOutputBytes }), ...(keep === undefined ? {} : { keep }) });
    const startedAt = performance.now();
    const { exit, stdout } = await finish(await this.start(command, { ...rest, timeoutMs, output }), output);
    const { droppedBytes, shellKept, ...end } = exit;
    return {
      ...end,
      output: stdout,
      text: new TextDecoder().decode(stdout),
      droppedBytes: droppedBytes.stdout,
      shellKept: shellKept ?? true,
      durationMs: performance.now() - startedAt,
    };
  }

  /** Start a command and stream what it writes. No time-out unless one is given. */
  async start(command: string, options: ShellStartOptions = {}): Promise<RunningProcess> {
    const shell = this.#calls.facet("shell", this.#calls.driver.shell);
    checkTimeout(options.timeoutMs);
    const request: ShellRequest = {
      shell: this.name,
      command: checkText("the command", command),
      cwd: this.#calls.driver.workdir,
      env: checkEnv(options.env ?? {}),
      ...(options.output === undefined ? {} : { output: options.output }),
      ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    };
    return await start(this.#calls, "shell run", options, (callOptions) => shell.run(request, callOptions));
  }

  /** End the shell and everything in it. */
  async restart(options: KeyedLimits = {}): Promise<void> {
    const shell = this.#calls.facet("shell", this.#calls.driver.shell);
    await this.#calls.mutate({ name: "shell restart" }, options, (callOptions) => shell.restart(this.name, callOptions));
  }
}
