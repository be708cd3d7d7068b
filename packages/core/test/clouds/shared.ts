export const KiB = 1_024;
export const MiB = 1_024 * KiB;
export const GiB = 1_024 * MiB;
export const GB = 1_000_000_000;
export const second = 1_000;
export const minute = 60 * second;
export const hour = 60 * minute;
export const day = 24 * hour;

/** Even numbers up to `most`, and 1. */
export const oneOrEven = (most: number): readonly number[] => [1, ...Array.from({ length: most / 2 }, (_, index) => (index + 1) * 2)];
