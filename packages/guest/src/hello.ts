import type { AttachMode } from "@glovebox/core";
import { booleanMember, integerMember, type JsonObject, arrayMember, objectMember, textMember, textOf, wordMember } from "./json.ts";

export const PROTOCOL_VERSION = 1;

/** The client's first frame. */
export interface ClientHello {
  /** `resume`: a connection of the same worker before this one was lost. */
  readonly mode: AttachMode | "resume";
  /** With `resume`: that connection's. */
  readonly generation?: number;
  readonly secret?: string;
}

/** The guest's answer. Text in it was chosen inside the sandbox. */
export interface GuestHello {
  /** New each time the daemon starts: shells and programs of another boot are gone. */
  readonly boot: string;
  readonly generation: number;
  /** Another worker took over; keyed calls will be refused. */
  readonly fenced: boolean;
  readonly arch: "amd64" | "arm64";
  readonly version: string;
  readonly user: { readonly uid: number; readonly gid: number; readonly home: string };
  readonly features: readonly string[];
}

const MAX_ID = 4_294_967_295;
const architectures: ReadonlySet<GuestHello["arch"]> = new Set(["amd64", "arm64"]);

/** @throws {SandboxError} reason `protocol_violation` */
export function parseHello(hello: JsonObject): GuestHello {
  integerMember(hello, "protocol", PROTOCOL_VERSION, PROTOCOL_VERSION);
  const user = objectMember(hello, "user");
  return {
    boot: textMember(hello, "boot", 128),
    generation: integerMember(hello, "generation", 0, Number.MAX_SAFE_INTEGER),
    fenced: booleanMember(hello, "fenced"),
    arch: wordMember(hello, "arch", architectures),
    version: textMember(hello, "version", 128),
    user: { uid: integerMember(user, "uid", 0, MAX_ID), gid: integerMember(user, "gid", 0, MAX_ID), home: textMember(user, "home", 4_096) },
    features: arrayMember(hello, "features", 256).map((feature) => textOf(feature, "features", 128)),
  };
}
