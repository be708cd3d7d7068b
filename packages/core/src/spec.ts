import { z } from "zod";

/** A request for a resource. At least one of the two; a `min` is rounded up and a `max` down to the provider's step. */
export interface Bounds {
  /** Guaranteed to be there. */
  readonly min?: number;
  /** Never exceeded. */
  readonly max?: number;
}

/** One thing a sandbox may reach. */
export interface EgressRule {
  /** A host name, `*.example.com` for every host below it, or a CIDR block. */
  readonly to: string;
  readonly ports?: readonly number[];
  readonly methods?: readonly string[];
  readonly paths?: readonly string[];
}

/** What a sandbox may reach: nothing but what `allow` names. */
export interface EgressPolicy {
  readonly allow: readonly EgressRule[];
}

/** What to make. Everything is optional; a provider refuses (`unsupported`) what it cannot honour and never ignores it. */
export interface SandboxSpec {
  /** One image for every provider, or one a provider by its name. Default: the provider's own. */
  readonly image?: string | Readonly<Record<string, string>>;
  /** Cores; fractions where the provider has them. */
  readonly cpu?: Bounds;
  readonly memoryBytes?: Bounds;
  readonly diskBytes?: Bounds;
  readonly gpu?: { readonly type?: string; readonly count?: number };
  /** The most processes and threads at once, Glovebox's own included; at least 64. */
  readonly processes?: { readonly max: number };
  readonly env?: Readonly<Record<string, string>>;
  /** Found again by `list`. Keys beginning `glovebox.` are reserved. */
  readonly labels?: Readonly<Record<string, string>>;
  /** Absolute; made, and owned by `user`, when it is not there. Default `/workspace`. */
  readonly workdir?: string;
  /** `uid`, `uid:gid` or a name known inside. Default: the provider's agent user, uid 1000 where it can choose. */
  readonly user?: string;
  readonly region?: string;
  /** When the provider ends the sandbox by itself. Defaults hang on the provider and stand in its capabilities. */
  readonly expiry?: {
    readonly lifetimeMs?: number;
    readonly idleMs?: number;
    /** With no worker connected for this long. */
    readonly orphanedMs?: number;
  };
  /** TCP ports inside that `connect` and `url` will ask for. Needed only where `capabilities.ports.declared` says so. */
  readonly ports?: readonly number[];
  /** Default: nothing may be reached. */
  readonly egress?: EgressPolicy;
}

const bounds = (unit: z.ZodNumber): z.ZodType<Bounds> =>
  z
    .strictObject({ min: unit.exactOptional(), max: unit.exactOptional() })
    .refine(({ min, max }) => min !== undefined || max !== undefined, "give min, max or both")
    .refine(({ min, max }) => min === undefined || max === undefined || min <= max, "min is above max");

const bytes = z.number().int().positive();
const milliseconds = z.number().int().positive();
const port = z.number().int().min(1).max(65_535);
const text = z.string().min(1);
const withoutNul = z.string().refine((value) => !value.includes("\0"), "cannot hold a NUL character");

export const egressPolicySchema: z.ZodType<EgressPolicy> = z.strictObject({
  allow: z.array(
    z.strictObject({
      to: text,
      ports: z.array(port).min(1).exactOptional(),
      methods: z.array(text).min(1).exactOptional(),
      paths: z.array(z.string().startsWith("/")).min(1).exactOptional(),
    }),
  ),
});

export const sandboxSpecSchema: z.ZodType<SandboxSpec> = z.strictObject({
  image: z.union([text, z.record(text, text)]).exactOptional(),
  cpu: bounds(z.number().positive()).exactOptional(),
  memoryBytes: bounds(bytes).exactOptional(),
  diskBytes: bounds(bytes).exactOptional(),
  gpu: z.strictObject({ type: text.exactOptional(), count: z.number().int().positive().exactOptional() }).exactOptional(),
  processes: z.strictObject({ max: z.number().int().min(64) }).exactOptional(),
  env: z.record(z.string().regex(/^[^=\0]+$/u, "an environment name cannot be empty or hold = or NUL"), withoutNul).exactOptional(),
  labels: z
    .record(text, z.string())
    .refine((labels) => Object.keys(labels).every((key) => !key.startsWith("glovebox.")), "label keys glovebox.* are reserved")
    .exactOptional(),
  workdir: withoutNul.regex(/^\//u, "give an absolute path").exactOptional(),
  user: text.exactOptional(),
  region: text.exactOptional(),
  expiry: z
    .strictObject({
      lifetimeMs: milliseconds.exactOptional(),
      idleMs: milliseconds.exactOptional(),
      orphanedMs: milliseconds.exactOptional(),
    })
    .exactOptional(),
  ports: z.array(port).min(1).exactOptional(),
  egress: egressPolicySchema.exactOptional(),
});
