export type { ArchiveMember, MemberKind } from "./archive.ts";
export type { Behaviour } from "./behaviour.ts";
export { VirtualClock, realClock, type Clock, type Timer } from "./clock.ts";
export { checkConversation, type ConversationOptions, type ConversationRule, type Violation } from "./conversation.ts";
export type { CredentialKind, SecretKind } from "./credentials.ts";
export type { EndpointName } from "./endpoints.ts";
export { ApiFailure } from "./failure.ts";
export type { AddedFault, RequestFault, StreamFault, StreamFaultKind, WebhookFault, WebhookFaultKind } from "./faults.ts";
export type { CallRecord, CallResult, Failure, SessionReport } from "./report.ts";
export type { LoggedRequest } from "./request-log.ts";
export {
  scriptBrain,
  type Brain,
  type BrainContext,
  type Expectation,
  type InterruptPlan,
  type Script,
  type ScriptSkill,
  type ScriptStore,
  type ToolCall,
  type Turn,
} from "./script.ts";
export { parseScript, ScriptError } from "./script-schema.ts";
export { startSimulator } from "./start.ts";
export type {
  AgentSpec,
  CreateMemoryStoreOptions,
  CreateSessionOptions,
  CreateSkillOptions,
  CreateWebhookOptions,
  MemoryStoreHandle,
  Observation,
  SessionHandle,
  SimulatedEnvironment,
  Simulator,
  SimulatorOptions,
  SkillHandle,
  SkillReference,
  StoreAttachment,
  WebhookHandle,
} from "./simulator.ts";
export type { SkillContent, SkillFile } from "./skills.ts";
export type { WebhookAttempt, WebhookDisabledBecause, WebhookEvent, WebhookEventType } from "./webhooks.ts";
export type { ContentBlock, EventParams, JsonObject, SessionEvent, SessionStatus, StopReason, WireWork, WorkState } from "./wire.ts";
