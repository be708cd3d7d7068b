import { type SandboxProvider, type SandboxSpec, sandboxSpecSchema } from "@glovebox/core";
import type { CustomTool, Observer, SetUp, WorkerOptions } from "@glovebox/executor";
import { z } from "zod";
import { type ProviderName, providerNames } from "./providers.ts";
import { suggest } from "./suggest.ts";

/** The options of a worker that a file may set; see {@link WorkerOptions} for what each means. */
type WorkerSettings = Partial<
  Pick<
    WorkerOptions,
    | "environmentId"
    | "baseUrl"
    | "allowedBaseUrls"
    | "requests"
    | "drain"
    | "leaseTtlMs"
    | "reclaimOlderThanMs"
    | "workerId"
    | "maxSessions"
    | "timeouts"
    | "startTimeoutMs"
    | "maxIdleMs"
    | "maxHeldMs"
    | "afterItem"
    | "keepMs"
    | "atShutdown"
    | "sweepMs"
    | "drainMs"
  >
>;

/**
 * What `glovebox worker` reads from `glovebox.config.ts` or `glovebox.config.yaml`. Everything is optional; flags and environment variables come first.
 * Durations are whole milliseconds. The environment's key has no place here: it comes from `ANTHROPIC_ENVIRONMENT_KEY`.
 */
export interface WorkerConfig extends WorkerSettings {
  /** Where sessions run. From TypeScript also a provider of your own. Default `docker`. */
  readonly provider?: ProviderName | SandboxProvider;
  /** What every session's sandbox is made of. Default: the provider's own image and sizes. */
  readonly sandbox?: SandboxSpec;
  /**
   * File with the key that all workers of this environment share: 32 bytes that nobody else may read, made when it is not there. Default:
   * `GLOVEBOX_OWNER_KEY`, else this user's own file.
   */
  readonly ownerKeyFile?: string;
  /** From TypeScript only: served beside the agent toolset. */
  readonly tools?: readonly CustomTool[];
  /** From TypeScript only: puts into each session's sandbox what the session's metadata asks for. */
  readonly setUp?: SetUp;
  /** From TypeScript only: told of everything that happens, after the log. Session content is in it, credentials are not. */
  readonly observer?: Observer;
}

/** Types the default export of `glovebox.config.ts`. */
export function defineConfig(config: WorkerConfig): WorkerConfig {
  return config;
}

const milliseconds = z.number().int().min(0, "expected 0 or more milliseconds").max(2_000_000_000, "expected at most 2,000,000,000 milliseconds");

const httpUrl = z.url({ protocol: /^https?$/u, error: "expected an http or https URL" });

const isProvider = (value: unknown): value is ProviderName | SandboxProvider =>
  typeof value === "object" && value !== null ? "create" in value && "attach" in value : providerNames.some((name) => name === value);

function providerProblem(input: unknown): string {
  const given =
    typeof input === "string"
      ? `, not ${JSON.stringify(input)}${suggest(input, providerNames, (known) => known)}`
      : ", or (TypeScript only) a provider";
  return `expected one of ${providerNames.join(", ")}${given}`;
}

const isTool = (value: unknown): value is CustomTool =>
  typeof value === "object" && value !== null && "name" in value && "inputSchema" in value && "run" in value;

/** What a configuration file may hold. */
export const workerConfigSchema: z.ZodType<WorkerConfig> = z.strictObject({
  environmentId: z.string().min(1, "expected the environment's id").exactOptional(),
  environmentKey: z.never({ error: "a key does not belong into a file; set ANTHROPIC_ENVIRONMENT_KEY instead" }).exactOptional(),
  baseUrl: httpUrl.exactOptional(),
  allowedBaseUrls: z.array(httpUrl).exactOptional(),
  requests: z
    .strictObject({
      readsPerMinute: z.number().int().min(10, "expected 10 or more").exactOptional(),
      pollsPerMinute: z.number().min(1, "expected 1 or more").exactOptional(),
    })
    .exactOptional(),
  drain: z.boolean().exactOptional(),
  leaseTtlMs: milliseconds.min(1_000, "expected 1,000 or more milliseconds").exactOptional(),
  reclaimOlderThanMs: milliseconds.exactOptional(),
  workerId: z.string().min(1, "expected a name").exactOptional(),
  provider: z.custom<ProviderName | SandboxProvider>(isProvider, { error: ({ input }) => providerProblem(input) }).exactOptional(),
  sandbox: sandboxSpecSchema.exactOptional(),
  maxSessions: z.number().int().min(1, "expected 1 or more").exactOptional(),
  timeouts: z
    .strictObject({
      defaultMs: milliseconds.min(1, "expected 1 or more milliseconds").exactOptional(),
      byTool: z.record(z.string(), milliseconds.min(1, "expected 1 or more milliseconds")).exactOptional(),
    })
    .exactOptional(),
  startTimeoutMs: milliseconds.min(1, "expected 1 or more milliseconds").exactOptional(),
  maxIdleMs: milliseconds.exactOptional(),
  maxHeldMs: milliseconds.exactOptional(),
  afterItem: z.enum(["keep", "destroy"]).exactOptional(),
  keepMs: milliseconds.exactOptional(),
  atShutdown: z.enum(["keep", "destroy"]).exactOptional(),
  sweepMs: milliseconds.exactOptional(),
  drainMs: milliseconds.exactOptional(),
  ownerKeyFile: z.string().min(1, "expected a path").exactOptional(),
  tools: z.array(z.custom<CustomTool>(isTool, "expected a tool with name, inputSchema and run (TypeScript only)")).exactOptional(),
  setUp: z.custom<SetUp>((value) => typeof value === "function", "expected a function (TypeScript only)").exactOptional(),
  observer: z.custom<Observer>((value) => typeof value === "function", "expected a function (TypeScript only)").exactOptional(),
});
