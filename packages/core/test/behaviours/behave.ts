import { Sandbox, SandboxError } from "../../src/index.ts";
import { type FakeOptions, fakeProvider } from "../fake-provider.ts";

/** What core does, without a test runner's words, so that the same runs in Node and inside workerd. A behaviour that fails throws. */
export type Behaviours = Readonly<Record<string, () => Promise<void>>>;

export interface Output {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
}

const shown = (value: unknown): string =>
  JSON.stringify(value, (_key, each: unknown) => (each instanceof Uint8Array ? [...each] : each === undefined ? "undefined" : each)) ?? "undefined";

export function equal(actual: unknown, expected: unknown): void {
  if (shown(actual) !== shown(expected)) throw new Error(`expected ${shown(expected)}, got ${shown(actual)}`);
}

export async function refused(call: Promise<unknown> | (() => unknown), code: string, message: string | RegExp, effect = "none"): Promise<void> {
  const error = await Promise.resolve(typeof call === "function" ? Promise.try(call) : call).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!SandboxError.is(error)) throw new Error(`expected ${code}, got ${String(error)}`);
  equal([error.code, error.effect], [code, effect]);
  if (typeof message === "string" ? error.message !== `[${code}] ${message}` : !message.test(error.message)) throw new Error(`got ${error.message}`);
}

export async function thrown(call: Promise<unknown>): Promise<unknown> {
  return await call.then(
    () => Promise.reject(new Error("expected a failure")),
    (reason: unknown) => reason,
  );
}

export const make = async (options: FakeOptions = {}): Promise<Sandbox> => await Sandbox.create(fakeProvider(options));
export const text = async (stream: ReadableStream<Uint8Array>): Promise<string> => await new Response(stream).text();
export const never = <T>(): Promise<T> => Promise.withResolvers<T>().promise;
