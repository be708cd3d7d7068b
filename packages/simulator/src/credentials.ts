import { randomBytes } from "node:crypto";

/** Who is calling, told from the credential's value and never from the header that carried it. */
export type Credential =
  /** `id` names the key in records, and is no secret. */
  | { readonly kind: "api_key"; readonly id: string }
  | { readonly kind: "environment_key"; readonly environmentId: string }
  | { readonly kind: "sessions_token"; readonly environmentId: string; readonly workId: string; readonly sessionId: string };

/** `missing`: none was sent. `refused`: unknown or revoked. */
export type CredentialKind = Credential["kind"] | "missing" | "refused";

const prefixes: Readonly<Record<Credential["kind"], string>> = {
  api_key: "sk-ant-api03-",
  environment_key: "sk-ant-oat01-",
  sessions_token: "sk-ant-req-",
};

/** Every credential in force. Revocation bites on the next request. */
export class Credentials {
  readonly #byValue = new Map<string, Credential>();

  issue(credential: Credential): string {
    const value = prefixes[credential.kind] + randomBytes(48).toString("base64url");
    this.#byValue.set(value, credential);
    return value;
  }

  revoke(value: string): void {
    this.#byValue.delete(value);
  }

  /** Reads `authorization: Bearer`, else `x-api-key`. */
  identify(authorization: string | undefined, apiKey: string | undefined): Credential | "missing" | "refused" {
    const bearer = authorization === undefined ? undefined : /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    const value = bearer ?? apiKey;
    if (value === undefined || value === "") return authorization === undefined || authorization === "" ? "missing" : "refused";
    return this.#byValue.get(value) ?? "refused";
  }
}

const alphabet = "0123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";

/** A fresh id such as `sesn_01…`: the prefix, then 24 random characters. Treat the form as opaque. */
export function mintId(
  prefix:
    | "env"
    | "work"
    | "sesn"
    | "sevt"
    | "sthr"
    | "agent"
    | "req"
    | "hc"
    | "apikey"
    | "memstore"
    | "mem"
    | "memver"
    | "skill"
    | "skver"
    | "whe"
    | "wrkspc",
): string {
  let text = `${prefix}_01`;
  for (const byte of randomBytes(22)) text += alphabet[byte % alphabet.length];
  return text;
}
