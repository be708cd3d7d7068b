/**
 * Wait for `pending` or the abort, whichever is first. A value that arrives after the abort goes to `discard`.
 * @param report told what `discard` threw, since nobody waits for it
 * @throws the abort reason as it is, or what `pending` was rejected with
 */
export async function settleOrDiscard<T>(
  pending: Promise<T>,
  signal: AbortSignal,
  discard: (late: T) => Promise<void>,
  report: (error: unknown) => void,
): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([pending, aborted]);
  } catch (error) {
    pending.then(discard, () => undefined).catch(report); // a late rejection left nothing to discard
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
