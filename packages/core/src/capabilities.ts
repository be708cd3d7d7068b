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
  /** The only values there are, ascending, in place of `step`, `smallest` and `largest`. */
  readonly values?: readonly number[];
  /** Not chosen but given: so much for each core, such as Vercel's 2048 MiB a vCPU. Cores are added until a `min` is met. */
  readonly perCore?: number;
  /** What happens at the cap: throttled, or the process or the whole sandbox ends. */
  readonly exceeded?: "throttled" | "process-killed" | "sandbox-stopped" | "write-fails";
}

/** One size among those that can be had; a spec gets the first that meets all its bounds. */
export interface SandboxSize {
  readonly name: string;
  readonly cpu: number;
  readonly memoryBytes: number;
  readonly diskBytes: number;
}

/** One way in which a provider ends a sandbox by itself. A time is rounded up to a multiple of `stepMs`: never earlier than asked. */
export interface ExpiryCapability {
  readonly support: Support;
  readonly ends: "stopped" | "destroyed";
  /** When the spec says nothing. Absent: then it never ends so. */
  readonly defaultMs?: number;
  readonly maxMs?: number;
  readonly stepMs: number;
  /** Whether `extend` moves it. */
  readonly extend: boolean;
}

/** What an egress rule for some kinds of target can say there. */
export interface EgressTargetCapability {
  readonly kinds: readonly ("host" | "wildcard" | "cidr")[];
  /** What is let through; everything else to that target stays blocked. */
  readonly protocols: readonly ("http" | "tls" | "tcp" | "udp")[];
  /** `chosen`: a rule may name any. `all`: a rule opens every port, naming some is refused. A list: the only ones there are. */
  readonly ports: "chosen" | "all" | readonly number[];
  readonly narrowedBy: readonly ("method" | "path")[];
  readonly ipv6?: boolean;
  /** Rules of these kinds together. */
  readonly maxCount?: number;
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
  readonly image:
    | false
    | {
        readonly from: "any" | "prepared";
        readonly templates: Support | false;
        /** Tags that are refused, `""` among them where a tag or digest must be given. */
        readonly refusedTags?: readonly string[];
      };
  readonly cpu: false | ResourceCapability;
  readonly memory: false | ResourceCapability;
  readonly disk: false | ResourceCapability;
  /** Present where cpu, memory and disk come only together. Bounds are met by a whole size, and the three above say what a cap does. */
  readonly sizes?: readonly SandboxSize[];
  readonly gpu: false | { readonly types: "any" | readonly string[]; readonly maxCount?: number };
  /** A cap on processes and threads. */
  readonly processes: false | ResourceCapability;
  readonly env:
    | false
    | { readonly support: Support; /** `identifier`: letters, digits and `_`, no digit first. */ readonly names: "any" | "identifier" };
  readonly labels: false | LabelCapability;
  /** `strict: false`: a wish that the vendor may pass over, so a spec that names a region is refused. */
  readonly region:
    | false
    | { readonly chosenBy: "sandbox" | "provider" | "deployment"; readonly names: "any" | readonly string[]; readonly strict: boolean };
  /** Which users a whole sandbox may run as (`SandboxSpec.user`); `exec.user` is about one call. `numeric`: any uid but 0. */
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
        readonly lifetime: false | ExpiryCapability;
        readonly idle: false | ExpiryCapability;
        readonly orphaned: false | ExpiryCapability;
      };

  readonly exec: {
    readonly streams: "separate" | "merged";
    readonly bytes: "exact" | "text";
    readonly stdin: Support | false;
    /** Present and `false` where all input must be there before the program starts. */
    readonly stdinWhileRunning?: false;
    /** Whether one call may name another user than the sandbox's. */
    readonly user: Support | false;
    readonly signal: SignalCapability | false;
    /** Whether an end by signal is told apart from `exit 128+n`. */
    readonly exitSignal: boolean;
    readonly timeout: Support;
    /** Whether output beyond a limit is dropped inside the sandbox, or only here. */
    readonly outputLimit: Support;
    readonly maxConcurrent?: number;
    /** Of all arguments together, in bytes. */
    readonly maxArgvBytes?: number;
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
    /** Telling of a link itself (`follow: false`), its target, and making one. */
    readonly symlinks: Support | false;
    /** Whether `roots` are held against links and races, or only against what the path says. */
    readonly confined: "resolved" | "lexical" | false;
    /** Where only one directory tree can be reached, by files and as work directory: its path. */
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
  readonly resize:
    | false
    | { readonly support: Support; readonly cpu: ResizeCapability; readonly memory: ResizeCapability; readonly disk: ResizeCapability };
  /** `declared`: only ports that the spec names. `protocols` of `connect` and `url` together; `tcp` is any bytes. */
  readonly ports:
    | false
    | {
        readonly connect: Support | false;
        readonly url: "public" | "token" | false;
        readonly protocols: readonly ("http" | "tls" | "tcp")[];
        readonly declared: boolean;
        readonly maxCount?: number;
      };
  /** `deny-all`: no network at all. Anything else a policy may say is `rules`. */
  readonly egress: {
    readonly denyAll: Support | false;
    readonly rules:
      | false
      | {
          readonly support: Support;
          readonly targets: readonly EgressTargetCapability[];
          readonly live: boolean;
          readonly inject: "headers" | "placeholder" | "handler" | false;
          /** What stays reachable whatever the rules say. Empty: nothing. */
          readonly leaks: readonly ("dns" | "vendor-services")[];
        };
  };
  /** Pairs that exclude each other, such as a disk limit with a snapshot; asking for both is refused. */
  readonly excludes: readonly { readonly a: CapabilityName; readonly b: CapabilityName; readonly because: string }[];
}

/** `shrinks: false`: only upwards. `live: false`: only while stopped. */
export type ResizeCapability = false | { readonly live: boolean; readonly shrinks: boolean };

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
