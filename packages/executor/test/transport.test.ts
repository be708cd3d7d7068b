import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import Anthropic from "@anthropic-ai/sdk";
import { afterEach, describe, expect, test } from "vitest";
import { EventSender } from "../src/event-sender.ts";
import { apiFetch } from "../src/transport.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

interface Asked {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** A server that answers as the test says. */
async function serve(answer: (response: ServerResponse, asked: Asked) => void): Promise<{ readonly url: string; readonly asked: Asked[] }> {
  const asked: Asked[] = [];
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk: Buffer) => chunks.push(chunk));
    incoming.on("end", () => {
      const { method, url, headers } = incoming;
      asked.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      answer(response, asked.at(-1) as Asked);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

describe("apiFetch", () => {
  test("asks with method, headers and body, and gives status, headers and JSON, over a connection that is kept", async () => {
    const sockets = new Set<unknown>();
    const { url, asked } = await serve((response) => {
      sockets.add(response.socket);
      response.writeHead(201, { "content-type": "application/json", "request-id": "r1" }).end('{"text":"grüße"}');
    });
    const request = apiFetch();
    for (let round = 0; round < 2; round++) {
      const response = await request(`${url}/v1/x?a=b`, { method: "POST", headers: { authorization: "Bearer k" }, body: '{"ü":1}' });
      expect([response.status, response.ok, response.headers.get("request-id"), await response.json()]).toEqual([201, true, "r1", { text: "grüße" }]);
    }
    expect(asked[1]).toMatchObject({
      method: "POST",
      url: "/v1/x?a=b",
      body: '{"ü":1}',
      headers: { authorization: "Bearer k", "content-length": "8" },
    });
    expect(sockets.size).toBe(1);
  });

  test("bytes that are no text come as they are, as a stream", async () => {
    const bytes = Uint8Array.from({ length: 100_000 }, (_, index) => (index * 7) % 256);
    const { url } = await serve((response) => response.writeHead(200, { "content-type": "application/zip" }).end(bytes));
    const response = await apiFetch()(url);
    expect(Buffer.compare(Buffer.from(await response.arrayBuffer()), bytes)).toBe(0);
  });

  test("a refusal is an answer; no content is none", async () => {
    const { url } = await serve((response, asked) =>
      asked.url === "/empty" ? response.writeHead(204).end() : response.writeHead(429, { "retry-after": "3" }).end("later"),
    );
    const refused = await apiFetch()(url);
    expect([refused.ok, refused.status, refused.headers.get("retry-after"), await refused.text()]).toEqual([false, 429, "3", "later"]);
    expect((await apiFetch()(`${url}/empty`)).status).toBe(204);
  });

  test("a redirect is not followed, so the credential goes nowhere else", async () => {
    const elsewhere = await serve((response) => response.end("{}"));
    const { url } = await serve((response) => response.writeHead(307, { location: elsewhere.url }).end());
    expect((await apiFetch()(url, { headers: { authorization: "Bearer k" } })).status).toBe(307);
    expect(elsewhere.asked).toEqual([]);
  });

  test("an event stream is given as it comes, characters that are cut in two included", async () => {
    let send: ((bytes: Uint8Array) => void) | undefined;
    let end: (() => void) | undefined;
    const { url } = await serve((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      send = (bytes) => response.write(bytes);
      end = () => response.end();
    });
    const { body } = await apiFetch()(url);
    const reader = (body as ReadableStream<Uint8Array>).getReader();
    const bytes = Buffer.from("data: ü\n\n");
    send?.(bytes.subarray(0, 7));
    expect(Buffer.from((await reader.read()).value ?? [])).toEqual(bytes.subarray(0, 7));
    send?.(bytes.subarray(7));
    expect(Buffer.from((await reader.read()).value ?? [])).toEqual(bytes.subarray(7));
    end?.();
    expect((await reader.read()).done).toBe(true);
  });

  test("who does not read a stream is not sent all of it", async () => {
    let written = 0;
    const { url } = await serve((response) => {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const chunk = Buffer.alloc(1_048_576);
      const more = (): void => {
        while (written < 512) {
          written++;
          if (!response.write(chunk)) return void response.once("drain", more);
        }
      };
      more();
    });
    const { body } = await apiFetch()(url);
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(written).toBeLessThan(64);
    await body?.cancel();
  });

  test.each(["before it", "while it waits for the answer", "in the middle of an answer", "in the middle of a stream"])(
    "an abort %s ends it with its reason, and the connection",
    async (when) => {
      const reason = new Error("enough");
      const controller = new AbortController();
      let closed: Promise<void> | undefined;
      const { url, asked } = await serve((response) => {
        closed = new Promise((resolve) => response.on("close", resolve));
        if (when === "in the middle of an answer")
          response.writeHead(200, { "content-type": "application/json", "content-length": "100" }).write("{");
        if (when === "in the middle of a stream") return response.writeHead(200, { "content-type": "text/event-stream" }).write("data: 1\n\n");
        setTimeout(() => controller.abort(reason), 20);
        return undefined;
      });
      if (when === "before it") controller.abort(reason);
      const answer = apiFetch()(url, { signal: controller.signal });
      if (when === "in the middle of a stream") {
        const reader = ((await answer).body as ReadableStream<Uint8Array>).getReader();
        await reader.read();
        controller.abort(reason);
        await expect(reader.read()).rejects.toBe(reason);
      } else await expect(answer).rejects.toBe(reason);
      await closed;
      expect(asked).toHaveLength(when === "before it" ? 0 : 1);
    },
  );

  test("a connection that ends in the middle of an answer or a stream is an error", async () => {
    const { url } = await serve((response, { url: path }) => {
      const type = path === "/stream" ? "text/event-stream" : "application/json";
      response.writeHead(200, { "content-type": type, ...(path === "/stream" ? {} : { "content-length": "100" }) });
      response.write("{", () => response.destroy());
    });
    await expect(apiFetch()(url)).rejects.toThrow("fetch failed");
    const { body } = await apiFetch()(`${url}/stream`);
    await expect(Array.fromAsync(body as ReadableStream<Uint8Array>)).rejects.toThrow(/aborted|ended/u);
  });

  test("nobody who listens is an error with its cause", async () => {
    const { url } = await serve((response) => response.end());
    await new Promise((resolve) => servers[0]?.close(resolve));
    await expect(apiFetch()(url)).rejects.toMatchObject({ message: "fetch failed", cause: { code: "ECONNREFUSED" } });
  });

  test("it goes through the proxy that the environment names", async () => {
    const proxy = await serve((response) => response.writeHead(200, { "content-type": "application/json" }).end("{}"));
    process.env["HTTP_PROXY"] = proxy.url;
    try {
      await apiFetch()("http://api.example.test/v1/x");
    } finally {
      delete process.env["HTTP_PROXY"];
    }
    expect(proxy.asked.map(({ url }) => url)).toEqual(["http://api.example.test/v1/x"]);
  });
});

describe("EventSender", () => {
  const params = (text: string) => ({
    events: [{ type: "user.tool_result" as const, tool_use_id: "t", content: [{ type: "text" as const, text }] }],
  });
  const limits = { signal: new AbortController().signal, timeoutMs: 60_000 };
  const senderTo = (url: string): EventSender =>
    new EventSender(new Anthropic({ authToken: "key", apiKey: null, baseURL: url, maxRetries: 0, logLevel: "off" }), apiFetch(), "sesn_1");

  test("every request is the SDK's own, but for its body", async () => {
    const { url, asked } = await serve((response) => response.writeHead(200, { "content-type": "application/json" }).end("{}"));
    const sender = senderTo(url);
    for (const text of ["one", "two", "three"]) await sender.send(params(text), limits);
    const [first, ...others] = asked.map(({ method, url: path, headers }) => ({ method, path, headers: { ...headers, "content-length": "" } }));
    expect(first).toMatchObject({ method: "POST", path: "/v1/sessions/sesn_1/events", headers: { authorization: "Bearer key" } });
    expect(others).toEqual([first, first]);
    expect(asked.map(({ body }) => JSON.parse(body) as unknown)).toEqual(["one", "two", "three"].map(params));
  });

  test("a refusal is the SDK's error, with status, body and headers", async () => {
    let refuse = false;
    const { url } = await serve((response) => {
      if (!refuse) return response.writeHead(200, { "content-type": "application/json" }).end("{}");
      const body = '{"type":"error","error":{"type":"invalid_request_error","message":"no"}}';
      return response.writeHead(400, { "content-type": "application/json", "retry-after": "7" }).end(body);
    });
    const sender = senderTo(url);
    await sender.send(params("one"), limits);
    refuse = true;
    const error: unknown = await sender.send(params("two"), limits).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(Anthropic.BadRequestError);
    expect(error).toMatchObject({ status: 400, error: { error: { message: "no" } } });
    expect((error as InstanceType<typeof Anthropic.APIError>).headers?.get("retry-after")).toBe("7");
  });

  test("time-out and abort end a request that gets no answer", async () => {
    let answers = true;
    const { url } = await serve((response) => (answers ? response.writeHead(200, { "content-type": "application/json" }).end("{}") : undefined));
    const sender = senderTo(url);
    await sender.send(params("one"), limits);
    answers = false;
    await expect(sender.send(params("two"), { ...limits, timeoutMs: 30 })).rejects.toBeInstanceOf(Anthropic.APIConnectionTimeoutError);
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("enough")), 20);
    await expect(sender.send(params("three"), { ...limits, signal: controller.signal })).rejects.toThrow("enough");
  });
});
