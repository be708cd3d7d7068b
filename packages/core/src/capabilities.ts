import { SandboxError } from "./errors.ts";
import type { SandboxProvider } from "./provider.ts";
import type { SandboxSpec } from "./spec.ts";

/** Whether the provider does it itself, or Glovebox builds it from other calls. */
export type Support = "native" | "emulated";

/** One scalable resource. A `min` is rounded up and a `max` down to a multiple of `step`, so that neither promise is broken. */
export interface ResourceCapability {
  /** `fixed`: the image, template or deployment decides, a request is refused. `allocation`: what is given is both minimum and cap. */
  readonly bounds: "fixed" | "allocation" | readonly ("min" | "max")[];
  /** In the resource's own unit: cores, or bytes. */
  readonly step?: number;
  readonly smallest?: number;
  readonly largest?: number;
  /** A linear tie to another resource, such as Vercel's 2048 MiB a vCPU: `{ to: "cpu", perUnit: 2147483648 }`. */
  readonly tied?: { readonly to: "cpu"; readonly perUnit: number };
  /** What happens at the cap: throttled, or the process or the whole sandbox ends. */
  readonly exceeded?: "throttled" | "process-killed" | "sandbox-stopped" | "write-fails";
}

/** Which signals of `SandboxProcess.signal` arrive, and at whom. */
export interface SignalCapability {
  readonly support: Support;
  readonly names: "all" | readonly string[];
  readonly to: "group" | "process";
}

export interface LabelCapability {
  readonly support: Support;
  /** How many one sandbox may carry; absent where the vendor states none. */
  readonly maxCount?: number;
  readonly maxKeyBytes?: number;
  readonly maxValueBytes?: number;
  readonly mutable: boolean;
  /** How `list` filters: by all labels at the provider, by one, or all here after listing. */
  readonly query: "all" | "one" | "client-side";
  readonly consistency: "strong" | "eventual";
}

/** What survives: `disk` is files; `disk+memory` is processes and shells too. */
export type Keeps = "disk" | "disk+memory";

/**
 * What a sandbox of one spec can do. Data, known before any sandbox exists; the only reason a conformance test is left out.
 * `false` means the call or option is refused with `unsupported` before any side effect.
 */
export interface Capabilities {
  /** `any`: every image reference. `prepared`: only what was made ready at the vendor, by name or template. */
  readonly image: false | { readonly from: "any" | "prepared"; readonly templates: Support | false };
  readonly cpu: false | ResourceCapability;
  readonly memory: false | ResourceCapability;
  readonly disk: false | ResourceCapability;
  readonly gpu: false | { readonly types: "any" | readonly string[]; readonly maxCount?: number };
  /** A cap on processes and threads. */
  readonly processes: false | ResourceCapability;
  readonly env: false | Support;
  readonly labels: false | LabelCapability;
  readonly region: false | { readonly chosenBy: "sandbox" | "provider" | "deployment"; readonly names: "any" | readonly string[] };
  /** Which users programs may run as. `numeric`: any uid but 0. */
  readonly user: false | { readonly support: Support; readonly names: "any" | "numeric" | readonly string[] };

  readonly identity: {
    /** Whether `create` with a taken id fails atomically at the provider. */
    readonly unique: Support | false;
    /** `id`: the caller's id alone finds it. `ref`: the stored `SandboxRef` is needed. */
    readonly attach: "id" | "ref" | false;
    /** Whether the ref may change over the sandbox's life, say on resume. */
    readonly refChanges: boolean;
  };
  readonly list: false | { readonly support: Support; readonly scope: "process" | "host" | "account"; readonly consistency: "strong" | "eventual" };
  /** When the provider ends the sandbox by itself. */
  readonly expiry:
    | false
    | {
        readonly support: Support;
        readonly measures: readonly ("lifetime" | "idle" | "orphaned")[];
        readonly ends: "stopped" | "destroyed";
        readonly defaultMs?: number;
        readonly maxMs?: number;
        readonly stepMs: number;
        readonly extend: boolean;
      };

  readonly exec: {
    readonly streams: "separate" | "merged";
    readonly bytes: "exact" | "text";
    readonly stdin: Support | false;
    readonly signal: SignalCapability | false;
    /** Whether an end by signal is told apart from `exit 128+n`. */
    readonly exitSignal: boolean;
    readonly timeout: Support;
    /** Whether output beyond a limit is dropped inside the sandbox, or only here. */
    readonly outputLimit: Support;
    readonly maxConcurrent?: number;
  };
  /** A shell whose directory, variables, functions and jobs last from one command to the next. */
  readonly shell: false | { readonly support: Support; readonly keeps: "state" | "files" };
  readonly pty: false | { readonly support: Support; readonly resize: Support | false; readonly exitCode: boolean };
  /** Calls with a key happen at most once and can be asked for again by another worker. `survives`: what their record outlives. */
  readonly calls: false | { readonly survives: "worker" | "restart" };

  readonly files: {
    readonly support: Support;
    /** `stream`: any size. A number: the largest file in bytes. */
    readonly read: "stream" | number;
    readonly write: "stream" | number;
    readonly ranges: Support;
    readonly list: Support;
    readonly rename: Support;
    /** Whether `roots` are held against links and races, or only against what the path says. */
    readonly confined: "resolved" | "lexical" | false;
    /** `false` where only one directory tree can be reached; then its path. */
    readonly only?: string;
  };
  /** Line ranges, literal edits, glob and grep. */
  readonly text: Support;

  readonly pause: false | { readonly support: Support; readonly keeps: Keeps; readonly maxPausedMs?: number; readonly idChanges?: boolean };
  readonly suspend: false | { readonly support: Support; readonly keeps: Keeps };
  readonly snapshot:
    | false
    | { readonly support: Support; readonly of: Keeps; readonly whileRunning: boolean; readonly endsSandbox?: boolean; readonly maxAgeMs?: number };
  readonly fork: false | { readonly support: Support; readonly of: Keeps };
  readonly resize: false | { readonly support: Support; readonly what: readonly ("cpu" | "memory" | "disk")[]; readonly live: boolean };
  readonly ports: false | { readonly connect: Support | false; readonly url: "public" | "token" | false; readonly declared: boolean; readonly max?: number };
  /** `deny-all`: no network at all. Anything else a policy may say is `rules`. */
  readonly egress: {
    readonly denyAll: Support | false;
    readonly rules:
      | false
      | {
          readonly support: Support;
          readonly matches: readonly ("host" | "wildcard" | "cidr" | "port" | "method" | "path")[];
          readonly protocols: readonly ("http" | "tls" | "tcp" | "udp")[];
          readonly maxRules?: number;
          readonly live: boolean;
          readonly inject: "headers" | "placeholder" | "handler" | false;
        };
  };
  /** Pairs that exclude each other, such as a disk limit with a snapshot; asking for both is refused. */
  readonly excludes: readonly { readonly a: CapabilityName; readonly b: CapabilityName; readonly because: string }[];
}

export type CapabilityName = Exclude<keyof Capabilities, "excludes">;

/** Resolved against an engine or account by `SandboxProvider.probe`; opaque to everyone but the provider. */
export type Probe = Readonly<Record<string, string | number | boolean>>;

/**
 * Refuse now what would fail later.
 * @throws {SandboxError} `unsupported`, effect `none`, naming every missing capability
 */
export function requireCapabilities(provider: SandboxProvider, spec: SandboxSpec, names: readonly CapabilityName[]): void {
  const capabilities = provider.capabilitiesFor(spec);
  const missing = names.filter((name) => capabilities[name] === false);
  if (missing.length > 0) {
    throw new SandboxError("unsupported", `${provider.name} lacks ${missing.join(", ")} for this spec`, { effect: "none" });
  }
  const clash = capabilities.excludes.find(({ a, b }) => names.includes(a) && names.includes(b));
  if (clash !== undefined) {
    throw new SandboxError("unsupported", `${provider.name} cannot combine ${clash.a} with ${clash.b}: ${clash.because}`, { effect: "none" });
  }
}
