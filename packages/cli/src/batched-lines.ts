import type { Writable } from "node:stream";

/** How long a line may wait for others, in ms. */
const waitMs = 20;
const mostLines = 256;

/**
 * Lines that are made and leave together. A write into a pipe blocks this process and wakes the reader, so a line of its own for everything that
 * happens would cost every tool call more than its log is worth.
 */
export class BatchedLines {
  readonly #output: Writable;
  readonly #flushAtExit = (): void => this.flush();
  #waiting: (() => string)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(output: Writable) {
    this.#output = output;
  }

  /** @param line gives it, without its line feed, when it leaves: what it is made of must not change */
  add(line: () => string): void {
    this.#waiting.push(line);
    if (this.#waiting.length >= mostLines) return this.flush();
    if (this.#timer !== undefined) return undefined;
    process.once("exit", this.#flushAtExit); // a process that is ended in between still says what it knew
    this.#timer = setTimeout(this.#flushAtExit, waitMs);
    return undefined;
  }

  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    process.off("exit", this.#flushAtExit);
    const lines = this.#waiting;
    this.#waiting = [];
    if (lines.length > 0) this.#output.write(lines.map((line) => `${line()}\n`).join(""));
  }
}
