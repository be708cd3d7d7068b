import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { once } from "node:events";

const main = new URL("../src/main.ts", import.meta.url).pathname;

/** `glovebox` as a process of its own, with no variables but `PATH`, `HOME` and those given. */
export class CommandLine implements AsyncDisposable {
  readonly process: ChildProcessWithoutNullStreams;
  readonly #exited: Promise<unknown[]>;
  stdout = "";
  stderr = "";

  constructor(args: readonly string[], { env = {}, cwd }: { readonly env?: NodeJS.ProcessEnv; readonly cwd: string }) {
    this.process = spawn(process.execPath, ["--conditions=@glovebox/source", main, ...args], {
      cwd,
      env: { PATH: process.env["PATH"], HOME: cwd, ...env },
    });
    this.#exited = once(this.process, "close");
    this.process.stdout.on("data", (chunk: Buffer) => (this.stdout += chunk.toString("utf8")));
    this.process.stderr.on("data", (chunk: Buffer) => (this.stderr += chunk.toString("utf8")));
    this.process.stdin.on("error", () => undefined); // it need not read
  }

  /** @returns the exit code, or the signal that ended it */
  async end(input?: string): Promise<number | string> {
    if (input !== undefined) this.process.stdin.end(input);
    const [code, signal] = (await this.#exited) as [number | null, string | null];
    return code ?? signal ?? "nothing";
  }

  /** The first whole line of stdout, past or to come, for which `matches` is true. */
  async line(matches: (line: string) => boolean): Promise<string> {
    for (;;) {
      const found = this.stdout.split("\n").slice(0, -1).find(matches);
      if (found !== undefined) return found;
      if (this.process.stdout.readableEnded) throw new Error(`no such line; stdout: ${this.stdout}; stderr: ${this.stderr}`);
      await Promise.race([once(this.process.stdout, "data"), once(this.process.stdout, "end")]);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.#exited;
  }
}
