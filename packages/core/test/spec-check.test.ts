import { describe, expect, test } from "vitest";
import type { Capabilities } from "../src/capabilities.ts";
import { type SandboxSpec, checkSpec } from "../src/index.ts";
import { cloudflareBridge, cloudflareWorker } from "./clouds/cloudflare.ts";
import { daytonaContainer } from "./clouds/daytona.ts";
import { modal } from "./clouds/modal.ts";
import { GB, GiB, minute } from "./clouds/shared.ts";
import { vercel } from "./clouds/vercel.ts";
import { fakeCapabilities, fakeProvider } from "./fake-provider.ts";

const on = (capabilities: Capabilities, spec: SandboxSpec): SandboxSpec =>
  checkSpec({ ...fakeProvider({ name: "cloud" }), capabilitiesFor: () => capabilities }, spec);
const both = (value: number): { min: number; max: number } => ({ min: value, max: value });

describe("bounds are rounded to what a cloud has", () => {
  test.each<[string, Capabilities, SandboxSpec, SandboxSpec]>([
    ["whole cores and GiB", daytonaContainer, { cpu: { min: 1.5 }, memoryBytes: { max: 2.5 * GiB } }, { cpu: both(2), memoryBytes: both(2 * GiB) }],
    ["a minimum below the smallest", daytonaContainer, { cpu: { min: 0.1 } }, { cpu: both(1) }],
    ["a maximum above the largest", daytonaContainer, { cpu: { max: 100 } }, { cpu: both(4) }],
    ["one core or an even number", vercel, { cpu: { min: 3 } }, { cpu: both(4) }],
    ["one core or an even number, downwards", vercel, { cpu: { max: 5 } }, { cpu: both(4) }],
    ["cores added for memory", vercel, { memoryBytes: { min: 5 * GiB } }, { cpu: both(4), memoryBytes: both(8 * GiB) }],
    ["cores and memory together", vercel, { cpu: { min: 2 }, memoryBytes: { max: 9 * GiB } }, { cpu: both(2), memoryBytes: both(4 * GiB) }],
    ["request and limit apart", modal, { cpu: { min: 0.05, max: 2 } }, { cpu: { min: 0.125, max: 2 } }],
    ["a whole size", cloudflareWorker, { memoryBytes: { min: 5 * GiB } }, { cpu: both(1), memoryBytes: both(6 * GiB), diskBytes: both(12 * GB) }],
    ["times upwards", daytonaContainer, { expiry: { idleMs: 61_000 } }, { expiry: { idleMs: 2 * minute } }],
  ])("%s", (_name, capabilities, spec, expected) => {
    expect(on(capabilities, spec)).toEqual({ workdir: "/workspace", ...expected });
  });
});

describe("what a cloud cannot honour is refused and named", () => {
  test.each<[Capabilities, SandboxSpec, string]>([
    [daytonaContainer, { cpu: { min: 4.5 } }, "cloud has 4 at most (spec.cpu, asked for min 4.5)"],
    [daytonaContainer, { cpu: { max: 0.5 } }, "cloud has not so little (spec.cpu, asked for max 0.5)"],
    [daytonaContainer, { cpu: { min: 1.2, max: 1.8 } }, "cloud has nothing between (spec.cpu, asked for min 1.2, max 1.8)"],
    [daytonaContainer, { image: "debian" }, "cloud refuses image debian without a tag (capability image.refusedTags); name a version or digest"],
    [
      daytonaContainer,
      { image: "reg:5000/debian:latest" },
      "cloud refuses image reg:5000/debian:latest with tag latest (capability image.refusedTags); name a version or digest",
    ],
    [daytonaContainer, { image: { docker: "x" } }, "cloud finds no image of its own in spec.image, which has docker"],
    [
      daytonaContainer,
      { gpu: { type: "A100" } },
      "cloud has no GPU A100, but H100, H200, B300, RTX-PRO-6000, RTX-4090, RTX-5090, MI355X (capability gpu)",
    ],
    [daytonaContainer, { user: "root" }, "cloud cannot choose the user (capability user)"],
    [daytonaContainer, { expiry: { orphanedMs: 1 } }, "cloud cannot end a sandbox by orphaned (capability expiry)"],
    [
      daytonaContainer,
      { egress: { allow: [{ to: "a.b", ports: [443] }] } },
      "cloud opens every port of a target and cannot narrow it (spec.egress.allow.0, a.b)",
    ],
    [daytonaContainer, { egress: { allow: [{ to: "::/0" }] } }, "cloud has no rules for IPv6 (spec.egress.allow.0, ::/0)"],
    [
      daytonaContainer,
      { egress: { allow: Array.from({ length: 11 }, (_, index) => ({ to: index < 5 ? "*.a.b" : "a.b" })) } },
      "cloud has 10 rules at most for host and wildcard, not 11 (capability egress.rules)",
    ],
    [modal, { diskBytes: { min: GiB } }, "cloud decides this by itself (spec.diskBytes, asked for min 1073741824)"],
    [modal, { env: { "a-b": "" } }, 'cloud takes identifiers as environment names (capability env), not "a-b"'],
    [modal, { region: "eu" }, "cloud takes a region for a wish only (capability region.strict); leave it out"],
    [modal, { expiry: { lifetimeMs: 25 * 60 * minute } }, "cloud keeps lifetime to 86400000 ms at most, not 90000000 (capability expiry)"],
    [modal, { egress: { allow: [{ to: "a.b" }] } }, "cloud knows only ports 443; name them (spec.egress.allow.0, a.b)"],
    [modal, { egress: { allow: [{ to: "a.b", ports: [80] }] } }, "cloud knows only ports 443 (spec.egress.allow.0, a.b)"],
    [modal, { egress: { allow: [{ to: "a.b", ports: [443], paths: ["/"] }] } }, "cloud cannot narrow a target by path (spec.egress.allow.0, a.b)"],
    [vercel, { labels: { a: "", b: "", c: "", d: "" } }, "cloud keeps 3 labels at most, not 4 (capability labels)"],
    [vercel, { memoryBytes: { max: GiB } }, "cloud has not so little (spec.cpu, asked for max 0.5)"],
    [vercel, { ports: Array.from({ length: 16 }, (_, index) => index + 1) }, "cloud opens 15 ports at most, not 16 (capability ports)"],
    [vercel, { region: "moon" }, `cloud has no region moon, but ${vercel.region.names.join(", ")}`],
    [cloudflareWorker, { user: "0:0" }, "cloud takes a uid other than 0 as user (capability user), not 0:0"],
    [
      cloudflareWorker,
      { cpu: { min: 5 } },
      "cloud has no size that meets cpu, memoryBytes and diskBytes together: lite, basic, standard-1, standard-2, standard-3, standard-4",
    ],
    [cloudflareBridge, {}, "cloud cannot keep a sandbox off the network (capability egress.denyAll), which is the default"],
    [cloudflareBridge, { workdir: "/workspaces" }, "cloud reaches only /workspace (capability files.only), not /workspaces"],
    [fakeCapabilities, { gpu: {} }, "cloud has no GPUs (capability gpu)"],
    [fakeCapabilities, { ports: [80] }, "cloud opens no ports (capability ports)"],
    [fakeCapabilities, { egress: { allow: [{ to: "a.b" }] } }, "cloud allows no network at all (capability egress.rules); leave spec.egress out"],
    [
      { ...fakeCapabilities, excludes: [{ a: "cpu", b: "env", because: "of the test" }] },
      { cpu: { max: 1 }, env: { a: "" } },
      "cloud cannot combine cpu with env: of the test",
    ],
  ])("%#: %j", (capabilities, spec, message) => {
    expect(() => on(capabilities, spec)).toThrow(
      expect.objectContaining({ code: "unsupported", effect: "none", message: `[unsupported] ${message}` }),
    );
  });
});

test("with a digest or a version an image passes where tags are refused", () => {
  for (const image of ["debian:12.1", "a.b:1/c@sha256:00", "debian:latest@sha256:00"]) expect(on(daytonaContainer, { image }).image).toBe(image);
});
