import type { Capabilities, CapabilityName, ExpiryCapability, ResourceCapability, SandboxSize } from "./capabilities.ts";
import { invalid, unsupported } from "./checks.ts";
import type { CreateRequest, SandboxProvider } from "./provider.ts";
import { checkEgress } from "./spec-check-egress.ts";
import { type Bounds, type SandboxSpec, sandboxSpecSchema } from "./spec.ts";

/** Where a sandbox works when its spec does not say. */
export const defaultWorkdir = "/workspace";

type Refuse = (message: string) => never;

/**
 * A spec as the provider will get it: valid, honoured in every field, bounds rounded to what the provider has (a `min` up, a `max` down),
 * the image chosen, the work directory filled in. Pure.
 * @throws {SandboxError} `invalid_argument` with the path of the wrong value; `unsupported` naming provider and capability. Effect `none`
 */
export function checkSpec(provider: SandboxProvider, spec: SandboxSpec): CreateRequest["spec"] {
  const parsed = sandboxSpecSchema.safeParse(spec);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    invalid(`spec.${issue?.path.join(".") ?? ""}: ${issue?.message ?? "is wrong"}`);
  }
  const given = parsed.data;
  const capabilities = provider.capabilitiesFor(given);
  const refuse: Refuse = (message) => unsupported(provider.name, message);
  const { image, cpu: _cpu, memoryBytes: _memory, diskBytes: _disk, processes, expiry, ...rest } = given;
  const workdir = given.workdir ?? defaultWorkdir;
  const { only } = capabilities.files;
  if (only !== undefined && workdir !== only && !workdir.startsWith(`${only}/`))
    refuse(`reaches only ${only} (capability files.only), not ${workdir}`);
  checkNames(given, capabilities, refuse);
  checkPorts(given, capabilities, refuse);
  checkEgress(given.egress, capabilities.egress, refuse);
  checkClashes(given, capabilities, refuse);
  return {
    ...rest,
    workdir,
    ...(image === undefined ? {} : { image: chooseImage(provider.name, image, capabilities, refuse) }),
    ...resolveResources(given, capabilities, refuse),
    ...(processes === undefined ? {} : { processes: { max: resolveProcesses(processes.max, capabilities, refuse) } }),
    ...(expiry === undefined ? {} : { expiry: resolveExpiry(expiry, capabilities, refuse) }),
  };
}

function chooseImage(provider: string, image: NonNullable<SandboxSpec["image"]>, capabilities: Capabilities, refuse: Refuse): string {
  if (capabilities.image === false) refuse("cannot choose an image (capability image)");
  const name = typeof image === "string" ? image : Object.hasOwn(image, provider) ? image[provider] : undefined;
  if (name === undefined) refuse(`finds no image of its own in spec.image, which has ${Object.keys(image).join(", ")}`);
  const last = name.slice(name.lastIndexOf("/") + 1);
  const tag = last.includes("@") ? undefined : last.slice(last.includes(":") ? last.indexOf(":") + 1 : last.length);
  if (tag !== undefined && capabilities.image.refusedTags?.includes(tag) === true) {
    refuse(`refuses image ${name} ${tag === "" ? "without a tag" : `with tag ${tag}`} (capability image.refusedTags); name a version or digest`);
  }
  return name;
}

function checkNames(spec: SandboxSpec, { gpu, env, labels, region, user }: Capabilities, refuse: Refuse): void {
  if (spec.gpu !== undefined) {
    if (gpu === false) refuse("has no GPUs (capability gpu)");
    const { type, count = 1 } = spec.gpu;
    if (type !== undefined && gpu.types !== "any" && !gpu.types.includes(type))
      refuse(`has no GPU ${type}, but ${gpu.types.join(", ")} (capability gpu)`);
    if (gpu.maxCount !== undefined && count > gpu.maxCount) refuse(`gives ${gpu.maxCount} GPUs at most, not ${count} (capability gpu)`);
  }
  if (spec.env !== undefined) {
    if (env === false) refuse("sets no environment (capability env)");
    const wrong = env.names === "any" ? undefined : Object.keys(spec.env).find((name) => !/^[A-Za-z_][A-Za-z0-9_]*$/u.test(name));
    if (wrong !== undefined) refuse(`takes identifiers as environment names (capability env), not ${JSON.stringify(wrong)}`);
  }
  if (spec.labels !== undefined) {
    if (labels === false) refuse("keeps no labels (capability labels)");
    checkLabels(spec.labels, labels, refuse);
  }
  if (spec.region !== undefined) {
    if (region === false) refuse("has no choice of region (capability region)");
    if (!region.strict) refuse("takes a region for a wish only (capability region.strict); leave it out");
    if (region.names !== "any" && !region.names.includes(spec.region)) refuse(`has no region ${spec.region}, but ${region.names.join(", ")}`);
  }
  if (spec.user !== undefined) {
    if (user === false) refuse("cannot choose the user (capability user)");
    if (user.names === "numeric" && !/^[1-9]\d*(:\d+)?$/u.test(spec.user))
      refuse(`takes a uid other than 0 as user (capability user), not ${spec.user}`);
    if (Array.isArray(user.names) && !user.names.includes(spec.user)) refuse(`runs as ${user.names.join(", ")} (capability user), not ${spec.user}`);
  }
}

/** Refuse labels that the provider cannot keep. */
export function checkLabels(
  labels: Readonly<Record<string, string>>,
  { maxCount = Infinity, maxKeyBytes = Infinity, maxValueBytes = Infinity }: Exclude<Capabilities["labels"], false>,
  refuse: Refuse,
): void {
  const bytes = (text: string): number => new TextEncoder().encode(text).byteLength;
  const entries = Object.entries(labels);
  if (entries.length > maxCount) refuse(`keeps ${maxCount} labels at most, not ${entries.length} (capability labels)`);
  for (const [key, value] of entries) {
    if (bytes(key) > maxKeyBytes) refuse(`keeps label keys of ${maxKeyBytes} bytes at most (capability labels), not ${JSON.stringify(key)}`);
    if (bytes(value) > maxValueBytes)
      refuse(`keeps label values of ${maxValueBytes} bytes at most (capability labels), not that of ${JSON.stringify(key)}`);
  }
}

function checkPorts(spec: SandboxSpec, { ports }: Capabilities, refuse: Refuse): void {
  if (spec.ports === undefined) return;
  if (ports === false) refuse("opens no ports (capability ports)");
  if (spec.ports.length > (ports.maxCount ?? Infinity)) refuse(`opens ${ports.maxCount} ports at most, not ${spec.ports.length} (capability ports)`);
}

function checkClashes(spec: SandboxSpec, capabilities: Capabilities, refuse: Refuse): void {
  const asked = new Set<CapabilityName>(Object.keys(spec).map((field) => capabilityOf[field as keyof SandboxSpec]));
  const clash = capabilities.excludes.find(({ a, b }) => asked.has(a) && asked.has(b));
  if (clash !== undefined) refuse(`cannot combine ${clash.a} with ${clash.b}: ${clash.because}`);
}

const capabilityOf: Readonly<Record<keyof SandboxSpec, CapabilityName>> = {
  image: "image",
  cpu: "cpu",
  memoryBytes: "memory",
  diskBytes: "disk",
  gpu: "gpu",
  processes: "processes",
  env: "env",
  labels: "labels",
  workdir: "files",
  user: "user",
  region: "region",
  expiry: "expiry",
  ports: "ports",
  egress: "egress",
};

type Resources = Pick<SandboxSpec, "cpu" | "memoryBytes" | "diskBytes">;

/** Cores and bytes rounded to what the provider has. */
export function resolveResources(asked: Resources, capabilities: Capabilities, refuse: Refuse): Resources {
  const { cpu, memoryBytes, diskBytes } = asked;
  if (cpu === undefined && memoryBytes === undefined && diskBytes === undefined) return {};
  if (capabilities.sizes !== undefined) return chooseSize(asked, capabilities.sizes, refuse);
  const perCore = capabilities.memory === false ? undefined : capabilities.memory.perCore;
  if (perCore !== undefined && memoryBytes !== undefined) {
    const cores = intersect(cpu, scale(memoryBytes, 1 / perCore));
    const resolved = resolveBounds("cpu", cores, capabilities.cpu, refuse);
    return { cpu: resolved, memoryBytes: scale(resolved, perCore), ...optional("diskBytes", diskBytes, capabilities.disk, refuse) };
  }
  return {
    ...optional("cpu", cpu, capabilities.cpu, refuse),
    ...optional("memoryBytes", memoryBytes, capabilities.memory, refuse),
    ...optional("diskBytes", diskBytes, capabilities.disk, refuse),
  };
}

function optional(field: keyof Resources, bounds: Bounds | undefined, capability: false | ResourceCapability, refuse: Refuse): Resources {
  return bounds === undefined ? {} : { [field]: resolveBounds(field, bounds, capability, refuse) };
}

function chooseSize({ cpu, memoryBytes, diskBytes }: Resources, sizes: readonly SandboxSize[], refuse: Refuse): Resources {
  const holds = (bounds: Bounds | undefined, value: number): boolean => value >= (bounds?.min ?? 0) && value <= (bounds?.max ?? Infinity);
  const size = sizes.find((each) => holds(cpu, each.cpu) && holds(memoryBytes, each.memoryBytes) && holds(diskBytes, each.diskBytes));
  if (size === undefined) refuse(`has no size that meets cpu, memoryBytes and diskBytes together: ${sizes.map(({ name }) => name).join(", ")}`);
  return { cpu: exactly(size.cpu), memoryBytes: exactly(size.memoryBytes), diskBytes: exactly(size.diskBytes) };
}

const exactly = (value: number): Bounds => ({ min: value, max: value });

/** One resource's bounds, a `min` rounded up and a `max` down; where what is given is both, the least that will do. */
export function resolveBounds(field: string, { min, max }: Bounds, capability: false | ResourceCapability, refuse: Refuse): Bounds {
  const has = (what: string): never => refuse(`${what} (spec.${field}, asked for ${describe({ min, max } as Bounds)})`);
  if (capability === false || capability.bounds === "fixed") return has("decides this by itself");
  const { bounds, smallest = 0, largest = Infinity } = capability;
  if (Array.isArray(bounds)) {
    if (min !== undefined && !bounds.includes("min")) has("guarantees no minimum");
    if (max !== undefined && !bounds.includes("max")) has("enforces no maximum");
  }
  const up = min === undefined ? undefined : (roundUp(Math.max(min, smallest), capability) ?? has("has not so much"));
  const down = max === undefined ? undefined : (roundDown(Math.min(max, largest), capability) ?? has("has not so little"));
  if ((up ?? 0) > largest) has(`has ${largest} at most`);
  if ((down ?? Infinity) < smallest) has(`has ${smallest} at least`);
  if (up !== undefined && down !== undefined && up > down) has("has nothing between");
  if (bounds === "allocation") return exactly((up ?? down) as number);
  return { ...(up === undefined ? {} : { min: up }), ...(down === undefined ? {} : { max: down }) };
}

function roundUp(value: number, { values, step }: ResourceCapability): number | undefined {
  if (values !== undefined) return values.find((each) => each >= value);
  if (step === undefined) return value;
  // the division rounds too, so the count is sought around it
  const near = Math.ceil(value / step);
  return [near - 1, near, near + 1].map((count) => count * step).find((each) => each >= value);
}

function roundDown(value: number, { values, step }: ResourceCapability): number | undefined {
  if (values !== undefined) return values.findLast((each) => each <= value);
  if (step === undefined || value === Infinity) return value;
  const near = Math.floor(value / step);
  return [near + 1, near, near - 1].map((count) => count * step).find((each) => each <= value && each > 0);
}

function scale({ min, max }: Bounds, factor: number): Bounds {
  return { ...(min === undefined ? {} : { min: min * factor }), ...(max === undefined ? {} : { max: max * factor }) };
}

function intersect(a: Bounds = {}, b: Bounds): Bounds {
  const min = Math.max(a.min ?? 0, b.min ?? 0);
  const max = Math.min(a.max ?? Infinity, b.max ?? Infinity);
  return { ...(min > 0 ? { min } : {}), ...(max < Infinity ? { max } : {}) };
}

function describe({ min, max }: Bounds): string {
  return [min === undefined ? [] : [`min ${min}`], max === undefined ? [] : [`max ${max}`]].flat().join(", ");
}

function resolveProcesses(max: number, { processes }: Capabilities, refuse: Refuse): number {
  return resolveBounds("processes", { max }, processes, refuse).max ?? max;
}

/** Times are rounded up, so that nothing ends earlier than asked. */
function resolveExpiry(asked: NonNullable<SandboxSpec["expiry"]>, { expiry }: Capabilities, refuse: Refuse): NonNullable<SandboxSpec["expiry"]> {
  const round = (name: "lifetime" | "idle" | "orphaned", ms: number | undefined): number | undefined => {
    if (ms === undefined) return undefined;
    const capability: false | ExpiryCapability = expiry === false ? false : expiry[name];
    if (capability === false) return refuse(`cannot end a sandbox by ${name} (capability expiry)`);
    const rounded = Math.ceil(ms / capability.stepMs) * capability.stepMs;
    if (rounded > (capability.maxMs ?? Infinity)) refuse(`keeps ${name} to ${capability.maxMs} ms at most, not ${ms} (capability expiry)`);
    return rounded;
  };
  const [lifetimeMs, idleMs, orphanedMs] = [round("lifetime", asked.lifetimeMs), round("idle", asked.idleMs), round("orphaned", asked.orphanedMs)];
  return {
    ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
    ...(idleMs === undefined ? {} : { idleMs }),
    ...(orphanedMs === undefined ? {} : { orphanedMs }),
  };
}
