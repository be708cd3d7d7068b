import type { ControlPlane, SessionRecord } from "./control-plane.ts";
import { ApiFailure } from "./failure.ts";
import { parameter, type ApiRequest } from "./request.ts";

/** The session that a request names. @throws {ApiFailure} 404: there is none; `foreignStatus`: it is not this credential's */
export function sessionOf(plane: ControlPlane, request: ApiRequest): SessionRecord {
  const id = parameter(request, "session");
  const { credential } = request;
  const record = plane.record(id);
  const foreign =
    credential.kind === "sessions_token"
      ? credential.sessionId !== id
      : credential.kind === "environment_key" && credential.environmentId !== record.environment.id;
  if (foreign) throw new ApiFailure(plane.behaviour.foreignStatus, `This credential does not belong to session ${id}.`);
  return record;
}
