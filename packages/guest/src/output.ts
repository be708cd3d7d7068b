/** One channel of output as a Web stream: what nobody has read is held here, within the window, and told as used when it is read. */
export class OutputChannel {
  readonly readable: ReadableStream<Uint8Array>;
  readonly #used: (bytes: number) => void;
  readonly #queue: Uint8Array[] = [];
  #controller!: ReadableStreamDefaultController<Uint8Array>;
  #wanted = false;
  #state: "open" | "ending" | "closed" | "discarding" = "open";

  /**
   * @param used so many bytes have been read, or dropped
   * @param cancelled the reader wants no more; what still comes is dropped
   */
  constructor(used: (bytes: number) => void, cancelled?: (reason: unknown) => void) {
    this.#used = used;
    this.readable = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: (reason) => {
          this.#state = "discarding";
          for (const bytes of this.#queue.splice(0)) this.#used(bytes.length);
          cancelled?.(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  push(bytes: Uint8Array): void {
    if (this.#state !== "open") return this.#used(bytes.length);
    if (!this.#wanted) {
      this.#queue.push(bytes);
      return;
    }
    this.#wanted = false;
    this.#controller.enqueue(bytes);
    this.#used(bytes.length);
  }

  end(): void {
    if (this.#state !== "open") return;
    this.#state = "ending";
    if (this.#queue.length === 0) this.#close();
  }

  /** What was not read is dropped, unless it was all there is. */
  fail(error: unknown): void {
    if (this.#state !== "open") return;
    this.#state = "closed";
    this.#queue.length = 0;
    this.#controller.error(error);
  }

  #pull(): void {
    const bytes = this.#queue.shift();
    if (bytes === undefined) {
      this.#wanted = true;
      return;
    }
    this.#controller.enqueue(bytes);
    if (this.#state === "ending" && this.#queue.length === 0) this.#close();
    this.#used(bytes.length);
  }

  #close(): void {
    this.#state = "closed";
    this.#controller.close();
  }
}

/** Pieces as one array, without a copy where there is one piece. */
export function joined(pieces: readonly Uint8Array[], length: number): Uint8Array {
  const [first] = pieces;
  if (first !== undefined && pieces.length === 1) return first;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
