import { SandboxError } from "./errors.ts";

/** @throws {SandboxError} always: `invalid_argument`, effect `none` */
export function invalid(message: string): never {
  throw new SandboxError("invalid_argument", message, { effect: "none" });
}

/** @throws {SandboxError} always: `unsupported`, effect `none`, naming provider and capability */
export function unsupported(provider: string, message: string): never {
  throw new SandboxError("unsupported", `${provider} ${message}`, { effect: "none" });
}

/** Text that UTF-8 can say: no lone surrogates. */
export function checkText(what: string, value: string): string {
  if (typeof value !== "string") invalid(`${what} is no string`);
  if (!value.isWellFormed()) invalid(`${what} holds a lone surrogate, which UTF-8 cannot say`);
  return value;
}

/** Text that the kernel takes: no NUL either. */
export function checkName(what: string, value: string): string {
  if (checkText(what, value).includes("\0")) invalid(`${what} holds a NUL character`);
  return value;
}

export function checkWhole(what: string, value: number, smallest: number): number {
  if (!Number.isSafeInteger(value) || value < smallest) invalid(`${what} is ${value}; give a whole number from ${smallest}`);
  return value;
}

export function checkMode(mode: number): number {
  if (!Number.isInteger(mode) || mode < 0 || mode > 0o7777) invalid(`mode is ${mode}; give permission bits, 0 to 0o7777`);
  return mode;
}

export function checkEnv(env: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  for (const [name, value] of Object.entries(env)) {
    if (name === "" || checkName("an environment name", name).includes("=")) invalid(`environment name ${JSON.stringify(name)} is empty or holds =`);
    checkName(`the value of environment variable ${name}`, value);
  }
  return env;
}

/** Absolute, or resolved against `base`. Dots stay: what `..` means is the kernel's to say, after links. */
export function resolvePath(path: string, base: string): string {
  if (checkName("a path", path) === "") invalid("a path is empty");
  return path.startsWith("/") ? path : `${base === "/" ? "" : base}/${path}`;
}

const callPattern = /^[A-Za-z0-9_-]{1,128}$/u;

export function checkKey(what: string, value: string): string {
  if (!callPattern.test(value)) invalid(`${what} ${JSON.stringify(value)}; give 1 to 128 characters of A-Z, a-z, 0-9, _ and -`);
  return value;
}
