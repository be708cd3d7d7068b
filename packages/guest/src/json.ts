import { violation } from "./failures.ts";

/** An object from the wire; nothing is known of its members. */
export type JsonObject = Readonly<Record<string, unknown>>;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** @throws {SandboxError} reason `protocol_violation`: not UTF-8, not JSON, not an object */
export function parseObject(payload: Uint8Array): JsonObject {
  const value = parseJson(payload);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw violation("JSON that is not an object");
  return value as JsonObject;
}

/** @throws {SandboxError} reason `protocol_violation` */
export function parseJson(payload: Uint8Array): unknown {
  try {
    return JSON.parse(decoder.decode(payload));
  } catch {
    throw violation("a payload that is not JSON"); // the parser's message would quote the guest
  }
}

function member(object: JsonObject, name: string): unknown {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

const illTyped = (name: string): Error => violation(`${name} is missing or ill-typed`);

/** Lone surrogates are replaced. */
export function textMember(object: JsonObject, name: string, maxLength: number): string {
  return textOf(member(object, name), name, maxLength);
}

export function textOf(value: unknown, name: string, maxLength: number): string {
  if (typeof value !== "string" || value.length > maxLength) throw illTyped(name);
  return value.toWellFormed();
}

export function optionalTextMember(object: JsonObject, name: string, maxLength: number): string | undefined {
  return member(object, name) === undefined ? undefined : textMember(object, name, maxLength);
}

export function integerMember(object: JsonObject, name: string, least: number, most: number): number {
  const value = member(object, name);
  if (typeof value !== "number" || !Number.isInteger(value) || value < least || value > most) throw illTyped(name);
  return value;
}

/** A count of bytes. A sparse file can claim more than a number holds exactly; that is cut to the largest exact one. */
export function bytesMember(object: JsonObject, name: string): number {
  const value = member(object, name);
  if (typeof value !== "number" || !Number.isInteger(value) || value < 0) throw illTyped(name);
  return Math.min(value, Number.MAX_SAFE_INTEGER);
}

export function booleanMember(object: JsonObject, name: string): boolean {
  const value = member(object, name);
  if (typeof value !== "boolean") throw illTyped(name);
  return value;
}

export function optionalBooleanMember(object: JsonObject, name: string): boolean | undefined {
  return member(object, name) === undefined ? undefined : booleanMember(object, name);
}

export function objectMember(object: JsonObject, name: string): JsonObject {
  const value = member(object, name);
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw illTyped(name);
  return value as JsonObject;
}

export function arrayMember(object: JsonObject, name: string, maxLength: number): readonly unknown[] {
  const value = member(object, name);
  if (!Array.isArray(value) || value.length > maxLength) throw illTyped(name);
  return value;
}

export function nullableMember<T>(object: JsonObject, name: string, read: (object: JsonObject, name: string) => T): T | null {
  return member(object, name) === null ? null : read(object, name);
}

/** One of a closed list of words. */
export function wordMember<T extends string>(object: JsonObject, name: string, words: ReadonlySet<T>): T {
  const value = member(object, name);
  if (typeof value !== "string" || !(words as ReadonlySet<string>).has(value)) throw illTyped(name);
  return value as T;
}
