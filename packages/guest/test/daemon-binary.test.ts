import { expect, test } from "vitest";
import { DaemonContainer } from "./daemon-harness.ts";
import { architecture, daemon, docker } from "./guest-container.ts";
import { image } from "./image.ts";

test("the daemon tells its version and its protocol", async () => {
  const said = await docker("run", "--rm", "--network", "none", ...daemon.mounts, image, ...daemon.program, "version");
  expect(said).toMatch(/^\{"protocol":1,"version":"\d+\.\d+\.\d+"\}\n$/u);
});

test("it is for the architecture that it says, and starts the machine's own programs", { timeout: 30_000 }, async () => {
  await using guest = await DaemonContainer.start();
  const peer = await guest.connect();
  expect(await peer.hello()).toMatchObject({ protocol: 1, arch: architecture });
  const machine = process.arch === "arm64" ? "aarch64" : "x86_64";
  expect((await peer.exec(["uname", "-m"])).output.toString()).toBe(`${machine}\n`);
});
