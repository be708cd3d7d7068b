import { randomBytes } from "node:crypto";
import type { Clock } from "./clock.ts";

/** Who is calling, told from the credential's value and never from the header that carried it. */
export type Credential =
  /** `id` names the key in records, and is no secret. */
  | { readonly kind: "api_key"; readonly id: string }
  | { readonly kind: "environment_key"; readonly environmentId: string }
  | {
      readonly kind: "sessions_token";
      readonly environmentId: string;
      readonly workId: string;
      readonly sessionId: string;
      /** Which delivery of the item it came with, from 1. */
      readonly delivery: number;
    };

export type SecretKind = Credential["kind"] | "work_secret" | "webhook_signing_key";

/** `missing`: none was sent. `revoked`: it was in force once. `refused`: it never was. */
export type NoCredential = "missing" | "revoked" | "refused";

export type CredentialKind = Credential["kind"] | NoCredential;

const prefixes: Readonly<Record<Credential["kind"], string>> = {
  api_key: "sk-ant-api03-",
  environment_key: "sk-ant-oat01-",
  sessions_token: "sk-ant-req-",
};

/** Every credential in force. Revocation bites on the next request. */
export class Credentials {
  readonly #clock: Clock;
  /** Secrets of every kind, those that are not in force any more included. */
  readonly #everIssued = new Map<string, SecretKind>();
  readonly #byValue = new Map<string, { readonly credential: Credential; readonly expiresAtMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** @param lifetimeMs default: for good */
  issue(credential: Credential, lifetimeMs: number = Infinity): string {
    const value = prefixes[credential.kind] + randomBytes(48).toString("base64url");
    this.#byValue.set(value, { credential, expiresAtMs: this.#clock.now() + lifetimeMs });
    this.remember(value, credential.kind);
    return value;
  }

  /** Something else that must not be told to anybody. */
  remember(secret: string, kind: SecretKind): void {
    this.#everIssued.set(secret, kind);
  }

  /** Kinds of secrets that stand in a text. */
  kindsIn(text: string): readonly SecretKind[] {
    const found = [...this.#everIssued].filter(([secret]) => text.includes(secret)).map(([, kind]) => kind);
    return [...new Set(found)];
  }

  /** The tokens of a work item that are in force, oldest first. */
  tokensOf(workId: string): readonly string[] {
    return [...this.#byValue].flatMap(([value, { credential }]) =>
      credential.kind === "sessions_token" && credential.workId === workId ? [value] : [],
    );
  }

  revoke(value: string): void {
    this.#byValue.delete(value);
  }

  /** Reads `authorization: Bearer`, else `x-api-key`. */
  identify(authorization: string | undefined, apiKey: string | undefined): Credential | NoCredential {
    const bearer = authorization === undefined ? undefined : /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    const value = bearer ?? apiKey;
    if (value === undefined || value === "") return authorization === undefined || authorization === "" ? "missing" : "refused";
    const issued = this.#byValue.get(value);
    if (issued !== undefined && this.#clock.now() < issued.expiresAtMs) return issued.credential;
    return this.#everIssued.has(value) ? "revoked" : "refused";
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
    | "wrkspc"
    | "sesrsc",
): string {
  let text = `${prefix}_01`;
  for (const byte of randomBytes(22)) text += alphabet[byte % alphabet.length];
  return text;
}
