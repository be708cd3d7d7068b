import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { betaAgentToolset20260401 } from "@anthropic-ai/sdk/tools/agent-toolset/node";
import { checkConversation, startSimulator, type Script, type Simulator } from "@glovebox/simulator";
import { expect, test } from "vitest";
import { bash, helperClient } from "./official.ts";

const tokenIn = (secret: string): string => JSON.parse(Buffer.from(secret, "base64url").toString()).sessions_token;

const add = betaTool({
  name: "add",
  description: "Adds two numbers.",
  inputSchema: { type: "object", properties: { left: { type: "number" }, right: { type: "number" } } },
  run: (input) => String((input as { left: number }).left + (input as { right: number }).right),
});

const sums: Script = {
  turns: [1, 2].map((left) => ({ calls: [{ name: "add", kind: "custom", input: { left, right: 3 }, expect: { equals: String(left + 3) } }] })),
};

async function workdir(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), "glovebox-official-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}

test("the official poller and tool runner serve sessions by themselves, until the queue is drained", async () => {
  await using simulator = await startSimulator();
  const { client } = helperClient(simulator);
  const { environmentId, environmentKey } = simulator;
  const sessions = [simulator.createSession({ script: sums }), simulator.createSession({ script: sums })];
  simulator.enqueueHealthcheck();
  const results: (readonly [string, boolean])[] = [];
  const kinds: unknown[] = [];
  for await (const work of client.beta.environments.work.poller({ environmentId, environmentKey, drain: true, workerId: "poller" })) {
    kinds.push(work.data.type);
    if (work.data.type !== "session") continue;
    const { secret } = work as { readonly secret?: string };
    const scoped = new Anthropic({ authToken: tokenIn(secret ?? ""), apiKey: null, baseURL: simulator.url });
    for await (const call of scoped.beta.sessions.events.toolRunner(work.data.id, { tools: [add], maxIdleMs: 30 }))
      results.push([call.name, call.posted]);
  }
  expect(kinds).toEqual(["session", "session", "healthcheck"]);
  for (const session of sessions) expect((await session.finished).failures).toEqual([]);
  expect(results).toEqual(Array.from({ length: 4 }, () => ["add", true]));
  const stops = simulator.requests.filter((request) => request.endpoint === "work.stop");
  expect(stops.map(({ credential, helper }) => [credential, helper])).toEqual(
    Array.from({ length: 3 }, () => ["environment_key", "environments-work-poller"]),
  );
  expect(sessions.map((session) => session.work[0]?.state)).toEqual(["stopping", "stopping"]);
  expect(simulator.requests.findLast((request) => request.endpoint === "work.poll")?.workerId).toBe("poller");
});

/** The drain pattern of reference 13.4: a server that verifies deliveries and serves whatever is queued. */
async function hookServer(
  simulator: Simulator,
  directory: string,
): Promise<AsyncDisposable & { readonly url: string; key: string; readonly answers: number[] }> {
  const { client } = helperClient(simulator);
  const { environmentId, environmentKey } = simulator;
  const worker = client.beta.environments.work.worker({ workdir: directory, maxIdleMs: 30, tools: (context) => betaAgentToolset20260401(context) });
  const serving: Promise<void>[] = [];
  const serve = async (): Promise<void> => {
    const poller = client.beta.environments.work.poller({
      environmentId,
      environmentKey,
      blockMs: null,
      reclaimOlderThanMs: 2_000,
      drain: true,
      autoStop: false,
    });
    for await (const work of poller) {
      const { secret } = work as { readonly secret?: string };
      await worker.handleItem({ workId: work.id, environmentId, sessionId: work.data.id, ...(secret === undefined ? {} : { workSecret: secret }) });
    }
  };
  const state = { key: "", answers: [] as number[] };
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const answer = (status: number): void => {
        state.answers.push(status);
        response.writeHead(status).end();
      };
      try {
        const event = client.beta.webhooks.unwrap(Buffer.concat(chunks).toString(), {
          headers: request.headers as Record<string, string>,
          key: state.key,
        });
        if (event.data.type === "session.status_run_started") serving.push(serve());
        answer(200);
      } catch {
        answer(401);
      }
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(state, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      await Promise.allSettled(serving);
      server.close();
      server.closeAllConnections();
    },
  });
}

test("91, 92: a webhook drives the drain pattern, over forged and repeated deliveries", async () => {
  await using directory = await workdir();
  await using simulator = await startSimulator({ behaviour: { webhookDelayBoundsMs: [20, 40] } });
  await using server = await hookServer(simulator, directory.path);
  const hook = simulator.createWebhook({ url: server.url, types: ["session.status_run_started"] });
  server.key = hook.signingKey;
  simulator.addWebhookFault({ kind: "wrong_key" });
  simulator.addWebhookFault({ kind: "duplicate", nth: 2 });
  const session = simulator.createSession({
    script: {
      turns: [
        { calls: [bash("echo once >> ran.txt")] },
        { idle: { type: "end_turn" } },
        { calls: [{ ...bash("cat ran.txt"), expect: { equals: "once" } }] },
      ],
    },
  });
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.status === 200);
  session.sendMessage("And now?");
  expect((await session.finished).failures).toEqual([]);
  expect(session.work).toHaveLength(2);
  expect(server.answers.slice(0, 3)).toEqual([401, 200, 200]);
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.workId === session.work[1]?.id);
  expect(checkConversation(simulator.requests, { over: true })).toEqual([]);
  expect(
    new Set(simulator.requests.filter((request) => request.helper?.includes("environments-worker")).map((request) => request.credential)),
  ).toEqual(new Set(["sessions_token"]));
});

test("14: the client makes three requests by default, one where the server says so, and waits as long as it is told", async () => {
  await using simulator = await startSimulator();
  const client = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const attempts = async (status: number, headers: Readonly<Record<string, string>>): Promise<readonly [number, number]> => {
    simulator.clearFaults();
    const fault = simulator.addRequestFault({ endpoint: "sessions.list", status, headers, times: Infinity });
    const before = performance.now();
    await expect(client.beta.sessions.list()).rejects.toMatchObject({ status });
    return [fault.struck, performance.now() - before];
  };
  for (const status of [409, 429, 500, 529]) expect([status, (await attempts(status, { "retry-after-ms": "1" }))[0]]).toEqual([status, 3]);
  expect((await attempts(500, { "x-should-retry": "false" }))[0]).toBe(1);
  expect((await attempts(400, {}))[0]).toBe(1);
  expect((await attempts(400, { "x-should-retry": "true", "retry-after-ms": "1" }))[0]).toBe(3);
  expect((await attempts(503, { "retry-after-ms": "150" }))[1]).toBeGreaterThan(290);
  const [, slowMs] = await attempts(503, { "retry-after": "1" });
  expect(slowMs).toBeGreaterThan(1_900);
});

test("15: a client that is refused by a rate limit gets through when it waits as it is told", async () => {
  await using simulator = await startSimulator({ behaviour: { rateLimits: { create: 30 } } });
  const client = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const created = await Promise.all(Array.from({ length: 31 }, (_, index) => client.beta.memoryStores.create({ name: `store ${index}` })));
  expect(new Set(created.map(({ id }) => id)).size).toBe(31);
  const statuses = simulator.requests.map((request) => request.status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(31);
  expect(statuses.filter((status) => status === 429).length).toBeGreaterThan(0);
});
