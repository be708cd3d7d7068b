import { ApiFailure } from "./failure.ts";

/** Merge as the API does: `null` deletes. @throws {ApiFailure} 400 `invalid_metadata`: too many, too long */
export function mergeMetadata(current: Readonly<Record<string, string>>, changes: Readonly<Record<string, string | null>>): Record<string, string> {
  const merged = new Map(Object.entries(current));
  for (const [key, value] of Object.entries(changes)) {
    if (value === null) merged.delete(key);
    else merged.set(key, value);
  }
  const wrong = merged.size > 16 || [...merged].some(([key, value]) => key.length === 0 || key.length > 64 || value.length > 512);
  if (wrong) {
    throw new ApiFailure(400, "metadata: at most 16 pairs, keys of 1 to 64 and values of 512 characters.", {
      details: { error_code: "invalid_metadata" },
    });
  }
  return Object.fromEntries(merged);
}
