import { existsSync, readFileSync } from "node:fs";

/** Looks at a process's resident memory again and again until it is disposed. Linux. */
export class MemoryWatch implements Disposable {
  readonly startMiB: number;
  peakMiB: number;
  readonly #timer: ReturnType<typeof setInterval>;

  constructor(pid: number) {
    this.startMiB = residentMiB(pid);
    this.peakMiB = this.startMiB;
    this.#timer = setInterval(() => (this.peakMiB = Math.max(this.peakMiB, residentMiB(pid))), 20);
  }

  get growthMiB(): number {
    return this.peakMiB - this.startMiB;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** 0 when it has ended. */
function residentMiB(pid: number): number {
  const path = `/proc/${pid}/status`;
  const status = existsSync(path) ? readFileSync(path, "utf8") : "";
  return Number(/^VmRSS:\s+(\d+) kB$/mu.exec(status)?.[1] ?? 0) / 1024;
}
