import type { Writable } from "node:stream";

/** How long a line may wait for others, in ms. */
const waitMs = 20;
const mostChars = 32_768;

/**
 * Lines that leave together. A write into a pipe blocks this process and wakes the reader, so a line of its own for everything that happens would cost
 * every tool call more than its log is worth.
 */
export class BatchedLines {
  readonly #output: Writable;
  readonly #flushAtExit = (): void => this.flush();
  #waiting = "";
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(output: Writable) {
    this.#output = output;
  }

  /** @param line without its line feed */
  add(line: string): void {
    this.#waiting += `${line}\n`;
    if (this.#waiting.length >= mostChars) return this.flush();
    if (this.#timer !== undefined) return undefined;
    process.once("exit", this.#flushAtExit); // a process that is ended in between still says what it knew
    this.#timer = setTimeout(this.#flushAtExit, waitMs);
    return undefined;
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    process.off("exit", this.#flushAtExit);
    if (this.#waiting !== "") this.#output.write(this.#waiting);
    this.#waiting = "";
  }
}
