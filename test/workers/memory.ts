import { readFileSync } from "node:fs";

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

function residentMiB(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/mu.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kibibytes) / 1024;
}
