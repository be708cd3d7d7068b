/**
 * The end of an error message: `; did you mean X?` for the nearest known name, or nothing when none is near.
 * @param spell how a known name is shown
 */
export function suggest(given: string, known: Iterable<string>, spell: (known: string) => string): string {
  let nearest: string | undefined;
  let distance = Math.max(1, Math.floor(given.length / 3)) + 1;
  for (const name of known) {
    const candidate = editDistance(given, name);
    if (candidate < distance) [nearest, distance] = [name, candidate];
  }
  nearest ??= given.length < 3 ? undefined : [...known].find((name) => name.startsWith(given));
  return nearest === undefined ? "" : `; did you mean ${spell(nearest)}?`;
}

/** Insertions, deletions, replacements and swaps of neighbours that turn one into the other. */
function editDistance(from: string, to: string): number {
  const rows = [Array.from({ length: to.length + 1 }, (_, index) => index)];
  const at = (row: number, column: number): number => rows[row]?.[column] ?? Number.POSITIVE_INFINITY;
  for (let row = 1; row <= from.length; row++) {
    const cells = [row];
    rows.push(cells);
    for (let column = 1; column <= to.length; column++) {
      const same = from[row - 1] === to[column - 1] ? 0 : 1;
      const swapped = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1] ? at(row - 2, column - 2) + 1 : Number.POSITIVE_INFINITY;
      cells.push(Math.min(at(row - 1, column) + 1, at(row, column - 1) + 1, at(row - 1, column - 1) + same, swapped));
    }
  }
  return at(from.length, to.length);
}
