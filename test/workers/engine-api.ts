import { type IncomingMessage, request } from "node:http";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";

/** The machine's own engine. */
export const machineEngine = "/var/run/docker.sock";

/**
 * Ask an engine; its answer is still to be read.
 * @param body sent as it comes, as a tar archive
 * @throws {Error} what it refused, or that nobody answers
 */
export async function openAnswer(socketPath: string, method: string, path: string, body?: Readable): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const call = request({ socketPath, method, path, ...(body && { headers: { "content-type": "application/x-tar" } }) }, resolve);
  call.on("error", reject);
  if (body === undefined) call.end();
  else body.on("error", reject).pipe(call);
  const answer = await promise;
  if ((answer.statusCode ?? 0) >= 400) throw new Error(`${method} ${path}: ${answer.statusCode} ${await text(answer)}`);
  return answer;
}

/** As {@link openAnswer}, read whole. */
export async function askEngine(socketPath: string, method: string, path: string, body?: Readable): Promise<string> {
  return await text(await openAnswer(socketPath, method, path, body));
}
