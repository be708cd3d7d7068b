import { ApiFailure } from "./failure.ts";

/** Where an item stands in its list: unique, and never changed by what comes or goes beside it. */
type Key = number | string;

interface Cursor {
  readonly side: "after" | "before";
  readonly key: Key;
}

export interface Page<Item> {
  readonly data: readonly Item[];
  /** `null` on the last page. */
  readonly next: string | null;
  /** `null` on the first page. */
  readonly previous: string | null;
}

export interface PageOptions<Item> {
  /** Default: the position, for lists that only grow at their end. */
  readonly keyOf?: (item: Item, position: number) => Key;
  /** Default false: in the order in which `items` come. */
  readonly descending?: boolean;
  /** Default 1000. A wish beyond `most` gets `most`. */
  readonly most?: number;
  /** Default 100, or `most` where that is less. */
  readonly usual?: number;
}

/**
 * One page of a list, as `limit` and `page` ask for it. A page that was cut does not shift when items come or go meanwhile.
 * @param items ascending by key
 * @throws {ApiFailure} 400: limit or page is none
 */
export function pageOf<Item>(items: readonly Item[], query: URLSearchParams, options: PageOptions<Item> = {}): Page<Item> {
  const { keyOf = (_item: Item, position: number): Key => position, descending = false, most = 1000, usual = 100 } = options;
  const limit = Math.min(integer(query, "limit", { min: 1, max: 1000 }) ?? usual, most);
  const keyed = items.map((item, position) => ({ item, key: keyOf(item, position) }));
  if (descending) keyed.reverse();
  const [from, until] = range(
    keyed.map(({ key }) => key),
    readCursor(query),
    { limit, descending },
  );
  const page = keyed.slice(from, until);
  const [first, last] = [page[0], page.at(-1)];
  return {
    data: page.map(({ item }) => item),
    next: last !== undefined && until < keyed.length ? encodeCursor({ side: "after", key: last.key }) : null,
    previous: first !== undefined && from > 0 ? encodeCursor({ side: "before", key: first.key }) : null,
  };
}

/** @param keys in the order of the list */
function range(
  keys: readonly Key[],
  cursor: Cursor | null,
  { limit, descending }: { readonly limit: number; readonly descending: boolean },
): readonly [from: number, until: number] {
  if (cursor === null) return [0, limit];
  const firstWhere = (matches: (key: Key) => boolean): number => {
    const position = keys.findIndex(matches);
    return position === -1 ? keys.length : position;
  };
  const isPast = (key: Key): boolean => (descending ? key < cursor.key : key > cursor.key);
  if (cursor.side === "after") {
    const from = firstWhere(isPast);
    return [from, from + limit];
  }
  const until = firstWhere((key) => key === cursor.key || isPast(key));
  return [Math.max(0, until - limit), until];
}

/** A cursor is opaque to clients. */
export function encodeCursor({ side, key }: Cursor): string {
  return Buffer.from(JSON.stringify([side, key])).toString("base64url");
}

/** @throws {ApiFailure} 400 */
export function readCursor(query: URLSearchParams): Cursor | null {
  const page = query.get("page");
  if (page === null || page === "") return null;
  try {
    const [side, key] = JSON.parse(Buffer.from(page, "base64url").toString("utf8")) as readonly unknown[];
    if ((side === "after" || side === "before") && (typeof key === "string" || typeof key === "number")) return { side, key };
  } catch {
    // what is no cursor at all is refused as one of another list is
  }
  throw new ApiFailure(400, "page: is not a cursor of this list.");
}

/** A whole number from the query. @throws {ApiFailure} 400: not one, or out of bounds */
export function integer(query: URLSearchParams, name: string, bounds: { readonly min: number; readonly max: number }): number | null {
  const text = query.get(name);
  if (text === null) return null;
  const value = Number(text);
  if (text.trim() === "" || !Number.isInteger(value) || value < bounds.min || value > bounds.max) {
    throw new ApiFailure(400, `${name}: must be a whole number from ${bounds.min} to ${bounds.max}.`);
  }
  return value;
}
