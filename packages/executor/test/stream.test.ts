import { expect, test } from "vitest";
import { controlPlaneClient } from "../src/control-plane.ts";
import { Secrets } from "../src/events.ts";
import { EventFeed } from "../src/stream.ts";

test("a history that is read anew for what is missing is read from its beginning", async () => {
  const lists: URLSearchParams[] = [];
  const client = controlPlaneClient({ baseUrl: "http://control.test" }, "key", async (input, init) => {
    const url = new URL(typeof input === "string" ? input : "");
    if (url.pathname.endsWith("/stream")) {
      const body = new ReadableStream({
        start: (controller) => init?.signal?.addEventListener("abort", () => controller.error(init.signal?.reason), { once: true }),
      });
      return new Response(body, { headers: { "content-type": "text/event-stream" } });
    }
    lists.push(url.searchParams);
    return Response.json({ data: [{ type: "span.noise", id: "sevt_1", processed_at: "2026-11-24T10:00:00.000001Z" }], next_page: null });
  });
  const over = new AbortController();
  const feed = new EventFeed({
    client,
    workId: "work_1",
    sessionId: "sesn_1",
    observe: () => undefined,
    secrets: new Secrets(),
    signal: over.signal,
  });
  for await (const item of feed.items()) {
    if (item.type !== "history_complete") continue;
    if (lists.length === 1) feed.reread();
    else over.abort();
  }
  expect(lists.map((query) => query.get("created_at[gte]"))).toEqual([null, null]);
});
