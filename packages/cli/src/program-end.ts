import { constants } from "node:os";
import { type ProcessExit, SandboxError } from "@glovebox/core";
import { CommandError, exitCodes } from "./failure.ts";

/** The exit code of a command that ran a program: as a shell reports the program's end. */
export function exitCodeOf(exit: Pick<ProcessExit, "code" | "signal" | "timedOut">): number {
  if (exit.timedOut) return exitCodes.timedOut;
  if (exit.code !== null) return exit.code;
  return 128 + (constants.signals[(exit.signal ?? "SIGKILL") as keyof typeof constants.signals] ?? 0);
}

/** What a command that was to run a program throws in place of `error`, so that its exit code is not taken for the program's. */
export function programFailure(error: unknown): unknown {
  return SandboxError.is(error) ? new CommandError(error.message, { cause: error.cause, exitCode: failureCode(error) }) : error;
}

function failureCode({ code, reason }: SandboxError): number {
  if (code === "invalid_argument") return exitCodes.usage;
  if (code === "not_found" && reason === "ENOENT") return exitCodes.notFound;
  if (code === "permission_denied" && reason === "EACCES") return exitCodes.notExecutable;
  return exitCodes.gloveboxFailed;
}
