import { appendFileSync } from "node:fs";
import { defineConfig } from "@glovebox/cli";
import { customTool } from "@glovebox/executor";
import { z } from "zod";

const tickets: Readonly<Record<string, string>> = { "OPS-7": "Summarise the error log and say how many errors there are." };

/** Runs in the worker, outside of every sandbox, so that the ticket system's credentials stay here. */
const readTicket = customTool({
  name: "read_ticket",
  inputSchema: z.object({ id: z.string().regex(/^OPS-[0-9]+$/u) }),
  readOnly: true,
  run: ({ id }) => (Object.hasOwn(tickets, id) ? (tickets[id] ?? "") : { content: `there is no ticket ${id}`, isError: true }),
});

const audit = process.env["AUDIT_LOG"] ?? "audit.jsonl";

export default defineConfig({
  provider: process.env["SANDBOXES"] === "docker" ? "docker" : "virtual",
  maxSessions: 20,
  timeouts: { defaultMs: 60_000 },
  // a session's files go with its sandbox when its turn is over
  afterItem: "destroy",
  atShutdown: "destroy",
  maxIdleMs: 1_000,
  tools: [readTicket],
  // who did what, when and where; what was said stays out of it
  observer: (event) => {
    if (!/^(?:sandbox|call|item)\./u.test(event.type)) return;
    const { input: _input, text: _text, ...record } = { input: undefined, text: undefined, ...event };
    appendFileSync(audit, `${JSON.stringify(record)}\n`, { mode: 0o600 });
  },
});
