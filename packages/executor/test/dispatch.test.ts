import fc from "fast-check";
import { expect, test } from "vitest";
import { type Decision, Dispatcher } from "../src/dispatch.ts";
import type { SessionEvent } from "../src/stream.ts";

const readers: ReadonlySet<string> = new Set(["read", "glob", "look"]);
const lookUp = ({ name }: { readonly name: string }) =>
  name === "foreign" ? undefined : { readOnly: readers.has(name), onlyFiles: ["read", "glob", "write"].includes(name) };
const on = (thread: string) => ({ session_thread_id: thread });
const stamp = (second: number): string => `2026-11-24T10:00:${String(second).padStart(2, "0")}.000001Z`;
const use = (id: string, name: string, more = {}): SessionEvent => ({
  type: "agent.tool_use",
  id,
  name,
  input: {},
  processed_at: stamp(10),
  ...more,
});
const said = (decisions: readonly Decision[]): readonly string[] => decisions.map(({ type, call }) => `${type} ${call.id}`);

function told(events: readonly SessionEvent[]): Dispatcher {
  const dispatcher = new Dispatcher(lookUp);
  for (const event of events) dispatcher.learn(event);
  return dispatcher;
}

test("an answered call does not run, wherever its answer stands", () => {
  const answer = { type: "user.tool_result", tool_use_id: "a" };
  expect(
    told([use("a", "bash"), answer])
      .decide()
      .filter(({ type }) => type === "run"),
  ).toEqual([]);
  expect(
    told([answer, use("a", "bash")])
      .decide()
      .filter(({ type }) => type === "run"),
  ).toEqual([]);
});

test("a foreign answer cancels a running call, our own does not", () => {
  const dispatcher = told([use("a", "bash"), use("b", "bash")]);
  expect(said(dispatcher.decide())).toEqual(["run a"]);
  dispatcher.ended("a");
  dispatcher.learn({ type: "user.tool_result", tool_use_id: "a" });
  expect(said(dispatcher.decide())).toEqual(["run b"]);
  dispatcher.learn({ type: "user.tool_result", tool_use_id: "b" });
  expect(dispatcher.decide()).toMatchObject([{ type: "drop", because: "answered_elsewhere", wasRunning: true }]);
});

test("only answers to calls that did not run here tell of an earlier sandbox", () => {
  const dispatcher = told([
    use("a", "bash"),
    use("b", "foreign"),
    { type: "agent.tool_result", tool_use_id: "b" },
    use("c", "foreign"),
    { type: "user.tool_result", tool_use_id: "c" },
  ]);
  dispatcher.decide();
  dispatcher.settled("a");
  dispatcher.learn({ type: "user.tool_result", tool_use_id: "a" });
  expect(dispatcher.ranElsewhere).toBe(false);
  expect(told([{ type: "user.tool_result", tool_use_id: "earlier" }]).ranElsewhere).toBe(true);
});

test("the latest applied interrupt of the whole session cuts off what was called before it, whatever the order of the history", () => {
  const events = [
    { type: "user.interrupt", processed_at: stamp(10) },
    { type: "user.interrupt", processed_at: null },
    { type: "user.interrupt", processed_at: stamp(30), session_thread_id: "thread" },
    use("before", "bash", { processed_at: "2026-11-24T10:00:10.000001Z" }),
    use("after", "bash", { processed_at: "2026-11-24T10:00:10.0000011Z" }),
  ];
  expect(said(told(events).decide())).toEqual(["drop before", "run after"]);
  expect(said(told(events.toReversed()).decide())).toEqual(["run after", "drop before"].toSorted());
});

test("deny wins over every verdict, an unknown verdict is a denial, and an unknown permission is held", () => {
  const verdict = (id: string, result: unknown): SessionEvent => ({ type: "user.tool_confirmation", tool_use_id: id, result });
  expect(said(told([use("a", "bash", { evaluated_permission: "deny" }), verdict("a", "allow")]).decide())).toEqual(["drop a"]);
  expect(said(told([use("a", "bash", { evaluated_permission: "ask" }), verdict("a", "deny"), verdict("a", "allow")]).decide())).toEqual(["drop a"]);
  expect(said(told([use("a", "bash", { evaluated_permission: "ask" }), verdict("a", "maybe")]).decide())).toEqual(["drop a"]);
  for (const permission of [null, "", "ALLOW", "auto", 1, {}]) {
    expect(told([use("a", "bash", { evaluated_permission: permission })]).decide()).toMatchObject([{ type: "hold", because: "unknown_permission" }]);
  }
});

test("a held call holds up nobody, and takes its turn when it is released", () => {
  const dispatcher = told([use("held", "bash", { evaluated_permission: "ask" }), use("foreign", "foreign"), use("b", "bash")]);
  expect(said(dispatcher.decide())).toEqual(["hold held", "hold foreign", "run b"]);
  dispatcher.learn({ type: "user.tool_confirmation", tool_use_id: "held", result: "allow" });
  expect(dispatcher.decide()).toEqual([]);
  dispatcher.ended("b");
  expect(said(dispatcher.decide())).toEqual(["run held"]);
});

test("threads do not wait for each other's commands, and each waits for its own", () => {
  const dispatcher = told([use("a1", "bash", on("a")), use("a2", "bash", on("a")), use("b1", "bash", on("b")), use("main", "bash")]);
  expect(said(dispatcher.decide())).toEqual(["run a1", "run b1", "run main"]);
  dispatcher.ended("a1");
  expect(said(dispatcher.decide())).toEqual(["run a2"]);
});

test("file work keeps its order over threads, but for what waits for a command of its own thread", () => {
  const dispatcher = told([
    use("command", "bash", on("a")),
    use("waits", "write", on("a")),
    use("read", "read", on("b")),
    use("write", "write", on("c")),
    use("after", "read", on("d")),
  ]);
  expect(said(dispatcher.decide())).toEqual(["run command", "run read"]);
  dispatcher.ended("read");
  expect(said(dispatcher.decide())).toEqual(["run write"]);
  dispatcher.ended("command");
  expect(said(dispatcher.decide())).toEqual([]);
  dispatcher.ended("write");
  expect(said(dispatcher.decide())).toEqual(["run waits"]);
  dispatcher.ended("waits");
  expect(said(dispatcher.decide())).toEqual(["run after"]);
});

test("file work of several threads that waits for file work only keeps its order", () => {
  const dispatcher = told([use("a", "write", on("a")), use("b1", "read", on("b")), use("b2", "write", on("b")), use("c", "read", on("c"))]);
  for (const id of ["a", "b1", "b2", "c"]) {
    expect(said(dispatcher.decide())).toEqual([`run ${id}`]);
    dispatcher.ended(id);
  }
});

test("an applied interrupt of one thread cancels its calls so far, which are answered, and no other's", () => {
  const dispatcher = told([
    use("running", "bash", on("a")),
    use("waiting", "bash", on("a")),
    use("held", "bash", { ...on("a"), evaluated_permission: "ask" }),
    use("other", "bash", on("b")),
    use("main", "bash"),
  ]);
  expect(said(dispatcher.decide())).toEqual(["hold held", "run running", "run other", "run main"]);
  dispatcher.learn({ type: "user.interrupt", ...on("a"), processed_at: null });
  expect(dispatcher.decide()).toEqual([]);
  dispatcher.learn({ type: "user.interrupt", ...on("a"), processed_at: stamp(10) });
  expect(said(dispatcher.decide())).toEqual(["interrupt running", "run waiting", "interrupt waiting"]);
  dispatcher.learn({ type: "user.interrupt", ...on("a"), processed_at: stamp(10) });
  dispatcher.learn(use("next", "bash", { ...on("a"), processed_at: stamp(11) }));
  expect(dispatcher.decide()).toEqual([]);
  dispatcher.ended("running");
  dispatcher.ended("waiting");
  expect(said(dispatcher.decide())).toEqual(["run next"]);
});

/** Any mix of calls, each said one to three times, with ends of running calls in between. */
const steps = fc.array(
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.record({
        type: fc.constant("call" as const),
        id: fc.integer({ min: 0, max: 9 }),
        name: fc.constantFrom("bash", "write", "read", "glob", "look", "foreign"),
      }),
    },
    { weight: 2, arbitrary: fc.record({ type: fc.constant("end" as const), pick: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("settle" as const), id: fc.integer({ min: 0, max: 9 }) }) },
    { weight: 1, arbitrary: fc.record({ type: fc.constant("thread" as const), id: fc.integer({ min: 0, max: 2 }) }) },
  ),
  { maxLength: 60 },
);

test("whatever comes in whatever order: a call runs at most once, only readers of a thread overlap, files have one writer, and turns are kept", () => {
  fc.assert(
    fc.property(steps, (all) => {
      const dispatcher = new Dispatcher(lookUp);
      const names = new Map<string, string>();
      const started: string[] = [];
      const active = new Set<string>();
      const dropped = new Set<string>();
      const arrived: string[] = [];
      const threadOf = (id: string): number => Number(id.slice(1)) % 3;
      const mayOverlap = (a: string, b: string): boolean => {
        const [left, right] = [lookUp({ name: names.get(a) ?? "" }), lookUp({ name: names.get(b) ?? "" })];
        if (left?.readOnly === true && right?.readOnly === true) return true;
        return threadOf(a) !== threadOf(b) && !(left?.onlyFiles === true && right?.onlyFiles === true);
      };
      const obey = (): void => {
        for (const { type, call } of dispatcher.decide()) {
          if (type === "drop") dropped.add(call.id);
          if (type !== "run") continue;
          started.push(call.id);
          active.add(call.id);
        }
        const running = [...active];
        for (const [index, id] of running.entries()) {
          expect(running.slice(index + 1).filter((other) => !mayOverlap(id, other))).toEqual([]);
        }
      };
      for (const step of all) {
        if (step.type === "call") {
          const id = `c${step.id}`;
          if (!names.has(id)) {
            names.set(id, step.name);
            arrived.push(id);
          }
          dispatcher.learn(use(id, step.name, { session_thread_id: `t${step.id % 3}` }));
        } else if (step.type === "end") {
          const id = [...active][step.pick % Math.max(1, active.size)];
          if (id !== undefined) {
            active.delete(id);
            dispatcher.ended(id);
          }
        } else if (step.type === "settle") dispatcher.learn({ type: "user.tool_result", tool_use_id: `c${step.id}` });
        else dispatcher.learn({ type: "session.thread_status_terminated", session_thread_id: `t${step.id}` });
        obey();
      }
      while (active.size > 0) {
        for (const id of active) {
          active.delete(id);
          dispatcher.ended(id);
        }
        obey();
      }
      expect(new Set(started).size).toBe(started.length);
      const keepTheirTurn = (a: string, b: string): boolean => threadOf(a) === threadOf(b) && !mayOverlap(a, b);
      for (const [index, id] of started.entries()) {
        const overtaken = started.slice(index + 1).filter((later) => keepTheirTurn(id, later) && arrived.indexOf(later) < arrived.indexOf(id));
        expect(overtaken).toEqual([]);
      }
      // nothing waits when nothing runs
      expect(arrived.filter((id) => names.get(id) !== "foreign" && !started.includes(id) && !dropped.has(id))).toEqual([]);
    }),
    { numRuns: 2_000 },
  );
});
