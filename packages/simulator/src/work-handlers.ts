import { z } from "zod";
import type { Behaviour } from "./behaviour.ts";
import type { ControlPlane, Environment } from "./control-plane.ts";
import { mintId } from "./credentials.ts";
import { ApiFailure } from "./failure.ts";
import { mergeMetadata } from "./metadata.ts";
import { integer, pageOf } from "./paging.ts";
import { ok, parameter, parseWith, type ApiRequest, type HandlersOf } from "./request.ts";
import { timestamp } from "./wire.ts";
import { wireWork, type WorkItem } from "./work-item.ts";

const stopBody = z.strictObject({ force: z.boolean().optional() }).optional();
const updateBody = z.strictObject({ metadata: z.record(z.string(), z.string().nullable()) });

/**
 * Handlers of `/v1/environments/{id}` and its work.
 * @param baseUrl known only once the server listens
 */
export function workHandlers(plane: ControlPlane, baseUrl: () => string): HandlersOf<"environments" | "work"> {
  const { behaviour } = plane;
  const environmentOf = (request: ApiRequest): Environment => {
    const id = parameter(request, "environment");
    const { credential } = request;
    if (credential.kind !== "api_key" && credential.environmentId !== id) {
      throw new ApiFailure(behaviour.foreignStatus, `This credential does not belong to environment ${id}.`);
    }
    return plane.environment(id);
  };
  const selfHostedOf = (request: ApiRequest): Environment => {
    const environment = environmentOf(request);
    if (environment.type !== "self_hosted") throw new ApiFailure(400, `Environment ${environment.id} is not a self-hosted environment.`);
    return environment;
  };
  const itemOf = (request: ApiRequest): { readonly environment: Environment; readonly item: WorkItem } => {
    const environment = selfHostedOf(request);
    const id = parameter(request, "work");
    if (request.credential.kind === "sessions_token" && request.credential.workId !== id) {
      throw new ApiFailure(behaviour.foreignStatus, `This credential does not belong to work ${id}.`);
    }
    return { environment, item: environment.queue.get(id) };
  };
  const issueToken = (item: WorkItem): string => {
    const { credentials } = plane;
    const earlier = behaviour.sessionsTokens === "per_delivery" ? [] : credentials.tokensOf(item.id);
    if (behaviour.sessionsTokens === "per_item" && earlier[0] !== undefined) return earlier[0];
    if (behaviour.sessionsTokens === "per_delivery_revoking") for (const token of earlier) credentials.revoke(token);
    return credentials.issue(
      { kind: "sessions_token", environmentId: item.environmentId, workId: item.id, sessionId: item.data.id, delivery: item.deliveries },
      behaviour.sessionsTokenLifetimeMs ?? Infinity,
    );
  };
  const secretFor = (item: WorkItem): string | null => {
    const secret = encodeSecret(behaviour.workSecret, baseUrl(), () => issueToken(item));
    if (secret !== null) plane.credentials.remember(secret, "work_secret");
    return secret;
  };
  return {
    "environments.retrieve"(request) {
      const { id, name, type, createdAtMs } = environmentOf(request);
      const at = timestamp(createdAtMs);
      const fixed = { description: null, config: { type }, metadata: {}, scope: "organization", archived_at: null };
      return ok({ id, type: "environment", name, ...fixed, created_at: at, updated_at: at });
    },

    async "work.poll"(request) {
      const { queue } = selfHostedOf(request);
      const blockMs = integer(request.query, "block_ms", { min: 1, max: 999 }) ?? 0;
      const reclaimOlderThanMs = integer(request.query, "reclaim_older_than_ms", { min: 0, max: 86_400_000 }) ?? behaviour.reclaimOlderThanMs;
      const pending = queue.poll({ blockMs, reclaimOlderThanMs, workerId: request.workerId });
      request.gone.addEventListener("abort", pending.cancel, { once: true });
      const item = await pending.item;
      if (item !== null) return { status: 200, body: wireWork(item, secretFor(item)), delivered: { workId: item.id, delivery: item.deliveries } };
      if (behaviour.emptyPoll === "null") return ok(null);
      return { status: behaviour.emptyPoll === "no_content" ? 204 : 200, body: undefined };
    },

    "work.stats": (request) => ok(selfHostedOf(request).queue.stats()),

    "work.list"(request) {
      const { data, next } = pageOf([...selfHostedOf(request).queue.all()], request.query);
      return ok({ data: data.map((item) => wireWork(item)), next_page: next });
    },

    "work.retrieve": (request) => ok(wireWork(itemOf(request).item)),

    "work.update"(request) {
      const { item } = itemOf(request);
      const { metadata } = parseWith(updateBody, request.body);
      item.metadata = mergeMetadata(item.metadata, metadata);
      return ok(wireWork(item));
    },

    "work.ack"(request) {
      const { environment, item } = itemOf(request);
      environment.queue.ack(item);
      return ok(wireWork(item));
    },

    "work.heartbeat"(request) {
      const { environment, item } = itemOf(request);
      const ttlSeconds = integer(request.query, "desired_ttl_seconds", { min: 1, max: 86_400 });
      return ok(environment.queue.heartbeat(item, request.query.get("expected_last_heartbeat"), ttlSeconds === null ? null : ttlSeconds * 1000));
    },

    "work.stop"(request) {
      const { environment, item } = itemOf(request);
      const body = parseWith(stopBody, request.body);
      environment.queue.stop(item, body?.force === true);
      return ok(wireWork(item));
    },
  };
}

function encodeSecret(form: Behaviour["workSecret"], baseUrl: string, issue: () => string): string | null {
  const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url");
  switch (form) {
    case "absent":
      return null;
    case "garbage":
      return "%%% not base64 %%%";
    case "no_token":
      return encode({ api_base_url: baseUrl });
    case "padded":
      return Buffer.from(JSON.stringify({ sessions_token: issue() })).toString("base64");
    case "extra_fields":
      return encode({ sessions_token: issue(), version: 2, trace: { id: mintId("req") } });
    case "api_base_url":
      return encode({ sessions_token: issue(), api_base_url: baseUrl });
    case "unpadded":
      return encode({ sessions_token: issue() });
  }
}
