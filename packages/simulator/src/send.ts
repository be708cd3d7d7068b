import { z } from "zod";
import { ApiFailure } from "./failure.ts";
import type { EventParams } from "./wire.ts";

const text = z.object({ type: z.literal("text"), text: z.string() });
const base64 = z.object({ type: z.literal("base64"), data: z.string(), media_type: z.string() });
const url = z.object({ type: z.literal("url"), url: z.string() });
const file = z.object({ type: z.literal("file"), file_id: z.string() });
const plain = z.object({ type: z.literal("text"), data: z.string(), media_type: z.literal("text/plain") });
const image = z.object({ type: z.literal("image"), source: z.discriminatedUnion("type", [base64, url, file]) });
const document = z.object({
  type: z.literal("document"),
  source: z.discriminatedUnion("type", [base64, plain, url, file]),
  title: z.string().nullish(),
  context: z.string().nullish(),
});
const searchResult = z.object({
  type: z.literal("search_result"),
  source: z.string(),
  title: z.string(),
  content: z.array(text),
  citations: z.object({ enabled: z.boolean() }),
});
const resultContent = z.array(z.discriminatedUnion("type", [text, image, document, searchResult]));
const result = { is_error: z.boolean().nullish(), content: resultContent.optional() };

/** What each event that a client may send has to look like. Source: reference 8.4, 8.5. */
const eventSchema = z.discriminatedUnion("type", [
  z.strictObject({ type: z.literal("user.message"), content: z.array(z.discriminatedUnion("type", [text, image, document])).min(1) }),
  z.strictObject({ type: z.literal("user.interrupt"), session_thread_id: z.string().nullish() }),
  z
    .strictObject({
      type: z.literal("user.tool_confirmation"),
      tool_use_id: z.string(),
      result: z.enum(["allow", "deny"]),
      deny_message: z.string().nullish(),
    })
    .refine((event) => event.result === "deny" || event.deny_message == null, "deny_message goes with result deny only"),
  z.strictObject({ type: z.literal("user.tool_result"), tool_use_id: z.string(), ...result }),
  z.strictObject({ type: z.literal("user.custom_tool_result"), custom_tool_use_id: z.string(), ...result }),
  z.strictObject({
    type: z.literal("user.define_outcome"),
    description: z.string(),
    rubric: z.unknown(),
    max_iterations: z.int().min(1).max(20).optional(),
  }),
  z.strictObject({ type: z.literal("system.message"), content: z.array(text).min(1).max(1000) }),
]);

const sendSchema = z.object({ events: z.array(eventSchema).min(1) });

/**
 * The events of a send request.
 * @throws {ApiFailure} 400, naming the first wrong field
 */
export function parseSend(body: unknown, emptyText: "refuse" | "accept"): readonly EventParams[] {
  const parsed = sendSchema.safeParse(body);
  if (!parsed.success) throw invalid(parsed.error);
  const { events } = parsed.data;
  const system = events.findIndex((event) => event.type === "system.message");
  if (system !== -1 && (system !== events.length - 1 || events.length === 1)) {
    throw new ApiFailure(400, `events.${system}: system.message has to be the last event, after the one that it accompanies.`);
  }
  if (emptyText === "refuse") refuseEmptyText(events);
  return events;
}

/** The first problem of a request's body, as the API words it. */
export function invalid(error: z.ZodError): ApiFailure {
  const issue = error.issues[0];
  return new ApiFailure(400, `${issue?.path.join(".") || "body"}: ${issue?.message ?? "invalid"}`);
}

function refuseEmptyText(events: readonly z.infer<typeof eventSchema>[]): void {
  for (const [position, event] of events.entries()) {
    const content = "content" in event ? (event.content ?? []) : [];
    const empty = content.findIndex((block) => block.type === "text" && block.text === "");
    if (empty !== -1) throw new ApiFailure(400, `events.${position}.content.${empty}.text: text content blocks must be non-empty.`);
  }
}
