import { SandboxError } from "@glovebox/core";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

const chunkBytes = 65_536;

/**
 * A local regular file as a stream with back-pressure. The file is closed at the end, at a failure, and when the stream is cancelled.
 * @throws {SandboxError} `not_found`, `permission_denied`, `failed_precondition` with reason `not_regular_file`: a link, FIFO, device or directory
 */
export async function localFileStream(path: string): Promise<ReadableStream<Uint8Array>> {
  // O_NONBLOCK: opening a FIFO must not wait for its writer
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: unknown) => fail(path, error));
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    throw new SandboxError("failed_precondition", `${path}: not a regular file`, { effect: "none", reason: "not_regular_file" });
  }
  return handleStream(handle);
}

function handleStream(handle: FileHandle): ReadableStream<Uint8Array> {
  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const { bytesRead, buffer } = await handle.read(new Uint8Array(chunkBytes), 0, chunkBytes, null);
          if (bytesRead > 0) return controller.enqueue(buffer.subarray(0, bytesRead));
          await handle.close();
          controller.close();
        } catch (error) {
          await handle.close().catch(() => undefined);
          throw error;
        }
      },
      cancel: async () => await handle.close(),
    },
    { highWaterMark: 0 },
  );
}

/** A file system failure as the contract names it. */
export function fail(path: string, error: unknown): never {
  const reason = (error as NodeJS.ErrnoException).code ?? "unknown";
  const code = codes[reason] ?? "unknown";
  throw new SandboxError(code, `${path}: ${reason}`, { effect: "none", reason, cause: error });
}

const codes: Readonly<
  Record<string, "not_found" | "permission_denied" | "failed_precondition" | "already_exists" | "invalid_argument" | "resource_exhausted">
> = {
  ENOENT: "not_found",
  EACCES: "permission_denied",
  EPERM: "permission_denied",
  EROFS: "permission_denied",
  ENOTDIR: "failed_precondition",
  EISDIR: "failed_precondition",
  ENOTEMPTY: "failed_precondition",
  ELOOP: "failed_precondition",
  EEXIST: "already_exists",
  ENAMETOOLONG: "invalid_argument",
  ENOSPC: "resource_exhausted",
  EDQUOT: "resource_exhausted",
  EMFILE: "resource_exhausted",
};
