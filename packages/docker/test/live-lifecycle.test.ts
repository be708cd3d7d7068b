import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { listSandboxes, Sandbox, SandboxError } from "@glovebox/core";
import { describe, expect, test } from "vitest";
import { docker } from "../src/index.ts";
import { attach, containersNamed, create, destroyAfterEach, engine, newId, output, ownerKey, refOf, requestOf } from "./live-docker.ts";

destroyAfterEach();

const coded = (code: string): unknown => expect.objectContaining({ code });
const signal = (): AbortSignal => AbortSignal.timeout(30_000);

describe.each(["socket", "exec"] as const)("over %s", (transport) => {
  test("a sandbox runs programs and a shell, keeps files, and is gone after destroy", async () => {
    const sandbox = await create({ env: { GREETING: "hello" } }, { transport });
    expect((await sandbox.exec(["sh", "-c", "echo $GREETING; echo oops >&2; exit 7"])).code).toBe(7);
    expect(await output(sandbox, "id -u; pwd; echo $GREETING")).toBe("1000\n/workspace\nhello\n");
    await sandbox.shell().run("cd /tmp; value=5");
    expect((await sandbox.shell().run('echo "$PWD $value"')).text).toBe("/tmp 5\n");
    await sandbox.files.write("/workspace/a file", "content");
    expect(await sandbox.files.readText("/workspace/a file")).toBe("content");
    await sandbox.destroy();
    expect(await containersNamed(sandbox.id)).toEqual([]);
    await docker().destroy(await refOf(sandbox.id), { signal: signal() });
  });

  test("killed from outside it is lost, and attach starts it again with its files", async () => {
    const sandbox = await create({}, { transport });
    await sandbox.files.write("/workspace/kept", "still here");
    await engine.bytes("POST", `/containers/glovebox-${sandbox.id}/kill`, { query: { signal: "SIGKILL" } });
    const reason = await sandbox.lost;
    expect(reason).toMatchObject({ code: "unavailable", reason: "stopped" });
    expect(reason.message).toContain("was killed from outside (exit 137)");
    const again = await attach(sandbox.id, "takeover", { transport });
    expect(await again.files.readText("/workspace/kept")).toBe("still here");
    await again.close();
  });

  test("two workers are connected at once; the one that takes over is served", async () => {
    const first = await create({}, { transport });
    const second = await attach(first.id, "takeover", { transport });
    expect(await Promise.all([output(first, "echo one"), output(second, "echo two")])).toEqual(["one\n", "two\n"]);
    expect(second.generation).toBe((first.generation ?? 0) + 1);
    await second.close();
    expect(await output(first, "echo three")).toBe("three\n");
  });
});

test("a taken id is already_exists, and what was there stays", async () => {
  const sandbox = await create();
  await expect(docker().create(await requestOf(sandbox.id), { signal: signal() })).rejects.toEqual(coded("already_exists"));
  expect(await output(sandbox, "echo alive")).toBe("alive\n");
});

test("a wrong proof neither attaches nor destroys", async () => {
  const sandbox = await create();
  const forged = { provider: "docker", id: sandbox.id, proof: "00".repeat(32) };
  await expect(docker().attach(forged, { mode: "join", signal: signal() })).rejects.toEqual(coded("permission_denied"));
  await expect(docker().destroy(forged, { signal: signal() })).rejects.toEqual(coded("permission_denied"));
  expect(await containersNamed(sandbox.id)).toHaveLength(1);
});

test("attach to what is not there is not_found", async () => {
  await expect(attach(newId())).rejects.toEqual(coded("not_found"));
});

test("list finds by labels and tells image, owner and state", async () => {
  const [one, other] = [await create({ labels: { team: "a", run: "1" } }), await create({ labels: { team: "b" } })];
  const entries = await Array.fromAsync(listSandboxes(docker(), { labels: { team: "a" } }));
  expect(entries.filter(({ ref }) => ref.id === one.id || ref.id === other.id)).toEqual([
    {
      ref: { provider: "docker", id: one.id, vendorId: one.ref.vendorId },
      state: "running",
      image: "glovebox/sandbox:latest",
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/u),
      ownership: { by: "process", host: hostname(), pid: process.pid },
      labels: { team: "a", run: "1" },
    },
  ]);
});

test("an abort at any step of create leaves no container and no directory behind", async () => {
  const runtimeDirectory = mkdtempSync(join(tmpdir(), "gb-"));
  for (const afterRequests of [0, 1, 2, 3, 4, 5, 6]) {
    const id = newId();
    const controller = new AbortController();
    const provider = docker({ runtimeDirectory });
    const count = countRequests(() => controller.abort(new Error("enough")), afterRequests);
    const outcome = await provider.create(await requestOf(id), { signal: controller.signal }).then(
      (driver) => driver.destroy({ signal: signal() }).then(() => "created"),
      (error: unknown) => error,
    );
    count.stop();
    if (outcome !== "created") expect(outcome).toEqual(new Error("enough"));
    expect(await containersNamed(id)).toEqual([]);
  }
  expect(readdirSync(runtimeDirectory)).toEqual([]);
  rmSync(runtimeDirectory, { recursive: true });
});

test("an abort at any step of create leaves a session's sandbox gone or whole, and one that runs is left to who took it over", async () => {
  const ends = new Set<string>();
  for (const afterRequests of [0, 1, 2, 3, 4, 5, 6]) {
    const id = newId();
    const controller = new AbortController();
    const request = { ...(await requestOf(id)), ownership: { by: "session", session: id } as const };
    const count = countRequests(() => controller.abort(new Error("enough")), afterRequests);
    const creation = await docker()
      .create(request, { signal: controller.signal })
      .then(
        () => "created",
        () => "aborted",
      );
    count.stop();
    const found = await attach(id).catch((error: unknown) => (SandboxError.is(error) ? error.code : "a bug"));
    ends.add(`${creation} ${typeof found === "string" ? found : await output(found, "printf whole")}`);
  }
  expect([...ends].toSorted()).toEqual(["aborted not_found", "aborted whole", "created whole"]);
});

test("a process that has ended leaves its sandboxes to the next list", async () => {
  const id = newId();
  const request = await requestOf(id);
  const driver = await docker().create(request, { signal: signal() });
  await driver.close({ signal: signal() });
  // the same container as another process would have made it: its owner's mark names a start that no process has
  const [before] = await engine.json<readonly { readonly Id: string; readonly Image: string; readonly Labels: Record<string, string> }[]>(
    "GET",
    "/containers/json",
    {
      query: { filters: JSON.stringify({ name: [`glovebox-${id}$`] }) },
    },
  );
  if (before === undefined) throw new Error("the sandbox has no container");
  const owner = JSON.parse(before.Labels["glovebox.owner"] ?? "{}") as object;
  const labels = { ...before.Labels, "glovebox.owner": JSON.stringify({ ...owner, started: "1" }) };
  await docker().destroy({ provider: "docker", id, proof: request.proof }, { signal: signal() });
  await engine.json("POST", "/containers/create", {
    query: { name: `glovebox-${id}` },
    body: { Image: before.Image, Cmd: ["true"], Labels: labels },
  });
  const ids = (await Array.fromAsync(listSandboxes(docker(), {}))).map(({ ref }) => ref.id);
  expect(ids).not.toContain(id);
  expect(await containersNamed(id)).toEqual([]);
});

test("an image that is not there says how to get it", async () => {
  await expect(create({ image: "glovebox-test/absent:1" })).rejects.toThrow(
    /has no image "glovebox-test\/absent:1"; get it with `docker pull glovebox-test\/absent:1`/u,
  );
});

test("without a worker for orphanedMs it stops, and attach starts it again", async () => {
  const sandbox = await create({ expiry: { orphanedMs: 300 } });
  await sandbox.files.write("/workspace/kept", "still here");
  await sandbox.close();
  await engine.bytes("POST", `/containers/glovebox-${sandbox.id}/wait`);
  const again = await attach(sandbox.id);
  expect(await again.files.readText("/workspace/kept")).toBe("still here");
});

test("root is refused before anything is made", async () => {
  const id = newId();
  await refOf(id);
  const pending = Sandbox.create(docker(), { user: "0" }, { id, ownerKey });
  await expect(pending).rejects.toEqual(coded("unsupported"));
  expect(SandboxError.is(await pending.catch((error: unknown) => error))).toBe(true);
  expect(await containersNamed(id)).toEqual([]);
});

/** Calls `then` when the provider's engine client has sent so many requests. */
function countRequests(then: () => void, after: number): { readonly stop: () => void } {
  const original = engine.constructor.prototype.bytes as (...args: unknown[]) => Promise<unknown>;
  let sent = 0;
  const counting = async function (this: unknown, ...args: unknown[]): Promise<unknown> {
    if (sent++ === after) queueMicrotask(then);
    return await original.apply(this, args);
  };
  engine.constructor.prototype.bytes = counting;
  return { stop: () => void (engine.constructor.prototype.bytes = original) };
}
