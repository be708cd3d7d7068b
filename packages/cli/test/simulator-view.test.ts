import { Writable } from "node:stream";
import { startSimulator, type SessionHandle, type Simulator } from "@glovebox/simulator";
import { describe, expect, test } from "vitest";
import { SimulatorView } from "../src/simulator-view.ts";
import { collector } from "./context.ts";

interface Shown extends AsyncDisposable {
  readonly simulator: Simulator;
  readonly view: SimulatorView;
  readonly text: () => string;
}

async function shown({
  isTTY = false,
  columns = 100,
  env = {},
}: { isTTY?: boolean; columns?: number; env?: NodeJS.ProcessEnv } = {}): Promise<Shown> {
  const { stream, text } = collector();
  const view = new SimulatorView(Object.assign(stream, { isTTY, columns, rows: 24 }), env);
  const simulator = await startSimulator({ observer: (observation) => view.observe(observation) });
  return { simulator, view, text, [Symbol.asyncDispose]: () => simulator[Symbol.asyncDispose]() };
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function play(simulator: Simulator, command: string): Promise<SessionHandle> {
  const session = simulator.createSession({
    script: {
      turns: [
        {
          calls: [
            { name: "bash", input: { command } },
            { name: "lookup", kind: "mcp", answer: { by: "server", text: "no", isError: true } },
          ],
        },
      ],
    },
  });
  await session.waitForEvent((event) => event.type === "session.status_idle");
  session.answer(session.report().calls[0]?.id ?? "", "done");
  await session.finished;
  await settle();
  return session;
}

describe("not on a terminal", () => {
  test("each change is a line: sessions with state and item, calls with outcome, refused requests; requests by endpoint at the end", async () => {
    await using on = await shown();
    const session = await play(on.simulator, "echo hi");
    const headers = { authorization: `Bearer ${on.simulator.environmentKey}`, "anthropic-beta": "managed-agents-2026-04-01" };
    const queue = `${on.simulator.url}/v1/environments/${on.simulator.environmentId}/work`;
    const item = (await (await fetch(`${queue}/poll`, { headers })).json()) as { readonly id: string };
    await fetch(`${queue}/${item.id}/ack`, { method: "POST", headers });
    await fetch(`${queue}/${item.id}/stop`, { method: "POST", headers, body: "{}" });
    await fetch(`${on.simulator.url}/v1/nothing`, { method: "POST", headers });
    await settle();
    on.view.end();
    const id = session.id.slice(0, 15);
    const lines = on
      .text()
      .trimEnd()
      .split("\n")
      .map((line) => line.replace(/ +\d+ ms /u, " TIME "));
    expect(lines).toEqual([
      `session   ${id}…  idle                    item queued    0 calls`,
      `session   ${id}…  running                 item queued    0 calls`,
      "call      lookup  result (error) TIME  {}",
      `session   ${id}…  idle (requires_action)  item queued    2 calls, 1 open`,
      "call      bash    result TIME  echo hi",
      `session   ${id}…  running                 item queued    2 calls`,
      `session   ${id}…  idle (end_turn)         item queued    2 calls`,
      `session   ${id}…  idle (end_turn)         item starting  2 calls`,
      `session   ${id}…  idle (end_turn)         item stopping  2 calls`,
      "request   POST /v1/nothing 404",
      "requests  work.poll 1, work.ack 1, work.stop 1, POST /v1/nothing 1 (1 refused)",
    ]);
  });

  test("what a model or a client says never reaches the output as it is", async () => {
    await using on = await shown();
    await play(on.simulator, "\u001b[2J\u202ex\ny");
    on.view.end();
    expect(on.text()).toContain(String.raw`\x1b[2J\u202ex\ny`);
    expect(on.text().replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202e]/u);
  });
});

describe("on a terminal", () => {
  /** What stands on the screen after all that was written. */
  function screenOf(text: string): readonly string[] {
    const lines: string[] = [];
    for (const [, up, rest = ""] of text.matchAll(/(?:\u001b\[(\d+)F\u001b\[J)?([^\u001b]*(?:\u001b\[\d*m[^\u001b]*)*)/gu)) {
      if (up !== undefined) lines.splice(lines.length - Number(up));
      lines.push(...rest.split("\n").slice(0, -1));
    }
    return lines;
  }

  test("one block is painted anew, no line wider than the terminal", async () => {
    await using on = await shown({ isTTY: true, columns: 60 });
    const headers = { authorization: `Bearer ${on.simulator.apiKey}`, "anthropic-beta": "managed-agents-2026-04-01" };
    for (const path of ["sessions", "sessions/none", "sessions/none/events", "memory_stores", "skills", "x".repeat(80)])
      await fetch(`${on.simulator.url}/v1/${path}`, { headers });
    for (let number = 0; number < 7; number++) await play(on.simulator, `echo ${number} ${"x".repeat(200)}`);
    await new Promise((resolve) => setTimeout(resolve, 150));
    await play(on.simulator, "echo last");
    on.view.end();
    expect(on.text().split("\u001b[J").length).toBeGreaterThan(1);
    const screen = screenOf(on.text());
    expect(screen.slice(0, 4)).toEqual([
      "requests  sessions.list 1, sessions.retrieve 1 (1 refused),",
      "          events.list 1 (1 refused), memory_stores.list 1,",
      "          skills.list 1,",
      `          GET /v1/${"x".repeat(40)}…`,
    ]);
    expect(screen.slice(4).map((line) => line.slice(0, 8).trim())).toEqual([
      ...Array.from({ length: 5 }, () => "session"),
      ...Array.from({ length: 8 }, () => "call"),
    ]);
    expect(screen.at(-1)).toContain("echo last");
    const widths = screen.map((line) => line.replaceAll(/\u001b\[\d*m/gu, "").length);
    expect(Math.max(...widths)).toBeLessThanOrEqual(60);
  });

  test("a terminal that can do nothing gets lines", async () => {
    await using on = await shown({ isTTY: true, env: { TERM: "dumb" } });
    await play(on.simulator, "echo hi");
    on.view.end();
    expect(on.text()).not.toContain("\u001b");
    expect(on.text().match(/^session/gmu)?.length).toBeGreaterThan(3);
  });

  test("nothing is written while nothing happens", async () => {
    const writes: string[] = [];
    const output = new Writable({ write: (chunk: Buffer, _encoding, done) => (writes.push(chunk.toString()), done()) });
    const view = new SimulatorView(Object.assign(output, { isTTY: true, columns: 80 }), {});
    await using simulator = await startSimulator({ observer: (observation) => view.observe(observation) });
    simulator.createSession({ prompt: null });
    await new Promise((resolve) => setTimeout(resolve, 400));
    expect(writes).toHaveLength(1);
  });
});
