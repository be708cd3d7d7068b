interface Source<Item> {
  /** The first that came already. */
  readonly past: Item | undefined;
  /** Hear of those to come. Returns how to stop. */
  readonly listen: (listener: (item: Item) => void) => () => void;
}

/** The first item, past or to come, for which `matches` is true. Rejects with the signal's reason. */
export function firstMatch<Item>({ past, listen }: Source<Item>, matches: (item: Item) => boolean, signal?: AbortSignal): Promise<Item> {
  if (past !== undefined) return Promise.resolve(past);
  const { promise, resolve, reject } = Promise.withResolvers<Item>();
  const stop = listen((item) => {
    if (matches(item)) resolve(item);
  });
  const abort = (): void => reject(signal?.reason);
  if (signal?.aborted === true) abort();
  signal?.addEventListener("abort", abort, { once: true });
  return promise.finally(() => {
    stop();
    signal?.removeEventListener("abort", abort);
  });
}
