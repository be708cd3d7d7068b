import type { SessionHandle } from "@glovebox/simulator";

/** Which call each stored result answers, in order: one that was answered twice stands here twice. */
export function answeredCalls(session: SessionHandle): readonly unknown[] {
  return session.events.flatMap((event) => {
    if (event.type === "user.tool_result") return [event["tool_use_id"]];
    return event.type === "user.custom_tool_result" ? [event["custom_tool_use_id"]] : [];
  });
}
