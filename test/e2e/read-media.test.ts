import { Sandbox } from "@glovebox/core";
import { docker } from "@glovebox/docker";
import { Worker } from "@glovebox/executor";
import { startSimulator } from "@glovebox/simulator";
import { virtual } from "@glovebox/virtual";
import { expect, test } from "vitest";
import { png, sample } from "../../packages/executor/test/media-samples.ts";
import { ownerKey, removeSandboxes } from "../workers/sandboxes.ts";

test.each([
  ["docker", docker],
  ["virtual", virtual],
] as const)(
  "read shows the model images and PDFs that are in the sandbox: %s",
  async (_, make) => {
    await using simulator = await startSimulator();
    await using _sandboxes = removeSandboxes(simulator);
    const provider = make();
    const { environmentId, environmentKey, url: baseUrl } = simulator;
    const stop = new AbortController();
    const files = { "small.png": sample("png"), "large.png": png({ sizeBytes: 3_000_000 }), "paper.pdf": sample("pdf") };
    const attached = Promise.withResolvers<void>();
    const worker = new Worker({
      ...{ environmentId, environmentKey, baseUrl, provider, ownerKey },
      observer: (event) => {
        if (event.type !== "sandbox.ready") return;
        const fill = async (): Promise<void> => {
          const sandbox = await Sandbox.attach(provider, { provider: provider.name, id: event.sandboxId }, { ownerKey });
          for (const [name, content] of Object.entries(files)) await sandbox.files.write(name, content);
          await sandbox.close();
        };
        fill().then(attached.resolve, attached.reject);
      },
    });
    const running = worker.run(stop.signal);
    const session = simulator.createSession({
      brain: async function* () {
        yield { calls: [{ name: "bash", input: { command: "true" } }] };
        await attached.promise;
        yield { calls: Object.keys(files).map((name) => ({ name: "read", input: { file_path: name } })) };
      },
    });
    const { calls } = await session.finished;
    const sources = calls.slice(1).map(({ result }) => result?.content.map((block) => ("source" in block ? block["source"] : block)));
    expect(sources).toEqual(
      Object.entries(files).map(([name, content]) => [
        { type: "base64", media_type: name.endsWith("pdf") ? "application/pdf" : "image/png", data: Buffer.from(content).toString("base64") },
      ]),
    );
    stop.abort();
    await running;
  },
  120_000,
);
