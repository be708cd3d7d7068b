import { expect, test } from "vitest";
import { bench, tokenOf, type Answer, type Bench, type Client } from "./client.ts";

/** A claimed item of a new session, with the client of its token. */
async function claim({
  simulator,
  worker,
  work,
  client,
}: Bench): Promise<{ readonly workId: string; readonly sessionId: string; readonly holder: Client }> {
  const session = simulator.createSession({ prompt: null });
  const item = (await worker.get(`${work}/poll`)).body;
  await worker.post(`${work}/${item.id}/ack`);
  return { workId: item.id, sessionId: session.id, holder: client(tokenOf(item.secret)) };
}

test("1: an API key is accepted as bearer and as x-api-key, its kind told from its value", async () => {
  await using setup = await bench();
  const headers = { authorization: "", "x-api-key": setup.simulator.apiKey };
  expect((await setup.application.get("/v1/sessions")).status).toBe(200);
  expect((await setup.application.get("/v1/sessions", { headers })).status).toBe(200);
  const key = { authorization: "", "x-api-key": setup.simulator.environmentKey };
  expect((await setup.application.get(`${setup.work}/poll`, { headers: key })).status).toBe(200);
  expect(setup.simulator.requests.map((request) => request.credential)).toEqual(["api_key", "api_key", "environment_key"]);
});

test("2: both API versions, ?beta=true and any x-stainless header are accepted", async () => {
  await using setup = await bench();
  for (const version of ["2026-10-21", "2023-06-01"]) {
    const answer = await setup.worker.get(`${setup.work}/poll?beta=true`, {
      headers: { "anthropic-version": version, "x-stainless-lang": "js", "x-stainless-new": "1" },
    });
    expect([answer.status, answer.body]).toEqual([200, null]);
  }
});

test("3: without a credential the answer is 401 in the envelope, with the request's id in header and body", async () => {
  await using setup = await bench();
  const answer = await setup.application.get("/v1/sessions", { headers: { authorization: "" } });
  expect(answer.status).toBe(401);
  expect(answer.body).toEqual({
    type: "error",
    error: { type: "authentication_error", message: "No credential: send `authorization: Bearer …` or `x-api-key`." },
    request_id: answer.headers.get("request-id"),
  });
  expect(answer.headers.get("request-id")).toMatch(/^req_\w+$/);
  const wrong = await setup.client("sk-ant-api03-wrong").get("/v1/sessions");
  expect([wrong.status, wrong.body.error.type]).toEqual([401, "authentication_error"]);
});

test("4: a revoked environment key fails on the very next call", async () => {
  await using setup = await bench();
  expect((await setup.worker.get(`${setup.work}/poll`)).status).toBe(200);
  setup.simulator.revokeEnvironmentKey();
  const answer = await setup.worker.get(`${setup.work}/poll`);
  expect([answer.status, answer.body.error.type]).toEqual([401, "authentication_error"]);
  const renewed = setup.client(setup.simulator.issueEnvironmentKey());
  expect((await renewed.get(`${setup.work}/poll`)).status).toBe(200);
});

test("5: an environment key on another environment's path is refused, with the configured status", async () => {
  for (const foreignStatus of [403, 404] as const) {
    await using setup = await bench({ behaviour: { foreignStatus } });
    const other = setup.simulator.createEnvironment();
    expect((await setup.worker.get(`/v1/environments/${other.id}/work/poll`)).status).toBe(foreignStatus);
    expect((await setup.client(other.key).get(`/v1/environments/${other.id}/work/poll`)).status).toBe(200);
    const session = setup.simulator.createSession({ environmentId: other.id });
    expect((await setup.worker.get(`/v1/sessions/${session.id}`)).status).toBe(foreignStatus);
  }
});

test("6: work list takes the environment key and no API key", async () => {
  await using setup = await bench();
  expect((await setup.worker.get(setup.work)).body).toEqual({ data: [], next_page: null });
  const answer = await setup.application.get(setup.work);
  expect([answer.status, answer.body.error.type]).toEqual([403, "permission_error"]);
  await using lax = await bench({ behaviour: { workListWithApiKey: "accept" } });
  expect((await lax.application.get(lax.work)).status).toBe(200);
});

test("7: work retrieve and update take an API key only", async () => {
  await using setup = await bench();
  const { workId, holder } = await claim(setup);
  const path = `${setup.work}/${workId}`;
  for (const refused of [setup.worker, holder]) {
    expect((await refused.get(path)).status).toBe(403);
    expect((await refused.post(path, { metadata: {} })).status).toBe(403);
  }
  expect((await setup.application.get(path)).body.id).toBe(workId);
  expect((await setup.application.post(path, { metadata: { host: "a" } })).body.metadata).toEqual({ host: "a" });
});

test("8: stats and stop take API key and environment key, stop the item's token too", async () => {
  await using setup = await bench();
  for (const client of [setup.application, setup.worker]) expect((await client.get(`${setup.work}/stats`)).status).toBe(200);
  for (const by of ["application", "worker", "holder"] as const) {
    const claimed = await claim(setup);
    const client = by === "holder" ? claimed.holder : setup[by];
    expect((await client.post(`${setup.work}/${claimed.workId}/stop`, {})).body.state).toBe("stopping");
  }
});

test("9: the token of one item opens neither another item nor another session", async () => {
  await using setup = await bench();
  const [first, second] = [await claim(setup), await claim(setup)];
  expect((await first.holder.post(`${setup.work}/${second.workId}/heartbeat`)).status).toBe(403);
  expect((await first.holder.post(`${setup.work}/${second.workId}/stop`, { force: true })).status).toBe(403);
  for (const path of ["", "/events", "/events/stream"]) expect((await first.holder.get(`/v1/sessions/${second.sessionId}${path}`)).status).toBe(403);
  expect((await first.holder.get(`/v1/sessions/${first.sessionId}`)).status).toBe(200);
});

test("12: without the beta header a gated path does not exist", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession({ prompt: null });
  const of = `/v1/sessions/${session.id}`;
  const gated = [
    `${setup.work}/poll`,
    setup.work,
    `${setup.work}/stats`,
    "/v1/sessions",
    of,
    `${of}/events`,
    `${of}/events/stream`,
    `${of}/threads`,
    `${of}/resources`,
  ];
  for (const path of gated) {
    for (const beta of ["", "skills-2025-10-02", "agent-memory-2026-07-22"]) {
      const answer = await setup.application.get(path, { headers: { "anthropic-beta": beta } });
      expect([path, beta, answer.status, answer.body.error.type]).toEqual([path, beta, 404, "not_found_error"]);
    }
  }
  const several = await setup.worker.get(`${setup.work}/poll`, { headers: { "anthropic-beta": "skills-2025-10-02, managed-agents-2026-04-01" } });
  expect(several.status).toBe(200);
});

test("13: bracketed arrays parse, percent-encoded or not", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession();
  await session.finished;
  for (const key of ["types[]", "types%5B%5D"]) {
    const { body } = await setup.application.get(`/v1/sessions/${session.id}/events?${key}=session.status_idle&${key}=user.message`);
    expect(body.data.map((event: { type: string }) => event.type)).toEqual(["user.message", "session.status_idle"]);
  }
  expect((await setup.application.get("/v1/sessions?statuses%5B%5D=terminated")).body.data).toEqual([]);
  expect((await setup.application.get("/v1/sessions?statuses[]=idle")).body.data).toHaveLength(1);
});

test("14: retry headers are injected with a fault, on the chosen occurrences only", async () => {
  await using setup = await bench();
  const headers = { "x-should-retry": "false", "retry-after-ms": "5", "retry-after": "1" };
  const fault = setup.simulator.addRequestFault({ endpoint: "work.poll", nth: 2, times: 2, status: 529, headers });
  const answers: Answer[] = [];
  for (let attempt = 0; attempt < 4; attempt++) answers.push(await setup.worker.get(`${setup.work}/poll`));
  expect(answers.map((answer) => answer.status)).toEqual([200, 529, 529, 200]);
  expect(answers[1]?.body.error.type).toBe("overloaded_error");
  expect(Object.keys(headers).map((name) => answers[1]?.headers.get(name))).toEqual(["false", "5", "1"]);
  expect(fault.struck).toBe(2);
});

test("69: a body that is too large is 413, one that is no JSON 400", async () => {
  await using setup = await bench();
  const session = setup.simulator.createSession();
  const path = `/v1/sessions/${session.id}/events`;
  expect((await setup.application.post(path, "{nonsense")).body.error.message).toBe("The request body is not valid JSON.");
  const large = { events: [{ type: "user.message", content: [{ type: "text", text: "x".repeat(33 * 1024 * 1024) }] }] };
  const { status, body } = await setup.application.post(path, large);
  expect([status, body.error.type]).toEqual([413, "request_too_large"]);
});

test("a path that is no valid encoding and a traversal match no endpoint", async () => {
  await using setup = await bench();
  for (const path of ["/v1/sessions/%E0%A4%A", "/v1/sessions//events", "/v1/sessions/a%2Fb/c/d"])
    expect((await setup.application.get(path)).status).toBe(404);
});

test("a lost response was committed, a cut one was not", async () => {
  await using setup = await bench();
  setup.simulator.addRequestFault({ endpoint: "sessions.create", nth: 1, cut: "before" });
  setup.simulator.addRequestFault({ endpoint: "sessions.create", nth: 2, cut: "after" });
  const body = { agent: setup.simulator.agentId, environment_id: setup.simulator.environmentId };
  await expect(setup.application.post("/v1/sessions", body)).rejects.toThrow("fetch failed");
  expect((await setup.application.get("/v1/sessions")).body.data).toHaveLength(0);
  await expect(setup.application.post("/v1/sessions", body)).rejects.toThrow("fetch failed");
  expect((await setup.application.get("/v1/sessions")).body.data).toHaveLength(1);
  expect(setup.simulator.requests.filter((request) => request.endpoint === "sessions.create").map((request) => request.status)).toEqual([null, null]);
});

test("the request log names kinds and never holds a credential", async () => {
  await using setup = await bench();
  await claim(setup);
  const text = JSON.stringify(setup.simulator.requests);
  expect(text).toContain('"credential":"environment_key"');
  expect(text).not.toContain("sk-ant-");
});

test("closing ends polls and streams, reports open sessions as abandoned, and can be repeated", async () => {
  const setup = await bench();
  const session = setup.simulator.createSession({ script: { turns: [{ calls: [{ name: "bash" }] }] } });
  await setup.worker.get(`${setup.work}/poll`);
  const poll = setup.worker.get(`${setup.work}/poll?block_ms=999`).catch(() => "closed");
  await setup.simulator[Symbol.asyncDispose]();
  await setup.simulator[Symbol.asyncDispose]();
  await poll;
  expect(await session.finished).toMatchObject({ status: "abandoned" });
});
