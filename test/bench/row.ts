/** One line of a benchmark: ours beside what a user would pick instead, measured in the same run. */
export interface Row {
  readonly measure: string;
  /** What `ours` and `theirs` are in, such as `ms p50`. */
  readonly unit: string;
  readonly ours: number;
  readonly theirs?: number;
  /** What theirs is. */
  readonly against?: string;
  /** The bound that the project set itself for `ratio`, as text. */
  readonly aim?: string;
  /** How `ratio` reads: `theirs / ours` (times faster) or `ours / theirs`. */
  readonly ratioOf?: "theirs/ours" | "ours/theirs";
  readonly note?: string;
}

export function percentile(values: readonly number[], fraction: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? Number.NaN;
}

export const median = (values: readonly number[]): number => percentile(values, 0.5);
