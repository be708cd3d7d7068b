import { expect, test } from "vitest";
import { decodeWorkSecret } from "../src/work-secret.ts";
import { startHarness } from "./harness.ts";

const script = { turns: [{ calls: [{ name: "bash", input: { command: "one" } }] }, { calls: [{ name: "bash", input: { command: "two" } }] }] };
const secretWith = (apiBaseUrl: string) => (body: unknown) => {
  const { secret, ...work } = (body ?? {}) as { readonly secret?: string };
  if (secret === undefined) return body;
  const payload = JSON.parse(Buffer.from(secret, "base64url").toString("utf8")) as object;
  return { ...work, secret: Buffer.from(JSON.stringify({ ...payload, api_base_url: apiBaseUrl })).toString("base64url") };
};

/** A `fetch` that tells where each request went with which credential, and reaches the control plane by a second name too. */
function watched(url: string, alias: string, refuses: () => boolean = () => false) {
  const sent: { readonly origin: string; readonly path: string; readonly credential: string }[] = [];
  const watchedFetch: typeof fetch = async (input, init) => {
    if (typeof input !== "string") throw new TypeError("this fetch takes a URL in text");
    const target = new URL(input);
    const credential = new Headers(init?.headers).get("authorization")?.replace("Bearer ", "") ?? "";
    sent.push({ origin: target.origin, path: target.pathname, credential });
    if (target.origin === alias && refuses())
      return Response.json({ type: "error", error: { type: "authentication_error", message: "no" } }, { status: 401 });
    return await fetch(input.replace(alias, url), init);
  };
  return { sent, fetch: watchedFetch };
}

test("the token of an item's secret, in every form that is seen", () => {
  const payload = JSON.stringify({ sessions_token: "sk-ant-req-ü?>", api_base_url: "x" });
  const base64 = Buffer.from(payload).toString("base64");
  for (const secret of [base64, base64.replaceAll("=", ""), Buffer.from(payload).toString("base64url")]) {
    expect(decodeWorkSecret(secret)).toEqual({ token: "sk-ant-req-ü?>", apiBaseUrl: "x" });
  }
  const others = [
    "",
    null,
    undefined,
    5,
    "garbage",
    ...["[]", "null", "7", '{"sessions_token":""}', '{"sessions_token":5}', "{}"].map((text) => Buffer.from(text).toString("base64url")),
  ];
  for (const secret of others) expect(decodeWorkSecret(secret)).toBeUndefined();
});

test("a base URL of an item's secret that is not allowed is refused and told, and the configured one is used", async () => {
  await using harness = await startHarness();
  const { url } = harness.simulator;
  harness.simulator.addRequestFault({ endpoint: "work.poll", times: Infinity, transform: secretWith("https://elsewhere.test/path?key=secret") });
  const session = harness.session({ script });
  const { sent, fetch: fetchFunction } = watched(url, "https://elsewhere.test");
  const worker = harness.work({ fetch: fetchFunction });
  expect((await session.finished).calls.map(({ result }) => result?.text)).toEqual(["one", "two"]);
  expect(worker.ofType("item.base_url_refused")).toMatchObject([{ origin: "https://elsewhere.test" }]);
  expect(new Set(sent.map(({ origin }) => origin))).toEqual(new Set([new URL(url).origin]));
});

test.each([
  ["https://elsewhere.test", "https://elsewhere.test/"],
  ["https://elsewhere.test/", "https://elsewhere.test"],
])("a base URL that is allowed gets the item's requests with its token, and never the environment's key: %s for %s", async (allowed, named) => {
  await using harness = await startHarness();
  const { url, environmentKey } = harness.simulator;
  harness.simulator.addRequestFault({ endpoint: "work.poll", times: Infinity, transform: secretWith(named) });
  const session = harness.session({ script });
  let refuses = false;
  const { sent, fetch: fetchFunction } = watched(url, "https://elsewhere.test", () => refuses);
  const worker = harness.work({ fetch: fetchFunction, allowedBaseUrls: [allowed], maxIdleMs: 20 });
  expect((await session.finished).calls.map(({ result }) => result?.text)).toEqual(["one", "two"]);
  refuses = true;
  expect(await worker.until("item.ended")).toMatchObject({ stopped: false });
  const paths = (origin: string): Set<string> =>
    new Set(sent.filter((request) => request.origin === origin).map(({ path }) => path.split("/").at(-1) ?? ""));
  expect(paths(new URL(url).origin).isDisjointFrom(new Set(["heartbeat", "stream", "events", "stop", session.id]))).toBe(true);
  expect(paths("https://elsewhere.test")).toEqual(new Set(["heartbeat", "stream", "events", "stop", session.id]));
  expect(sent.filter(({ origin, credential }) => origin === "https://elsewhere.test" && credential === environmentKey)).toEqual([]);
  expect(worker.ofType("item.base_url_refused")).toEqual([]);
});

test.each(["https://user@elsewhere.test", "https://elsewhere.test/?a=b", "https://elsewhere.test:444", "http://elsewhere.test", "nonsense"])(
  "only the very place that is allowed is allowed, not %s",
  async (named) => {
    await using harness = await startHarness();
    harness.simulator.addRequestFault({ endpoint: "work.poll", times: Infinity, transform: secretWith(named) });
    const session = harness.session({ script });
    const worker = harness.work({ allowedBaseUrls: ["https://elsewhere.test"] });
    await session.finished;
    expect(worker.ofType("item.base_url_refused")).toHaveLength(1);
  },
);

test("a token that is refused in mid-session is replaced by the environment's key, and no call is run twice", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({
    endpoint: "*",
    where: ({ credential, endpoint }) => credential === "sessions_token" && endpoint !== "work.heartbeat",
    nth: 4,
    times: Infinity,
    status: 401,
  });
  const session = harness.session({ script });
  const worker = harness.work({ maxIdleMs: 20 });
  expect((await session.finished).calls.map(({ result }) => result?.text)).toEqual(["one", "two"]);
  expect(await worker.until("item.ended")).toMatchObject({ because: "idle", stopped: true });
  expect(worker.ofType("item.token_refused")).toHaveLength(1);
  expect(harness.sandboxes.commands).toEqual(["one", "two"]);
  expect(harness.simulator.requests.findLast(({ endpoint }) => endpoint === "events.send")?.credential).toBe("environment_key");
  expect(harness.simulator.requests.filter(({ status }) => status === 401)).toHaveLength(1);
});

test("a token and then the key refused: the item fails, and nothing loops", async () => {
  await using harness = await startHarness();
  harness.simulator.addRequestFault({
    endpoint: "*",
    where: ({ endpoint }) => endpoint !== "work.poll" && endpoint !== "work.ack",
    times: Infinity,
    status: 401,
  });
  harness.session({ script });
  const worker = harness.work({ sweepMs: 0 });
  expect(await worker.until("item.ended")).toMatchObject({ because: "failed", stopped: false });
  expect(harness.simulator.requests.filter(({ status }) => status === 401).length).toBeLessThan(12);
});

test("each delivery of an item brings its own token", async () => {
  await using harness = await startHarness({ behaviour: { leaseTtlMs: 4_000 } });
  const session = harness.session({ script: { turns: [{ calls: [{ name: "bash", input: { command: "x" }, permission: "ask" }] }] } });
  const { sent, fetch: fetchFunction } = watched(harness.simulator.url, "https://elsewhere.test");
  const worker = harness.work({ fetch: fetchFunction });
  const { callId } = await worker.until("call.held");
  session.expireLease();
  await worker.until("item.claimed", () => worker.ofType("item.claimed").length === 2);
  await worker.until("call.held", () => worker.ofType("call.held").length === 2);
  session.confirm(callId, "allow");
  await session.finished;
  const streams = sent.filter(({ path }) => path.endsWith("/stream")).map(({ credential }) => credential);
  expect(new Set(streams).size).toBe(2);
  expect(sent.findLast(({ path }) => path.endsWith("/events"))?.credential).toBe(streams.at(-1));
});
