import { type CreateRequest, SandboxError } from "@glovebox/core";
import type { EngineFacts } from "./facts.ts";
import { type ImageFacts, defaultPath } from "./image.ts";
import { type Labels, toLabels } from "./labels.ts";
import type { ResolvedOptions } from "./options.ts";
import type { ProcessMark } from "./owner.ts";
import { seccompProfile } from "./seccomp.ts";

/** Where the guest's things are inside; the guest gives the directory mode 0700 before it starts anything. */
export const inside: Readonly<Record<"directory" | "binary" | "sockets" | "listen" | "state", string>> = {
  directory: "/.glovebox",
  binary: "/.glovebox/guest",
  sockets: "/.glovebox/run",
  listen: "/.glovebox/guest.sock",
  state: "/.glovebox/state",
};

/** What the guest exits with when the agent wrote more than it may. */
export const DISK_LIMIT_EXIT_CODE = 75;

const CONFIG_VARIABLE = "GLOVEBOX_CONFIG";
/** One string of a program's environment has at most 128 KiB; see execve(2). */
const MAX_CONFIG_BYTES = 120 * 1024;
const MIB = 1024 ** 2;
/** So many bytes of the disk limit may be one file: a build tree has small ones, and an empty file takes an inode too. */
const BYTES_PER_FILE = 4096;

export interface ContainerRequest {
  readonly request: CreateRequest;
  readonly image: ImageFacts;
  readonly options: ResolvedOptions;
  readonly facts: EngineFacts;
  readonly creation: string;
  readonly owner: ProcessMark | undefined;
  /** With sockets in a mounted directory: the paths on the engine's host. */
  readonly mounts: { readonly binary: string; readonly sockets: string } | undefined;
}

export const containerName = (id: string): string => `glovebox-${id}`;

/** The body of the engine's "Create a container", API 1.41. Whatever an image asks for that would run or write beside the guest is switched off. */
export function containerBody(container: ContainerRequest): Readonly<Record<string, unknown>> {
  const { request, image, options, creation, owner, mounts } = container;
  const { spec, id } = request;
  const memoryBytes = spec.memoryBytes?.max ?? options.memoryBytes;
  const diskBytes = spec.diskBytes?.max ?? options.diskBytes;
  const { proof, ownership } = request;
  const labels: Labels = toLabels({ id, proof, ownership, owner, creation, image: image.name, workdir: spec.workdir, labels: spec.labels ?? {} });
  return {
    Image: image.id,
    Hostname: "sandbox",
    User: "0:0",
    WorkingDir: "/",
    Entrypoint: [inside.binary],
    Cmd: ["serve", "--config-env", CONFIG_VARIABLE],
    Env: [`${CONFIG_VARIABLE}=${guestConfig(container, diskBytes)}`],
    Labels: labels,
    Healthcheck: { Test: ["NONE"] }, // an image's own would run by engine exec, with rights that the agent must not have
    StopSignal: "SIGTERM",
    Tty: false,
    OpenStdin: false,
    HostConfig: {
      NetworkMode: "none",
      Dns: ["127.0.0.1"], // else the host's resolver would be named inside
      LogConfig: { Type: "none", Config: {} },
      Init: false,
      RestartPolicy: { Name: "no" },
      Privileged: false,
      CapDrop: ["ALL"],
      CapAdd: ["SETUID", "SETGID", "KILL", "CHOWN"],
      SecurityOpt: ["no-new-privileges:true", `seccomp=${JSON.stringify(seccompProfile)}`],
      IpcMode: "private",
      ShmSize: Math.min(64 * MIB, memoryBytes),
      PidsLimit: spec.processes?.max ?? options.processes,
      Memory: memoryBytes,
      MemorySwap: memoryBytes,
      ...(spec.cpu?.max !== undefined && { NanoCpus: Math.round(spec.cpu.max * 1e9) }),
      Ulimits: [
        { Name: "core", Soft: 0, Hard: 0 },
        { Name: "fsize", Soft: diskBytes, Hard: diskBytes },
      ],
      ...(mounts && {
        Mounts: [
          { Type: "bind", Source: mounts.binary, Target: inside.binary, ReadOnly: true },
          { Type: "bind", Source: mounts.sockets, Target: inside.sockets, ReadOnly: true },
        ],
      }),
    },
  };
}

function guestConfig({ request, image, options, mounts }: ContainerRequest, diskBytes: number): string {
  const { spec, ownership } = request;
  const { PATH: path = defaultPath, ...imageEnv } = image.env;
  const config = JSON.stringify({
    listen: inside.listen,
    ...(mounts && { dialDirectory: inside.sockets }),
    stateDirectory: inside.state,
    privateDirectory: inside.directory,
    user: agentUser(spec.user),
    workdir: spec.workdir,
    env: { ...imageEnv, ...spec.env },
    path,
    orphanedMs: spec.expiry?.orphanedMs ?? options.orphanedMs[ownership.by],
    disk: { maxBytes: diskBytes, maxFiles: Math.max(1024, Math.floor(diskBytes / BYTES_PER_FILE)) },
  });
  if (Buffer.byteLength(config) <= MAX_CONFIG_BYTES) return config;
  throw new SandboxError("invalid_argument", `spec.env is too large; give less than ${MAX_CONFIG_BYTES} bytes, or write a file`, { effect: "none" });
}

/** @throws {SandboxError} `unsupported`: root, because only another user than the guest's is held in, or a name. `invalid_argument` */
export function agentUser(user: string | undefined): { readonly uid: number; readonly gid: number } {
  if (user === undefined) return { uid: 1000, gid: 1000 };
  const [, uidText, gidText] = /^(\d{1,10})(?::(\d{1,10}))?$/u.exec(user) ?? [];
  if (uidText === undefined) {
    throw new SandboxError(
      "unsupported",
      `docker takes spec.user as uid or uid:gid, not ${JSON.stringify(user)}; give the numbers that the image has for it`,
      { effect: "none" },
    );
  }
  const [uid, gid] = [Number(uidText), Number(gidText ?? uidText)];
  if (uid === 0 || gid === 0) {
    throw new SandboxError(
      "unsupported",
      "docker cannot run the agent as root: the guest that holds it in is root; give another uid, and put what it needs into the image",
      {
        effect: "none",
      },
    );
  }
  if (uid >= 2 ** 31 || gid >= 2 ** 31) throw new SandboxError("invalid_argument", `spec.user ${user} is out of range`, { effect: "none" });
  return { uid, gid };
}
