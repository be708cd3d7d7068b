import { randomBytes } from "node:crypto";
import { type AttachMode, type CreateRequest, ownershipProof, Sandbox, type SandboxRef, type SandboxSpec, thisProcess } from "@glovebox/core";
import { afterEach } from "vitest";
import { docker, type DockerOptions } from "../src/index.ts";
import { Engine } from "../src/engine.ts";
import { resolveOptions } from "../src/options.ts";

/** The engine that the tests look at from outside. */
export const engine: Engine = new Engine(resolveOptions({}, process.env).address);

export const ownerKey: Uint8Array = randomBytes(32);

const made: SandboxRef[] = [];

export const newId = (): string => `dt-${randomBytes(6).toString("hex")}`;

export async function refOf(id: string): Promise<SandboxRef> {
  const ref = { provider: "docker", id, proof: await ownershipProof(ownerKey, "docker", id) };
  made.push(ref);
  return ref;
}

/** What the portable sandbox would ask of a provider. */
export async function requestOf(id: string, spec: SandboxSpec = {}): Promise<CreateRequest> {
  const { proof } = await refOf(id);
  return { id, proof, ownership: thisProcess(), spec: { workdir: "/workspace", ...spec } };
}

export async function create(spec: SandboxSpec = {}, options: DockerOptions = {}): Promise<Sandbox> {
  const id = newId();
  await refOf(id);
  return await Sandbox.create(docker(options), spec, { id, ownerKey });
}

export async function attach(id: string, mode: AttachMode = "takeover", options: DockerOptions = {}): Promise<Sandbox> {
  return await Sandbox.attach(docker(options), { provider: "docker", id }, { mode, ownerKey });
}

/** Runs a program inside to its end and gives what it wrote. */
export async function output(sandbox: Sandbox, command: string | readonly string[]): Promise<string> {
  const { stdoutText, stderrText } = await sandbox.exec(typeof command === "string" ? command : [...command]);
  return stdoutText + stderrText;
}

/** Python inside. */
export const python = (program: string): readonly string[] => ["python3", "-c", program];

export async function containersNamed(id: string): Promise<readonly { readonly Id: string }[]> {
  return await engine.json("GET", "/containers/json", { query: { all: "1", filters: JSON.stringify({ name: [`^/glovebox-${id}$`] }) } });
}

/** Call in every live file: whatever a test left is destroyed. */
export function destroyAfterEach(): void {
  afterEach(async () => {
    for (const ref of made.splice(0)) await docker().destroy(ref, { signal: AbortSignal.timeout(30_000) });
  });
}
