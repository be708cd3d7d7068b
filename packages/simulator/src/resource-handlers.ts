import { z } from "zod";
import type { ControlPlane, SessionRecord } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import { pageOf } from "./paging.ts";
import { ok, parameter, parseWith, type ApiRequest, type HandlersOf } from "./request.ts";
import { sessionOf } from "./session-access.ts";
import { fileParams, refuseOnSelfHosted, store, type StoredResource } from "./session-resources.ts";
import { timestamp } from "./wire.ts";

const updateBody = z.strictObject({ authorization_token: z.string().min(1) });

/** Handlers of a session's resources. Memory stores are listed only: they have no id to name them by, and come and go with the session. */
export function resourceHandlers(plane: ControlPlane): HandlersOf<"resources"> {
  const find = (request: ApiRequest): { readonly record: SessionRecord; readonly resource: StoredResource } => {
    const record = sessionOf(plane, request);
    const id = parameter(request, "resource");
    const resource = record.resources.find((each) => each.type !== "memory_store" && each.id === id);
    if (resource === undefined || resource.type === "memory_store") throw new ApiFailure(404, `Resource ${id} not found.`);
    return { record, resource };
  };
  return {
    "resources.list"(request) {
      const { data, next } = pageOf(sessionOf(plane, request).resources, request.query);
      return ok({ data, next_page: next });
    },

    "resources.add"(request) {
      const record = sessionOf(plane, request);
      refuseOnSelfHosted(record.environment);
      const resource = store(parseWith(fileParams, request.body), plane.clock.stampMs());
      record.resources.push(resource);
      return ok(resource);
    },

    "resources.retrieve": (request) => ok(find(request).resource),

    "resources.update"(request) {
      const { record, resource } = find(request);
      parseWith(updateBody, request.body);
      if (resource.type !== "github_repository") throw new ApiFailure(400, "authorization_token: only a repository has one.");
      const updated = { ...resource, updated_at: timestamp(plane.clock.stampMs()) };
      record.resources[record.resources.indexOf(resource)] = updated;
      return ok(updated);
    },

    "resources.delete"(request) {
      const { record, resource } = find(request);
      record.resources.splice(record.resources.indexOf(resource), 1);
      return ok({ id: resource.id, type: "session_resource_deleted" });
    },
  };
}
