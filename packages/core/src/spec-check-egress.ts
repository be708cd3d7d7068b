import type { Capabilities, EgressTargetCapability } from "./capabilities.ts";
import type { EgressPolicy, EgressRule } from "./spec.ts";

/** Refuse a policy that the provider cannot enforce whole. Without one nothing may be reached, which must be enforced too. */
export function checkEgress(policy: EgressPolicy | undefined, capability: Capabilities["egress"], refuse: (message: string) => never): void {
  const allowed = policy?.allow ?? [];
  if (capability.denyAll === false) refuse("cannot keep a sandbox off the network (capability egress.denyAll), which is the default");
  if (allowed.length === 0) return;
  if (capability.rules === false) refuse("allows no network at all (capability egress.rules); leave spec.egress out");
  const counts = new Map<EgressTargetCapability, number>();
  for (const [index, rule] of allowed.entries()) {
    const kind = kindOf(rule.to);
    const target = capability.rules.targets.find(({ kinds }) => kinds.includes(kind));
    if (target === undefined) refuse(`has no rules for a ${kind} (spec.egress.allow.${index}, ${rule.to})`);
    checkRule(rule, target, (what) => refuse(`${what} (spec.egress.allow.${index}, ${rule.to})`));
    counts.set(target, (counts.get(target) ?? 0) + 1);
  }
  for (const [{ kinds, maxCount = Infinity }, count] of counts) {
    if (count > maxCount) refuse(`has ${maxCount} rules at most for ${kinds.join(" and ")}, not ${count} (capability egress.rules)`);
  }
}

function kindOf(to: string): "host" | "wildcard" | "cidr" {
  if (to.includes("/")) return "cidr";
  return to.startsWith("*.") ? "wildcard" : "host";
}

function checkRule(rule: EgressRule, target: EgressTargetCapability, refuse: (what: string) => never): void {
  if (target.ports === "all" && rule.ports !== undefined) refuse("opens every port of a target and cannot narrow it");
  if (Array.isArray(target.ports)) {
    const { ports } = target;
    if (rule.ports === undefined) refuse(`knows only ports ${ports.join(", ")}; name them`);
    if (rule.ports.some((port) => !ports.includes(port))) refuse(`knows only ports ${ports.join(", ")}`);
  }
  if (rule.methods !== undefined && !target.narrowedBy.includes("method")) refuse("cannot narrow a target by method");
  if (rule.paths !== undefined && !target.narrowedBy.includes("path")) refuse("cannot narrow a target by path");
  if (target.ipv6 === false && rule.to.includes(":")) refuse("has no rules for IPv6");
}
