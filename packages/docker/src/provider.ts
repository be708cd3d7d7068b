import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import {
  type AttachMode,
  type CallOptions,
  type CreateRequest,
  SandboxError,
  type SandboxDriver,
  type SandboxEntry,
  type SandboxProvider,
  type SandboxRef,
} from "@glovebox/core";
import { guestBinary } from "@glovebox/guest/node";
import { dockerCapabilities } from "./capabilities.ts";
import { agentUser, containerBody, containerName, inside } from "./container.ts";
import { type ContainerDetails, type ContainerSummary, Containers } from "./containers.ts";
import { type Door, dockerDriver } from "./driver.ts";
import { Engine } from "./engine.ts";
import { ExecDoor } from "./exec-door.ts";
import { type EngineFacts, engineFacts, transportFor } from "./facts.ts";
import { imageFacts, imageName } from "./image.ts";
import { type Labels, labelNames, ownerOf, ownershipOf, proves, specLabels, toLabelFilters } from "./labels.ts";
import type { ResolvedOptions } from "./options.ts";
import { markProcess, ownerIsGone } from "./owner.ts";
import { SocketDirectory, SocketDoor } from "./socket-door.ts";
import { tarArchive } from "./tar.ts";

const NAME = "docker";

const states: Readonly<Record<ContainerSummary["State"], SandboxEntry["state"]>> = {
  created: "creating",
  running: "running",
  paused: "paused",
  restarting: "running",
  removing: "ending",
  exited: "stopped",
  dead: "stopped",
};

/** Sandboxes on one engine. */
export class DockerProvider implements SandboxProvider {
  readonly name: string = NAME;
  readonly specVersion = 1 as const;
  readonly #options: ResolvedOptions;
  readonly #engine: Engine;
  readonly #containers: Containers;
  #facts: EngineFacts | undefined;

  constructor(options: ResolvedOptions) {
    this.#options = options;
    this.#engine = new Engine(options.address);
    this.#containers = new Containers(this.#engine);
  }

  capabilitiesFor(): ReturnType<SandboxProvider["capabilitiesFor"]> {
    return dockerCapabilities(this.#facts);
  }

  async probe({ signal }: CallOptions): Promise<EngineFacts> {
    return (this.#facts ??= await engineFacts(this.#engine, signal));
  }

  async create(request: CreateRequest, { signal }: CallOptions): Promise<SandboxDriver> {
    agentUser(request.spec.user); // refused before anything is made
    const facts = await this.probe({ signal });
    await this.#reap(signal);
    const image = await imageFacts(this.#engine, imageName(request.spec, this.#options.image), signal);
    const binary = guestBinary(image.architecture);
    const transport = transportFor(facts, this.#options.transport);
    const sockets = transport === "socket" ? this.#sockets(facts, request.id) : undefined;
    const creation = randomUUID();
    const { ownership } = request;
    const owner = ownership.by === "process" ? markProcess(ownership.pid) : undefined;
    const body = containerBody({
      request,
      image,
      options: this.#options,
      facts,
      creation,
      owner,
      mounts: sockets && { binary, sockets: sockets.path },
    });
    const madeDirectory = await sockets?.prepare();
    let container: string | undefined;
    try {
      signal.throwIfAborted();
      container = await this.#containers.create(request.id, creation, body);
      signal.throwIfAborted();
      if (sockets === undefined) await this.#containers.putArchive(container, request.id, await guestArchive(binary));
      signal.throwIfAborted();
      const door = await this.#door(container, sockets);
      const ref = { provider: NAME, id: request.id, vendorId: container, proof: request.proof };
      return await this.#connect({ ref, workdir: request.spec.workdir, mode: "takeover", door, sockets, start: true }, signal);
    } catch (error) {
      // before the failure is told: nothing is left behind when the caller knows
      const isLeft = container !== undefined && !(await this.#discard(container, request));
      const taken = SandboxError.is(error) && error.code === "already_exists"; // then the directory is the other's
      if (madeDirectory === true && !taken && !isLeft) await sockets?.remove();
      throw error;
    }
  }

  async attach(ref: SandboxRef, { mode, signal }: CallOptions & { readonly mode: AttachMode }): Promise<SandboxDriver> {
    const facts = await this.probe({ signal });
    const details = await this.#owned(ref, signal);
    if (details === undefined)
      throw new SandboxError("not_found", `docker attach ${ref.id}: there is no such sandbox; create it`, { effect: "none" });
    const { Status: status } = details.State;
    if (status === "paused") {
      throw new SandboxError(
        "failed_precondition",
        `docker attach ${ref.id}: its container was paused from outside; \`docker unpause ${containerName(ref.id)}\``,
        { effect: "none" },
      );
    }
    if (status === "removing" || status === "dead")
      throw new SandboxError("not_found", `docker attach ${ref.id}: it is being destroyed`, { effect: "none" });
    const sockets = this.#mountedSockets(facts, ref.id, details);
    await sockets?.prepare();
    signal.throwIfAborted();
    if (status === "created") await this.#completeGuest(ref.id, details, signal);
    const door = await this.#door(details.Id, sockets);
    const workdir = details.Config.Labels?.[labelNames.workdir] ?? "/";
    return await this.#connect({ ref: { ...ref, vendorId: details.Id }, workdir, mode, door, sockets, start: status !== "running" }, signal);
  }

  /** @returns whether it is gone: a session's that runs may have another worker in it, who found it by its name */
  async #discard(container: string, { id, ownership }: CreateRequest): Promise<boolean> {
    if (ownership.by === "session") return await this.#containers.removeIdle(container, id);
    await this.#containers.remove(container, id);
    return true;
  }

  async *list({ labels = {} }: { readonly labels?: Labels }, { signal }: CallOptions): AsyncIterable<SandboxEntry> {
    const gone = await this.#reap(signal);
    for (const summary of await this.#containers.list(toLabelFilters(labels), signal)) {
      if (gone.has(summary.Id)) continue;
      yield {
        ref: { provider: NAME, id: summary.Labels[labelNames.id] ?? "", vendorId: summary.Id },
        state: states[summary.State],
        image: summary.Labels[labelNames.image],
        createdAt: new Date(summary.Created * 1000).toISOString(),
        ownership: ownershipOf(summary.Labels),
        labels: specLabels(summary.Labels),
      };
    }
  }

  async destroy(ref: SandboxRef, { signal }: CallOptions): Promise<void> {
    const details = await this.#owned(ref, signal);
    if (details !== undefined) await this.#containers.remove(details.Id, ref.id, signal);
    await this.#sockets(await this.probe({ signal }), ref.id).remove();
  }

  /** Who made the container may have died before it put the guest in. */
  async #completeGuest(id: string, { Id: container, Image: image, Mounts }: ContainerDetails, signal: AbortSignal): Promise<void> {
    if (Mounts.some(({ Destination }) => Destination === inside.binary)) return;
    const { architecture } = await imageFacts(this.#engine, image, signal);
    await this.#containers.putArchive(container, id, await guestArchive(guestBinary(architecture)));
  }

  async #connect(
    sandbox: {
      readonly ref: SandboxRef & { readonly vendorId: string };
      readonly workdir: string;
      readonly mode: AttachMode;
      readonly door: Door;
      readonly sockets: SocketDirectory | undefined;
      readonly start: boolean;
    },
    signal: AbortSignal,
  ): Promise<SandboxDriver> {
    const { ref, workdir, mode, door, sockets, start } = sandbox;
    const destroy = async (call: CallOptions): Promise<void> => {
      await this.#containers.remove(ref.vendorId, ref.id, call.signal);
      await sockets?.remove();
    };
    try {
      if (start) await this.#containers.start(ref.vendorId, ref.id);
      signal.throwIfAborted();
    } catch (error) {
      await door.close();
      throw error;
    }
    return await dockerDriver({ ref, workdir, mode, door, destroy, capabilities: this.capabilitiesFor(), containers: this.#containers }, { signal });
  }

  /** @throws {SandboxError} `permission_denied`: the proof is wrong, or it is no sandbox of Glovebox */
  async #owned(ref: SandboxRef, signal: AbortSignal): Promise<ContainerDetails | undefined> {
    const details = await this.#containers.find(containerName(ref.id), signal);
    const labels = details?.Config.Labels ?? {};
    if (details === undefined || (labels[labelNames.id] === ref.id && proves(ref.proof, labels))) return details;
    throw new SandboxError("permission_denied", `sandbox ${ref.id} belongs to another owner key`, { effect: "none" });
  }

  #sockets(facts: EngineFacts, id: string): SocketDirectory {
    return SocketDirectory.of(this.#options.runtimeDirectory, facts.engineId, id);
  }

  /** The socket directory where the sandbox has one and it is this worker's too; else the guest is reached by engine exec. */
  #mountedSockets(facts: EngineFacts, id: string, { Mounts }: ContainerDetails): SocketDirectory | undefined {
    const mounted = Mounts.find(({ Destination }) => Destination === inside.sockets)?.Source;
    const sockets = this.#sockets(facts, id);
    return transportFor(facts, this.#options.transport) === "socket" && mounted === sockets.path ? sockets : undefined;
  }

  async #door(container: string, sockets: SocketDirectory | undefined): Promise<Door> {
    return sockets === undefined ? new ExecDoor(this.#engine, container) : await SocketDoor.open(sockets.path);
  }

  /** Destroy what belongs to a process of this host that has ended. */
  async #reap(signal: AbortSignal): Promise<ReadonlySet<string>> {
    const all = await this.#containers.list([], signal);
    const gone = all.filter(({ Labels: labels, State: state }) => state !== "removing" && ownerIsGone(ownershipOf(labels), ownerOf(labels)));
    for (const { Id: container, Labels: labels } of gone) {
      const id = labels[labelNames.id] ?? container;
      await this.#containers.remove(container, id, signal);
      await this.#sockets(await this.probe({ signal }), id).remove();
    }
    return new Set(gone.map(({ Id }) => Id));
  }
}

/** The guest as a tar archive, in a directory that only root enters. */
async function guestArchive(binary: string): Promise<Uint8Array> {
  return tarArchive([
    { name: ".glovebox/", mode: 0o700 },
    { name: inside.binary.slice(1), mode: 0o700, content: await readFile(binary) },
  ]);
}
