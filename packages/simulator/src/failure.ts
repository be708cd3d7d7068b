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

interface FailureOptions {
  /** Default: the type that goes with the status. */
  readonly errorType?: string;
  readonly details?: JsonObject;
  /** Members that stand in the error itself, beside its type and message. */
  readonly fields?: JsonObject;
  /** Added to the answer. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** A refusal, as the API words it. Thrown by handlers and by session handles alike. */
export class ApiFailure extends Error {
  override readonly name = "ApiFailure";
  readonly status: number;
  readonly errorType: string;
  readonly details: JsonObject | undefined;
  readonly fields: JsonObject;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, { errorType = errorTypeFor(status), details, fields = {}, headers = {} }: FailureOptions = {}) {
    super(message);
    this.status = status;
    this.errorType = errorType;
    this.details = details;
    this.fields = fields;
    this.headers = headers;
  }
}

export function errorEnvelope(failure: ApiFailure, requestId: string): JsonObject {
  const { errorType: type, message, details, fields } = failure;
  return { type: "error", error: { type, message, ...fields, ...(details === undefined ? {} : { details }) }, request_id: requestId };
}
