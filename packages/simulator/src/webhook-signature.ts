import { createHmac, randomBytes } from "node:crypto";
import type { WebhookFaultKind } from "./faults.ts";

const tooOldMs = 10 * 60_000;

interface Signing {
  readonly id: string;
  readonly atMs: number;
  readonly body: string;
  /** `whsec_` and base64. */
  readonly signingKey: string;
  readonly fault: WebhookFaultKind | undefined;
}

/** The headers of Standard Webhooks; a fault makes them such that a receiver has to refuse them, or to look twice. */
export function signedHeaders({ id, atMs, body, signingKey, fault }: Signing): Readonly<Record<string, string>> {
  const seconds = Math.floor((fault === "old_timestamp" ? atMs - tooOldMs : atMs) / 1000);
  const sign = (key: Buffer): string => `v1,${createHmac("sha256", key).update(`${id}.${seconds}.${body}`).digest("base64")}`;
  const [right, wrong] = [sign(Buffer.from(signingKey.slice("whsec_".length), "base64")), sign(randomBytes(32))];
  const signature =
    fault === "wrong_key" ? wrong : fault === "several_signatures" ? `${wrong} v1a,${randomBytes(64).toString("base64")} ${right}` : right;
  return {
    "content-type": "application/json",
    ...(fault === "no_id" ? {} : { "webhook-id": id }),
    ...(fault === "no_timestamp" ? {} : { "webhook-timestamp": String(seconds) }),
    ...(fault === "no_signature" ? {} : { "webhook-signature": signature }),
  };
}
