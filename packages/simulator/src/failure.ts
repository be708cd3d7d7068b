import type { JsonObject } from "./wire.ts";

const typeByStatus: Readonly<Record<number, string>> = {
  400: "invalid_request_error",
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  405: "invalid_request_error",
  409: "conflict_error",
  412: "invalid_request_error",
  413: "request_too_large",
  429: "rate_limit_error",
  504: "timeout_error",
  529: "overloaded_error",
};

/** The error type that goes with a status; `api_error` for every other 5xx. */
export function errorTypeFor(status: number): string {
  return typeByStatus[status] ?? (status >= 500 ? "api_error" : "invalid_request_error");
}

/** A refusal, as the API words it. Thrown by handlers and by session handles alike. */
export class ApiFailure extends Error {
  override readonly name = "ApiFailure";
  readonly status: number;
  readonly errorType: string;
  readonly details: JsonObject | undefined;

  constructor(status: number, message: string, details?: JsonObject, errorType: string = errorTypeFor(status)) {
    super(message);
    this.status = status;
    this.errorType = errorType;
    this.details = details;
  }
}

export function errorEnvelope(failure: ApiFailure, requestId: string): JsonObject {
  return {
    type: "error",
    error: { type: failure.errorType, message: failure.message, ...(failure.details === undefined ? {} : { details: failure.details }) },
    request_id: requestId,
  };
}
