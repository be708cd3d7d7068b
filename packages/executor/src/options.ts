import { SandboxError } from "@glovebox/core";
import type { SandboxProvider, SandboxSpec } from "@glovebox/core";
import { z } from "zod";
import type { SetUp } from "./staging.ts";
import type { CustomTool } from "./tools/custom.ts";
import type { Observer } from "./events.ts";
import type { Journal } from "./journal.ts";

export interface WorkerOptions {
  readonly environmentId: string;
  /** The environment's key, `sk-ant-oat01-…`. Stays in this process. */
  readonly environmentKey: string;
  /** Makes the sandboxes, one a session. */
  readonly provider: SandboxProvider;
  /** What every sandbox is made of. Default: the provider's own choice. */
  readonly spec?: SandboxSpec;
  /** At least 32 bytes that all workers of this environment share: who holds them may attach to its sandboxes. */
  readonly ownerKey: Uint8Array;
  /** Of the control plane. Default `https://api.anthropic.com`. The environment is not read. */
  readonly baseUrl?: string;
  /** Where else a work item's secret may send that item's requests, with the item's own token. Default: nowhere else. */
  readonly allowedBaseUrls?: readonly string[];
  readonly requests?: {
    /** This process's share of what its organisation may read in a minute, event streams and polls included. Default 1,200, which is all of it. */
    readonly readsPerMinute?: number;
    /**
     * Polls of all workers of this environment together, in a minute. A 60th of it can poll all the time; more workers share it. Default 600. Give less where
     * an organisation has many environments.
     */
    readonly pollsPerMinute?: number;
  };
  /** Tells workers apart in the queue's statistics. Default: random. */
  readonly workerId?: string;
  /** End when the queue is empty and everything that was claimed is done, instead of waiting for more. Default false. */
  readonly drain?: boolean;
  /** Sessions served at once; with so many, nothing more is claimed. Default 100. */
  readonly maxSessions?: number;
  /** Beside the agent toolset, which is always served. */
  readonly tools?: readonly CustomTool[];
  readonly timeouts?: {
    /** How long a tool call may take, in ms. Default 600,000. What a `bash` call asks for is bounded by it. */
    readonly defaultMs?: number;
    /** The same for single tools, by name. */
    readonly byTool?: Readonly<Record<string, number>>;
  };
  /** How long a work item stays this worker's without a heartbeat, in ms, where the control plane grants it. Default: its own choice. */
  readonly leaseTtlMs?: number;
  /**
   * An item that a worker was given and did not acknowledge is given to the next one that polls after so long, in ms. Default: the control plane's own choice,
   * which is 5,000.
   */
  readonly reclaimOlderThanMs?: number;
  /** How long the making of a session's sandbox may take, in ms. Default 600,000. Then its pending calls are answered with an error result. */
  readonly startTimeoutMs?: number;
  /** An item whose turn is over is let go after so long without an event, in ms. 0: never. Default 60,000. */
  readonly maxIdleMs?: number;
  /**
   * An item in which nothing runs and nothing arrives is let go after so long, in ms: its call waits for a confirmation or for another
   * client. The session then needs a new message or an interrupt to be served again. 0: never. Default 1,800,000.
   */
  readonly maxHeldMs?: number;
  /**
   * Puts into a session's sandbox what the application wants there, files or repositories that the session's metadata names, say: after its skills and before
   * its first call, with `startTimeoutMs` for both. It may be called again for the same sandbox. What it throws is answered to the pending calls, and the next
   * one tries again.
   */
  readonly setUp?: SetUp;
  /**
   * What becomes of the sandbox when the session's item ends. `keep`, the default: it is there with its files when the session wakes
   * again, also for another worker of the environment. It is destroyed when the session has ended, or was silent for `keepMs`.
   */
  readonly afterItem?: "keep" | "destroy";
  /** See `afterItem`, in ms. Default 86,400,000. */
  readonly keepMs?: number;
  /** What becomes of kept sandboxes when the worker ends: `keep`, the default, where they can outlive this process. */
  readonly atShutdown?: "keep" | "destroy";
  /**
   * How often the worker looks for what others left, in ms: sandboxes whose session is over, and items that a worker acknowledged and died over, which
   * the queue gives to nobody again. Also when it starts. 0: never. Default 600,000.
   */
  readonly sweepMs?: number;
  /** What a graceful stop gives running calls before it cancels them, in ms. Default 10,000. */
  readonly drainMs?: number;
  /** Default: in memory. */
  readonly journal?: Journal;
  readonly observer?: Observer;
  /** For tests and transports of your own. Default: one that keeps connections and goes through `HTTPS_PROXY` where that is set. */
  readonly fetch?: typeof fetch;
}

/** {@link WorkerOptions}, checked, with every default. */
export type ResolvedOptions = Required<
  Pick<
    WorkerOptions,
    | "environmentId"
    | "environmentKey"
    | "baseUrl"
    | "allowedBaseUrls"
    | "drain"
    | "maxSessions"
    | "startTimeoutMs"
    | "maxIdleMs"
    | "maxHeldMs"
    | "afterItem"
    | "keepMs"
    | "atShutdown"
    | "sweepMs"
    | "drainMs"
  >
> & {
  readonly leaseTtlMs: number | undefined;
  readonly reclaimOlderThanMs: number | undefined;
  readonly requests: Required<NonNullable<WorkerOptions["requests"]>>;
  readonly timeoutMs: (tool: string) => number;
};

/** The longest that the portable `Sandbox` takes. */
const longestMs = 2_000_000_000;

const milliseconds = (fallback: number) => z.number().int().min(0).max(longestMs, "at most 2,000,000,000").default(fallback);

const httpUrl = z.url({ protocol: /^https?$/u, error: "give an http or https URL" });

const schema = z.object({
  environmentId: z.string().regex(/^[\w-]{1,200}$/u, "give the environment's id, such as env_011CZ…"),
  environmentKey: z
    .string()
    .min(1, "give the environment's key")
    .regex(/^[\x21-\x7e]*$/u, "the key holds a space, a line end or another character that no key has"),
  baseUrl: httpUrl.default("https://api.anthropic.com"),
  allowedBaseUrls: z.array(httpUrl).default([]),
  requests: z.object({ readsPerMinute: z.number().int().min(10).default(1_200), pollsPerMinute: z.number().min(1).default(600) }).prefault({}),
  drain: z.boolean().default(false),
  leaseTtlMs: z.number().int().min(1_000).max(longestMs).optional(),
  reclaimOlderThanMs: z.number().int().min(0).max(longestMs).optional(),
  maxSessions: z.number().int().min(1).default(100),
  timeouts: z
    .object({
      defaultMs: milliseconds(600_000).pipe(z.number().min(1)),
      byTool: z.record(z.string(), z.number().int().min(1).max(longestMs)).default({}),
    })
    .prefault({}),
  startTimeoutMs: milliseconds(600_000).pipe(z.number().min(1)),
  maxIdleMs: milliseconds(60_000),
  maxHeldMs: milliseconds(1_800_000),
  afterItem: z.enum(["keep", "destroy"]).default("keep"),
  keepMs: z.number().min(0).default(86_400_000),
  atShutdown: z.enum(["keep", "destroy"]).default("keep"),
  sweepMs: milliseconds(600_000),
  drainMs: milliseconds(10_000),
});

/** @throws {SandboxError} `invalid_argument`, naming the option; never with its value */
export function resolveOptions(options: WorkerOptions): ResolvedOptions {
  const { success, data, error } = schema.safeParse(options);
  if (!success) {
    const said = error.issues.map((issue) => `${issue.path.join(".")}: ${issue.message}`).join("; ");
    throw new SandboxError("invalid_argument", `worker options: ${said}`, { effect: "none" });
  }
  if (options.ownerKey.byteLength < 32) {
    throw new SandboxError("invalid_argument", "worker options: ownerKey: give at least 32 bytes", { effect: "none" });
  }
  const { timeouts, leaseTtlMs, reclaimOlderThanMs, ...resolved } = data;
  const byTool = new Map(Object.entries(timeouts.byTool));
  return { ...resolved, leaseTtlMs, reclaimOlderThanMs, timeoutMs: (tool) => byTool.get(tool) ?? timeouts.defaultMs };
}
