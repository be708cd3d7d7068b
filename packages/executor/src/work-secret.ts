/** What the secret of a work item holds that a worker acts on. */
export interface WorkSecret {
  /** The item's own credential. */
  readonly token: string;
  /** Where the item's requests are wanted, or `undefined`: where it came from. Not to be followed unchecked. */
  readonly apiBaseUrl: string | undefined;
}

/** The secret, or `undefined` when there is none, it does not decode, or it holds no token. Source: reference/managed-agents-protocol.md, 3.2. */
export function decodeWorkSecret(secret: unknown): WorkSecret | undefined {
  if (typeof secret !== "string" || secret === "") return undefined;
  try {
    const payload: unknown = JSON.parse(Buffer.from(secret, "base64url").toString("utf8"));
    const { sessions_token: token, api_base_url: url }: { sessions_token?: unknown; api_base_url?: unknown } =
      typeof payload === "object" && payload !== null ? payload : {};
    if (typeof token !== "string" || token === "") return undefined;
    return { token, apiBaseUrl: typeof url === "string" && url !== "" ? url : undefined };
  } catch {
    return undefined;
  }
}
