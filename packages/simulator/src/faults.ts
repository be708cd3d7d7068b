import type { EndpointName } from "./endpoints.ts";
import type { LoggedRequest } from "./request-log.ts";
import type { WebhookEvent } from "./webhooks.ts";
import type { SessionEvent } from "./wire.ts";

/** What happens to some requests instead of, or around, their ordinary handling. Whatever is not named stays as it is. */
export interface RequestFault {
  /** `"*"` means every endpoint. */
  readonly endpoint: EndpointName | "*";
  /** Counts only requests for which this is true. */
  readonly where?: (request: LoggedRequest) => boolean;
  /** 1-based: the first of the counted requests that is hit, counted from when the fault was added. Default 1. */
  readonly nth?: number;
  /** How many in a row are hit. Default 1; `Infinity` for all from then on. */
  readonly times?: number;
  /** Wait before handling, on the simulator's clock. */
  readonly latencyMs?: number;
  /** Answer with this status and do nothing. */
  readonly status?: number;
  /** Default: the type that goes with the status. */
  readonly errorType?: string;
  readonly message?: string;
  /** Added to the answer, whatever it is: `retry-after-ms`, `x-should-retry`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Cut the connection: `before` anything happened, or `after` it did, so that the response is lost. */
  readonly cut?: "before" | "after";
  /** Change the body of a successful answer after everything happened. */
  readonly transform?: (body: unknown) => unknown;
}

/**
 * What happens to one frame of an event stream.
 * - `cut`: the frame is lost and the connection reset; `cut_after`: it arrives first; `cut_mid_frame`: half of its bytes arrive.
 * - `end`: it arrives, then the stream ends cleanly. `drop`: it never arrives on the stream; history has it.
 * - `duplicate`: it arrives twice. `split`: it arrives byte by byte.
 * - `error`: an `event: error` frame comes instead, then the end. `invalid_json`: its data is broken. `no_event_name`: it lacks its `event:` line.
 */
export type StreamFaultKind =
  | "cut"
  | "cut_after"
  | "cut_mid_frame"
  | "end"
  | "drop"
  | "duplicate"
  | "split"
  | "error"
  | "invalid_json"
  | "no_event_name";

export interface StreamFault {
  readonly kind: StreamFaultKind;
  /** Default: any session. */
  readonly sessionId?: string;
  /** Default: any event. */
  readonly where?: (event: SessionEvent) => boolean;
  /** 1-based, counted over matching frames from when the fault was added. Default 1. */
  readonly nth?: number;
  /** Default 1. */
  readonly times?: number;
}

/**
 * What happens to one request of a webhook.
 * - `lost`: it is never sent, nor tried again. `duplicate`: it is sent twice.
 * - `old_timestamp`: its time is ten minutes ago, and signed as such. `wrong_key`: it is signed with another key. `no_id`, `no_timestamp`,
 *   `no_signature`: it lacks that header. `several_signatures`: of three in the header, the last is valid.
 */
export type WebhookFaultKind =
  | "lost"
  | "duplicate"
  | "old_timestamp"
  | "wrong_key"
  | "no_id"
  | "no_timestamp"
  | "no_signature"
  | "several_signatures";

export interface WebhookFault {
  readonly kind: WebhookFaultKind;
  /** Default: any event. */
  readonly where?: (event: WebhookEvent) => boolean;
  /** 1-based, counted over matching requests, repetitions included, from when the fault was added. Default 1. */
  readonly nth?: number;
  /** Default 1. */
  readonly times?: number;
}

/** Handle of one added fault. */
export interface AddedFault {
  /** How often it struck. */
  readonly struck: number;
  remove(): void;
}

interface Counted<Fault> {
  readonly fault: Fault;
  matched: number;
  struck: number;
}

/** The faults in force. A request or frame is hit by the first one that applies; the others count it all the same. */
export class FaultPlan {
  readonly #requests = new Set<Counted<RequestFault>>();
  readonly #frames = new Set<Counted<StreamFault>>();
  readonly #deliveries = new Set<Counted<WebhookFault>>();

  addRequestFault(fault: RequestFault): AddedFault {
    return add(this.#requests, fault);
  }

  addStreamFault(fault: StreamFault): AddedFault {
    return add(this.#frames, fault);
  }

  addWebhookFault(fault: WebhookFault): AddedFault {
    return add(this.#deliveries, fault);
  }

  clear(): void {
    for (const faults of [this.#requests, this.#frames, this.#deliveries]) faults.clear();
  }

  forRequest(request: LoggedRequest): RequestFault | undefined {
    return strike(this.#requests, (fault) => (fault.endpoint === "*" || fault.endpoint === request.endpoint) && (fault.where?.(request) ?? true));
  }

  forFrame(sessionId: string, event: SessionEvent): StreamFaultKind | undefined {
    if (this.#frames.size === 0) return undefined;
    const fault = strike(this.#frames, (each) => (each.sessionId ?? sessionId) === sessionId && (each.where?.(event) ?? true));
    return fault?.kind;
  }

  forDelivery(event: WebhookEvent): WebhookFaultKind | undefined {
    return strike(this.#deliveries, (fault) => fault.where?.(event) ?? true)?.kind;
  }
}

function add<Fault>(faults: Set<Counted<Fault>>, fault: Fault): AddedFault {
  const counted: Counted<Fault> = { fault, matched: 0, struck: 0 };
  faults.add(counted);
  return {
    get struck() {
      return counted.struck;
    },
    remove: () => void faults.delete(counted),
  };
}

function strike<Fault extends { readonly nth?: number; readonly times?: number }>(
  faults: ReadonlySet<Counted<Fault>>,
  applies: (fault: Fault) => boolean,
): Fault | undefined {
  let hit: Fault | undefined;
  for (const counted of faults) {
    if (!applies(counted.fault)) continue;
    counted.matched += 1;
    const first = counted.fault.nth ?? 1;
    if (hit !== undefined || counted.matched < first || counted.matched >= first + (counted.fault.times ?? 1)) continue;
    counted.struck += 1;
    hit = counted.fault;
  }
  return hit;
}
