import { afterAll, beforeAll, expect, test } from "vitest";
import type { GuestStream } from "../src/guest-stream.ts";
import { docker } from "./guest-container.ts";
import { LiveGuest } from "./live-guest.ts";
import { collected, never, textOf } from "./peer.ts";

const signal = never;
let live: LiveGuest;

beforeAll(async () => {
  live = await LiveGuest.start();
});

afterAll(async () => {
  await live[Symbol.asyncDispose]();
});

const shell = (command: string) => ({ shell: "main", command, cwd: "/workspace", env: {}, output: { maxBytes: 100_000, keep: "tail" } }) as const;

test("the worker dies in mid-call, another takes over and asks for the same call: same result, effect once", async () => {
  const dying = await live.connect();
  const request = shell("echo begun; echo effect >>/workspace/effects; while ! test -e /workspace/go; do sleep 0.02; done; echo ended; exit 3");
  const program = await dying.shell.run(request, { signal, call: { id: "call-1" } });
  dying[Symbol.dispose]();
  await expect(program.exit).rejects.toMatchObject({ code: "unavailable", effect: "unknown" });
  using next = await live.connect();
  expect(await next.calls.status({ id: "call-1" }, { signal })).toBe("running");
  const joined = next.shell.run(request, { signal, call: { id: "call-1" } });
  await docker("exec", "-u", "1000", live.name, "touch", "/workspace/go");
  const ran = await joined;
  expect(textOf(await collected(ran.stdout))).toBe("begun\nended\n");
  expect(await ran.exit).toMatchObject({ code: 3, shellKept: false });
  const again = await next.shell.run(request, { signal, call: { id: "call-1" } });
  expect([textOf(await collected(again.stdout)), await again.exit]).toMatchObject(["begun\nended\n", { code: 3, replayed: true }]);
  expect(textOf(await collected((await next.files.read({ path: "/workspace/effects" }, { signal })).content))).toBe("effect\n");
  await expect(next.shell.run(shell("other"), { signal, call: { id: "call-1" } })).rejects.toMatchObject({
    code: "invalid_argument",
    reason: "call_mismatch",
  });
  await next.calls.release([{ id: "call-1" }], { signal });
  await expect(next.shell.run(request, { signal, call: { id: "call-1" } })).rejects.toMatchObject({
    code: "failed_precondition",
    reason: "call_released",
  });
});

test("an older generation is refused, and may still look; a joiner has no keys", async () => {
  using old = await live.connect();
  using fresh = await live.connect();
  expect(fresh.hello.generation).toBe(old.hello.generation + 1);
  const call = { id: "call-2" };
  const making = { path: "/workspace/d2", mode: 0o755, createParents: false };
  await expect(old.files.mkdir(making, { signal, call })).rejects.toMatchObject({ code: "aborted", effect: "none", reason: "fenced" });
  expect(await old.calls.status(call, { signal })).toBe("unclaimed");
  using joiner = await live.connect("join");
  await expect(joiner.files.mkdir(making, { signal, call })).rejects.toMatchObject({ code: "failed_precondition", effect: "none" });
  await fresh.files.mkdir(making, { signal, call });
  await fresh.files.mkdir(making, { signal, call });
  expect(await fresh.calls.status(call, { signal })).toBe("finished");
});

test("a driver whose stream is cut goes on with the same call and the same shell", async () => {
  const streams: GuestStream[] = [];
  let receiverCut: (() => void) | undefined;
  const connect = async (by: AbortSignal): Promise<GuestStream> => {
    const stream = await live.stream(by);
    streams.push(stream);
    return {
      ...stream,
      start: (receiver) => {
        receiverCut = () => {
          stream.close();
          receiver.closed(new Error("cut"));
        };
        stream.start(receiver);
      },
    };
  };
  const driver = await live.driver({ connect });
  await (
    await driver.shell?.run(shell("KEPT=1"), { signal })
  )?.exit;
  const request = shell("echo x >>/workspace/once; while ! test -e /workspace/go2; do sleep 0.02; done; echo $KEPT");
  const program = await driver.shell?.run(request, { signal, call: { id: "call-3" } });
  receiverCut?.();
  await docker("exec", "-u", "1000", live.name, "touch", "/workspace/go2");
  expect([program && textOf(await collected(program.stdout)), (await program?.exit)?.code]).toEqual(["1\n", 0]);
  expect(streams).toHaveLength(2);
  expect(textOf(await collected((await driver.files.read({ path: "/workspace/once" }, { signal })).content))).toBe("x\n");
  await driver.close({ signal });
});

test("a container that is killed is told by lost, and ends what runs", async () => {
  const doomed = await LiveGuest.start();
  const driver = await doomed.driver();
  const program = await driver.spawn({ argv: ["sleep", "1000"], cwd: "/", env: {}, stdin: "null" }, { signal });
  await docker("kill", doomed.name);
  await expect(program.exit).rejects.toMatchObject({ code: "unavailable", effect: "unknown" });
  await expect(driver.lost).resolves.toMatchObject({ message: "[not_found] container was killed (exit 137)" });
  await driver.destroy({ signal });
});
