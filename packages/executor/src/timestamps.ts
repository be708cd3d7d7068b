/** RFC 3339 stamps of one zone, to any fraction of a second; negative when `a` is earlier, NaN when one is no stamp. */
export function compareTimestamps(a: string, b: string): number {
  const [left, right] = [instant(a), instant(b)];
  return left.secondsMs - right.secondsMs || Number(`0.${left.fraction}`) - Number(`0.${right.fraction}`);
}

function instant(stamp: string): { readonly secondsMs: number; readonly fraction: string } {
  const fraction = /\.(\d+)/u.exec(stamp)?.[1] ?? "";
  return { secondsMs: Date.parse(stamp.replace(/\.\d+/u, "")), fraction: fraction === "" ? "0" : fraction };
}
