import { expect, test, vi } from "vitest";
import { controlPlaneClient } from "../src/control-plane.ts";
import { Secrets } from "../src/events.ts";
import { Lease } from "../src/lease.ts";
import { startHarness } from "./harness.ts";

/** What the control plane answers to each heartbeat, in turn; `lost` breaks the connection. The last one is repeated. */
type Answer = "lost" | { readonly status: number; readonly body: unknown };

const beat = (last: string, more = {}): Answer => ({
  status: 200,
  body: { type: "work_heartbeat", last_heartbeat: last, lease_extended: true, state: "active", ttl_seconds: 60, ...more },
});
const refusal = (state: string, last: string | null): Answer => ({
  status: 412,
  body: {
    type: "error",
    error: {
      type: "invalid_request_error",
      message: "m",
      details: {
        error_code: "heartbeat_precondition_failed",
        current_state: { state, last_heartbeat: last, lease_extended: false, ttl_seconds: 60 },
      },
    },
  },
});

function startLease(answers: readonly Answer[]): {
  readonly lease: Lease;
  readonly expected: readonly (string | null)[];
  readonly happened: readonly string[];
  readonly adopted: Promise<void>;
} {
  const expected: (string | null)[] = [];
  const happened: string[] = [];
  const adopted = Promise.withResolvers<void>();
  const client = controlPlaneClient({ baseUrl: "http://control.test" }, "token", async (input) => {
    const answer = answers[Math.min(expected.length, answers.length - 1)] ?? "lost";
    expected.push(new URL(input instanceof Request ? input.url : input).searchParams.get("expected_last_heartbeat"));
    if (answer === "lost") throw new TypeError("connection reset");
    return Response.json(answer.body, { status: answer.status });
  });
  const observe = ({ type }: { readonly type: string }): void => {
    happened.push(type);
    if (type === "lease.adopted") adopted.resolve();
  };
  const lease = new Lease({ client, workId: "work_1", environmentId: "env_1", observe, secrets: new Secrets() });
  lease.start();
  return { lease, expected, happened, adopted: adopted.promise };
}

const ended = async (lease: Lease): Promise<void> => {
  if (!lease.signal.aborted) await new Promise((resolve) => lease.signal.addEventListener("abort", resolve, { once: true }));
};

test("a refusal that shows our own beat, whose answer was lost, is adopted and the next beat echoes it", async () => {
  const mine = "2026-11-24T10:00:01.000002Z";
  const { lease, expected, happened, adopted } = startLease(["lost", refusal("active", mine), beat("later")]);
  await adopted;
  await lease.handOver();
  expect(lease.end).toBeUndefined();
  expect(expected).toEqual(["NO_HEARTBEAT", "NO_HEARTBEAT", mine]);
  expect(happened).toEqual(["lease.failed", "lease.adopted"]);
});

test.each([
  ["nothing of ours was under way", [refusal("active", "2026-11-24T10:00:01Z")]],
  ["the item waits in the queue", ["lost", refusal("queued", null)]],
  ["the item waits in the queue with an old beat", ["lost", refusal("queued", "2026-11-24T10:00:01Z")]],
] as const)("a refusal is a lost lease when %s", async (_, answers) => {
  const { lease } = startLease([...answers]);
  await ended(lease);
  expect(lease.end).toBe("lost");
});

test("a lease holds from its first answer, and after its time has passed only from the next beat, which goes out at once", async () => {
  const { lease, expected } = startLease([beat("1"), beat("2")]);
  expect(lease.holds).toBe(false);
  await lease.confirmed();
  expect(lease.holds).toBe(true);
  const now = Date.now();
  const clock = vi.spyOn(Date, "now").mockImplementation(() => now + 61_000);
  expect(lease.holds).toBe(false);
  expect(expected).toEqual(["NO_HEARTBEAT"]);
  await lease.confirmed();
  expect([lease.holds, expected]).toEqual([true, ["NO_HEARTBEAT", "1"]]);
  clock.mockRestore();
  await lease.letGo();
});

test("a lease counts from when its beat was sent: one whose answer is read too late does not hold", async () => {
  const now = Date.now();
  const clock = vi.spyOn(Date, "now").mockImplementation(() => now);
  const { lease, expected } = startLease([beat("1"), beat("2")]);
  clock.mockImplementation(() => now + 61_000);
  await lease.confirmed();
  expect(expected).toEqual(["NO_HEARTBEAT", "1"]);
  clock.mockRestore();
  await lease.letGo();
});

test.each([
  ["stopping", beat("1", { state: "stopping" })],
  ["stopped", beat("1", { state: "stopped", lease_extended: false })],
  ["no extension", beat("1", { lease_extended: false })],
])("%s asks for a stop", async (_, answer) => {
  const { lease } = startLease([answer]);
  await ended(lease);
  expect(lease.end).toBe("stop_requested");
});

test("a final refusal ends the lease", async () => {
  const { lease } = startLease([{ status: 403, body: { type: "error", error: { type: "permission_error", message: "no" } } }]);
  await ended(lease);
  expect(lease.end).toBe("rejected");
});

test("without an answer for the time to live the lease is assumed lost, and before that it goes on", async () => {
  const { lease, expected } = startLease([beat("2026-11-24T10:00:01Z", { ttl_seconds: 1.2 }), "lost"]);
  await ended(lease);
  expect(lease.end).toBe("assumed_lost");
  expect(expected.length).toBeGreaterThan(2);
});

test("an item that the control plane wants stopped is cancelled and stopped, a lost one is not", async () => {
  const shell = async ({ signal }: { readonly signal: AbortSignal }) =>
    await new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  await using harness = await startHarness({ behaviour: { leaseTtlMs: 2_000 } }, { shell });
  const script = { turns: [{ calls: [{ name: "bash", input: { command: "sleep" } }] }] };
  const asked = harness.session({ script });
  const lost = harness.session({ script });
  const worker = harness.work();
  await worker.until("call.started", () => worker.ofType("call.started").length === 2);
  const [workId] = asked.work.map(({ id }) => id);
  harness.simulator.addRequestFault({
    endpoint: "work.heartbeat",
    where: (request) => request.workId === workId,
    transform: (body) => ({ ...(body as object), state: "stopping" }),
  });
  harness.simulator.addRequestFault({ endpoint: "work.heartbeat", where: (request) => request.workId === lost.work[0]?.id, status: 412 });
  await worker.until("item.ended", () => worker.ofType("item.ended").length >= 2);
  const ends = new Map(worker.ofType("item.ended").map(({ sessionId, because, stopped }) => [sessionId, [because, stopped]]));
  expect([ends.get(asked.id), ends.get(lost.id)]).toEqual([
    ["stop_requested", true],
    ["lease_lost", false],
  ]);
});
