import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import { betaTool } from "@anthropic-ai/sdk/helpers/beta/json-schema";
import { betaAgentToolset20260401 } from "@anthropic-ai/sdk/tools/agent-toolset/node";
import { startSimulator, type Brain, type Script, type SessionHandle, type Simulator, type SimulatorOptions } from "@glovebox/simulator";
import { expect, test } from "vitest";

// The official EnvironmentWorker runs its tools on this machine: scripts here call nothing but echo, cat and ls in a fresh directory.

interface Running extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly workdir: string;
  /** End the worker and wait for it. */
  stopWorker(): Promise<void>;
}

interface RunOptions {
  readonly simulator?: SimulatorOptions;
  readonly maxIdleMs?: number;
  readonly tools?: readonly ReturnType<typeof betaTool>[];
}

async function run({ simulator: options = {}, maxIdleMs = 30, tools = [] }: RunOptions = {}): Promise<Running> {
  await using stack = new AsyncDisposableStack();
  const workdir = await mkdtemp(join(tmpdir(), "glovebox-official-"));
  stack.defer(() => rm(workdir, { recursive: true, force: true }));
  const simulator = stack.use(await startSimulator(options));
  // a key that the worker's helpers must never send: every request is checked for it by the log's credential kinds
  const client = new Anthropic({ apiKey: "sk-ant-api03-parent-key-of-no-account", baseURL: simulator.url, logLevel: "off" });
  const abort = new AbortController();
  const worker = client.beta.environments.work.worker({
    environmentId: simulator.environmentId,
    environmentKey: simulator.environmentKey,
    workdir,
    maxIdleMs,
    workerId: "official",
    tools: (context) => [...betaAgentToolset20260401(context), ...tools],
  });
  const running = worker.run(abort.signal).catch((error: unknown) => {
    if (!abort.signal.aborted) throw error;
  });
  const stopWorker = async (): Promise<void> => {
    abort.abort();
    await running;
  };
  stack.defer(stopWorker);
  const owned = stack.move();
  return { simulator, workdir, stopWorker, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

const bash = (command: string): { readonly name: string; readonly input: { readonly command: string } } => ({ name: "bash", input: { command } });

/** Endpoints that the worker called for a session, in order, without polls, heartbeats and repeated lists. */
function endpointsOf(simulator: Simulator): readonly string[] {
  return simulator.requests.map((request) => request.endpoint ?? request.path).filter((name) => name !== "work.poll" && name !== "work.heartbeat");
}

/** Wait until the session's event stream is open and its history read, so that what follows arrives live. */
async function attached(simulator: Simulator, session: SessionHandle): Promise<void> {
  await simulator.waitForRequest((request) => request.endpoint === "events.list" && request.sessionId === session.id);
}

async function stopped(simulator: Simulator, session: SessionHandle): Promise<void> {
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.workId === session.work[0]?.id);
}

test("a whole session: tools, several calls in a turn, files that stay", async () => {
  await using running = await run();
  const { simulator, workdir } = running;
  await writeFile(join(workdir, "notes.txt"), "first line\nsecond line\n");
  const script: Script = {
    name: "whole session",
    turns: [
      {
        message: "Looking around.",
        calls: [
          { ...bash("ls"), expect: { equals: "notes.txt", isError: false } },
          { ...bash("cat notes.txt"), expect: { equals: "first line\nsecond line" } },
          { name: "read", input: { file_path: "notes.txt", view_range: [2, 2] }, expect: { contains: "second line" } },
        ],
      },
      { calls: [{ name: "write", input: { file_path: "out/answer.txt", content: "42\n" }, expect: { equals: "wrote 3 bytes to out/answer.txt" } }] },
      {
        calls: [{ name: "edit", input: { file_path: "out/answer.txt", old_string: "42", new_string: "43" }, expect: { contains: "1 replacement" } }],
      },
      { calls: [{ ...bash("cat out/answer.txt; cat missing"), expect: { isError: true, matches: "^43\\n.*missing" } }] },
      { calls: [{ name: "glob", input: { pattern: "**/*.txt" }, expect: { contains: ["notes.txt", "out/answer.txt"] } }] },
      { message: "Done." },
    ],
  };
  const session = simulator.createSession({ script });
  const report = await session.finished;
  expect(report.failures).toEqual([]);
  expect(report).toMatchObject({ status: "completed", passed: true, turns: 6 });
  expect(await readFile(join(workdir, "out/answer.txt"), "utf8")).toBe("43\n");
  await stopped(simulator, session);
  expect(endpointsOf(simulator)).toEqual([
    "work.ack",
    "sessions.retrieve",
    "events.stream",
    "events.list",
    ...Array.from({ length: 7 }, () => "events.send"),
    "work.stop",
  ]);
  expect(session.work).toMatchObject([{ state: "stopped" }]);
  expect(new Set(simulator.requests.map((request) => request.credential))).toEqual(new Set(["environment_key", "sessions_token"]));
  for (const call of report.calls) expect(call.settledAtMs).toBeGreaterThan(call.emittedAtMs);
});

test("a brain in code sees results and decides by them", async () => {
  await using running = await run();
  const brain: Brain = async function* () {
    const [listed] = yield { calls: [bash("echo 3")] };
    const count = Number(listed?.result?.text);
    const echoed = yield { calls: Array.from({ length: count }, (_, index) => bash(`echo call ${index}`)) };
    yield { message: echoed.map((call) => call.result?.text).join(", ") };
  };
  const session = running.simulator.createSession({ brain });
  expect((await session.finished).calls).toHaveLength(4);
  expect(session.events.findLast((event) => event.type === "agent.message")?.["content"]).toEqual([{ type: "text", text: "call 0, call 1, call 2" }]);
});

test("allow, ask and deny: only what is allowed runs", async () => {
  await using running = await run();
  const session = running.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { ...bash("echo allowed"), permission: "allow", expect: { equals: "allowed" } },
            {
              ...bash("echo confirmed >> ran.txt; echo confirmed"),
              permission: "ask",
              confirm: { result: "allow", afterMs: 20 },
              expect: { equals: "confirmed" },
            },
            {
              ...bash("echo refused >> ran.txt"),
              permission: "ask",
              confirm: { result: "deny", denyMessage: "not today" },
              expect: { outcome: "denied", contains: "not today" },
            },
            { ...bash("echo forbidden >> ran.txt"), permission: "deny", expect: { outcome: "denied", isError: true } },
            { ...bash("echo unknown"), permission: "later_perhaps", confirm: { result: "allow" }, expect: { equals: "unknown" } },
          ],
        },
        { calls: [{ ...bash("cat ran.txt"), expect: { equals: "confirmed" } }] },
      ],
    },
  });
  expect((await session.finished).failures).toEqual([]);
});

test("custom tools are answered by their own kind, unowned ones by the application", async () => {
  const add = betaTool({
    name: "add",
    description: "Adds two numbers.",
    inputSchema: { type: "object", properties: { left: { type: "number" }, right: { type: "number" } } },
    run: (input) => String((input as { left: number }).left + (input as { right: number }).right),
  });
  await using running = await run({ tools: [add] });
  const session = running.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { name: "add", kind: "custom", input: { left: 2, right: 3 }, expect: { equals: "5" } },
            { name: "ask_operator", kind: "custom", answer: { by: "application", text: "yes", afterMs: 30 }, expect: { equals: "yes" } },
            { name: "web_search", answer: { by: "server", text: "found" }, expect: { equals: "found" } },
            { name: "lookup", kind: "mcp", answer: { by: "server", text: "from the server" } },
          ],
        },
      ],
    },
  });
  const report = await session.finished;
  expect(report.failures).toEqual([]);
  const sent = running.simulator.requests.flatMap((request) => request.sent);
  expect(sent).toEqual([{ type: "user.custom_tool_result", toolUseId: report.calls[0]?.id }]);
});

test("76: calls of other threads are served, those of a terminated one dropped", async () => {
  await using running = await run();
  const session = running.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { ...bash("echo primary"), expect: { equals: "primary" } },
            { ...bash("echo helper"), thread: "helper", expect: { equals: "helper" } },
            { ...bash("echo never >> ran.txt"), thread: "doomed", permission: "ask", expect: { outcome: "dropped" } },
          ],
          terminateThreads: ["doomed"],
        },
        { calls: [{ ...bash("cat ran.txt"), expect: { isError: true } }] },
      ],
    },
  });
  expect((await session.finished).failures).toEqual([]);
});

test("an interrupt closes what is open, and the next turn is served", async () => {
  await using running = await run();
  const session = running.simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { ...bash("echo first"), expect: { equals: "first" } },
            { name: "nobody_has_this", expect: { outcome: "interrupted" } },
          ],
          interrupt: { afterSettled: 1 },
        },
        { user: "Go on.", calls: [{ ...bash("echo second"), expect: { equals: "second" } }] },
      ],
    },
  });
  const report = await session.finished;
  expect(report.failures).toEqual([]);
  expect(report.calls.map((call) => call.outcome)).toEqual(["result", "interrupted", "result"]);
});

test("a session terminated while its worker waits ends the item, whose force-stop comes once", async () => {
  await using running = await run({ maxIdleMs: 60_000 });
  const session = running.simulator.createSession({ script: { turns: [{ calls: [bash("echo once")] }, { end: "terminated" }] } });
  expect(await session.finished).toMatchObject({ status: "terminated", passed: true });
  await stopped(running.simulator, session);
  expect(endpointsOf(running.simulator).filter((name) => name === "work.stop")).toEqual(["work.stop"]);
});

test("a deleted session ends the stream and the item", async () => {
  await using running = await run({ maxIdleMs: 60_000 });
  const session = running.simulator.createSession({ script: { turns: [{ calls: [bash("echo once")] }, { end: "deleted" }] } });
  expect(await session.finished).toMatchObject({ status: "deleted" });
  await running.simulator.waitForRequest((request) => request.endpoint === "work.stop");
});

test("44: the item of a terminated session is stopped without a stream being opened", async () => {
  await using simulator = await startSimulator();
  const session = simulator.createSession({ prompt: null });
  session.archive();
  const client = new Anthropic({ apiKey: "unused", baseURL: simulator.url, logLevel: "off" });
  const abort = new AbortController();
  const worker = client.beta.environments.work.worker({ environmentId: simulator.environmentId, environmentKey: simulator.environmentKey });
  const running = worker.run(abort.signal);
  await simulator.waitForRequest((request) => request.endpoint === "work.stop");
  abort.abort();
  await running.catch(() => undefined);
  expect(endpointsOf(simulator)).toEqual(["work.ack", "sessions.retrieve", "work.stop"]);
});

test("52: a stream that is cut is reopened, and a call that was lost with it is found in history", async () => {
  for (const kind of ["cut", "cut_mid_frame", "end", "error", "invalid_json"] as const) {
    await using running = await run();
    const { simulator } = running;
    const fault = simulator.addStreamFault({ kind, where: (event) => event.type === "agent.tool_use", nth: 2 });
    const session = simulator.createSession({
      prompt: null,
      script: { turns: [{ calls: [bash("echo one >> ran.txt")] }, { calls: [bash("echo two >> ran.txt")] }, { calls: [bash("cat ran.txt")] }] },
    });
    await attached(simulator, session);
    session.sendMessage("Begin.");
    const report = await session.finished;
    expect([kind, report.calls.at(-1)?.result?.text, fault.struck]).toEqual([kind, "one\ntwo", 1]);
    expect(endpointsOf(simulator).filter((name) => name === "events.stream")).toHaveLength(2);
  }
});

test("55: a call that the stream carries twice runs once", async () => {
  await using running = await run();
  const fault = running.simulator.addStreamFault({ kind: "duplicate", times: Infinity });
  const session = running.simulator.createSession({
    prompt: null,
    script: { turns: [{ calls: [bash("echo once >> ran.txt")] }, { calls: [{ ...bash("cat ran.txt"), expect: { equals: "once" } }] }] },
  });
  await attached(running.simulator, session);
  session.sendMessage("Begin.");
  expect((await session.finished).failures).toEqual([]);
  expect(fault.struck).toBeGreaterThan(0);
});

test("35: a lost lease is let go without a stop, and the item is served anew", async () => {
  await using running = await run({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  const brain: Brain = async function* () {
    yield { calls: [{ ...bash("echo before"), expect: { equals: "before" } }] };
    await simulator.waitForRequest((request) => request.status === 412);
    yield { calls: [{ ...bash("echo after"), expect: { equals: "after" } }] };
  };
  const session = simulator.createSession({ brain });
  await session.waitForEvent((event) => event.type === "user.tool_result");
  session.expireLease();
  expect((await session.finished).failures).toEqual([]);
  const refused = simulator.requests.filter((request) => request.status === 412);
  expect(refused.map((request) => request.endpoint)).toEqual(["work.heartbeat"]);
  expect(endpointsOf(simulator).filter((name) => name === "work.ack")).toHaveLength(2);
  expect(endpointsOf(simulator)).not.toContain("work.stop");
});

test("36: a heartbeat whose response is lost makes the official worker give up a lease that it holds", async () => {
  await using running = await run({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  simulator.addRequestFault({ endpoint: "work.heartbeat", nth: 2, cut: "after" });
  const session = simulator.createSession({ prompt: null });
  await simulator.waitForRequest((request) => request.endpoint === "work.heartbeat" && request.status === 412);
  expect(session.work[0]?.state).toBe("active");
});

test("38: a graceful stop reaches the worker by its next heartbeat", async () => {
  await using running = await run({ simulator: { behaviour: { leaseTtlMs: 2_000 } }, maxIdleMs: 60_000 });
  const { simulator } = running;
  const session = simulator.createSession({ script: { turns: [{ calls: [bash("echo served")] }] } });
  await session.finished;
  const application = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const stopping = await application.beta.environments.work.stop(session.work[0]?.id ?? "", { environment_id: simulator.environmentId });
  expect(stopping.state).toBe("stopping");
  await simulator.waitForRequest((request) => request.endpoint === "work.stop" && request.credential === "sessions_token");
  expect(session.work[0]?.state).toBe("stopped");
});

test("71: a result whose response was lost is stored once, and the call is not run again", async () => {
  await using running = await run();
  running.simulator.addRequestFault({ endpoint: "events.send", cut: "after" });
  const session = running.simulator.createSession({
    script: { turns: [{ calls: [bash("echo once >> ran.txt")] }, { calls: [{ ...bash("cat ran.txt"), expect: { equals: "once" } }] }] },
  });
  expect((await session.finished).failures).toEqual([]);
  expect(session.events.filter((event) => event.type === "user.tool_result")).toHaveLength(2);
});

test("72: after a refused result the official worker goes on, and runs the call again when it reconnects", async () => {
  await using running = await run();
  const { simulator } = running;
  simulator.addRequestFault({ endpoint: "events.send", status: 400 });
  const session = simulator.createSession({
    script: { turns: [{ calls: [bash("echo ran >> ran.txt"), bash("echo later")] }, { calls: [bash("cat ran.txt")] }] },
  });
  await session.waitForEvent((event) => event.type === "user.tool_result");
  expect(session.report().calls.map((call) => call.outcome)).toEqual(["open", "result"]);
  expect(session.cutStreams()).toBe(1);
  expect((await session.finished).calls.at(-1)?.result?.text).toBe("ran\nran");
});

test("83: after the idle time the item is stopped; a later message queues another, and nothing runs again", async () => {
  await using running = await run();
  const { simulator } = running;
  const brain: Brain = async function* () {
    yield { calls: [bash("echo once >> ran.txt")], idle: { type: "end_turn" } };
    yield { calls: [bash("cat ran.txt")] };
  };
  const session = simulator.createSession({ brain });
  await stopped(simulator, session);
  session.sendMessage("And now?");
  const report = await session.finished;
  expect(report.calls.map((call) => call.result?.text)).toEqual(["(no output)", "once"]);
  expect(session.work).toHaveLength(2);
});

test("the official client reads every answer", async () => {
  await using simulator = await startSimulator();
  const application = new Anthropic({ apiKey: simulator.apiKey, baseURL: simulator.url });
  const operator = new Anthropic({ authToken: simulator.environmentKey, apiKey: null, baseURL: simulator.url });
  const environment = { environment_id: simulator.environmentId };

  expect((await application.beta.environments.retrieve(simulator.environmentId)).config).toEqual({ type: "self_hosted" });
  const session = await application.beta.sessions.create({ agent: simulator.agentId, ...environment, title: "typed", metadata: { team: "a" } });
  expect(session).toMatchObject({ status: "idle", title: "typed", metadata: { team: "a" }, agent: { type: "agent", id: simulator.agentId } });
  expect((await application.beta.sessions.update(session.id, { title: "renamed" })).title).toBe("renamed");
  expect((await Array.fromAsync(application.beta.sessions.list())).map((each) => each.id)).toEqual([session.id]);

  const sent = await application.beta.sessions.events.send(session.id, {
    events: [{ type: "user.message", content: [{ type: "text", text: "hello" }] }],
  });
  expect(sent.data).toMatchObject([{ type: "user.message", processed_at: null }]);
  await simulator.session(session.id)?.waitForEvent((event) => event.type === "session.status_idle");
  const types = (await Array.fromAsync(application.beta.sessions.events.list(session.id, { limit: 2 }))).map((event) => event.type);
  expect(types).toEqual([
    "session.updated",
    "user.message",
    "session.status_running",
    "session.thread_status_running",
    "session.thread_status_idle",
    "session.usage",
    "session.status_idle",
  ]);
  const listed = await application.beta.sessions.events.list(session.id, { types: ["session.usage"], order: "desc" });
  expect(listed.data.map((event) => event.type)).toEqual(["session.usage"]);

  const work = application.beta.environments.work;
  const item = await operator.beta.environments.work.poll(simulator.environmentId, { block_ms: 999 });
  expect(item?.data).toEqual({ type: "session", id: session.id });
  const id = item?.id ?? "";
  expect((await operator.beta.environments.work.ack(id, environment)).state).toBe("starting");
  const beat = await operator.beta.environments.work.heartbeat(id, {
    ...environment,
    expected_last_heartbeat: "NO_HEARTBEAT",
    desired_ttl_seconds: 60,
  });
  expect(beat).toMatchObject({ type: "work_heartbeat", state: "active", lease_extended: true, ttl_seconds: 60 });
  const refused = await operator.beta.environments.work
    .heartbeat(id, { ...environment, expected_last_heartbeat: "NO_HEARTBEAT" })
    .catch((error: unknown) => error);
  expect(refused).toMatchObject({ status: 412, error: { error: { details: { current_state: { last_heartbeat: beat.last_heartbeat } } } } });
  expect((await work.retrieve(id, environment)).latest_heartbeat_at).not.toBeNull();
  expect((await work.update(id, { ...environment, metadata: { host: "one" } })).metadata).toEqual({ host: "one" });
  expect(await work.stats(simulator.environmentId)).toMatchObject({ depth: 0, pending: 0, oldest_queued_at: null });
  expect((await Array.fromAsync(operator.beta.environments.work.list(simulator.environmentId))).map((each) => each.id)).toEqual([id]);
  expect((await work.stop(id, { ...environment, force: true })).state).toBe("stopped");

  expect((await application.beta.sessions.archive(session.id)).status).toBe("terminated");
  expect(await application.beta.sessions.delete(session.id)).toEqual({ id: session.id, type: "session_deleted" });
  await expect(application.beta.sessions.retrieve(session.id)).rejects.toMatchObject({ status: 404 });
});
