import { SandboxError } from "@glovebox/core";
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { link, mkdir, open, unlink } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";

export interface OwnerKeyOptions {
  /** Where the key is kept. Default: `$XDG_STATE_HOME/glovebox/owner.key`, or `~/.local/state/glovebox/owner.key`. */
  readonly path?: string;
  /** Default: `process.env`. `GLOVEBOX_OWNER_KEY`, 64 or more hexadecimal digits, comes before any file, unless `path` is given. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const keyBytes = 32;

/**
 * The key that proves ownership of sandboxes, so that the commands and workers of one user on one machine share theirs. Read, or made at the
 * first use: 32 random bytes in a file that only its owner may read. Of several who make it at once one wins and all get the same.
 * @throws {SandboxError} `invalid_argument`: the variable or file holds no key; `permission_denied`: others could have read or written the file
 */
export async function ownerKey(options: OwnerKeyOptions = {}): Promise<Uint8Array> {
  const env = options.env ?? process.env;
  const fromEnvironment = env["GLOVEBOX_OWNER_KEY"];
  if (options.path === undefined && fromEnvironment !== undefined && fromEnvironment !== "") return parseHex(fromEnvironment);
  const path = options.path ?? defaultPath(env);
  return (await readKey(path)) ?? (await makeKey(path));
}

function parseHex(text: string): Uint8Array {
  if (/^([0-9a-f]{2})+$/iu.test(text) && text.length >= keyBytes * 2) return Uint8Array.from(Buffer.from(text, "hex"));
  throw new SandboxError("invalid_argument", `GLOVEBOX_OWNER_KEY is no key; give at least ${keyBytes * 2} hexadecimal digits`, { effect: "none" });
}

function defaultPath(env: Readonly<Record<string, string | undefined>>): string {
  const state = env["XDG_STATE_HOME"];
  // the XDG rules say that a relative path is to be ignored
  return join(state?.startsWith("/") === true ? state : join(homedir(), ".local", "state"), "glovebox", "owner.key");
}

async function readKey(path: string): Promise<Uint8Array | undefined> {
  const handle = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw new SandboxError("permission_denied", `${path}: the owner key cannot be read`, { effect: "none", cause: error });
  });
  if (handle === undefined) return undefined;
  try {
    const stat = await handle.stat();
    const mine = process.getuid === undefined || stat.uid === process.getuid();
    if (!stat.isFile() || !mine || (stat.mode & 0o077) !== 0) {
      throw new SandboxError(
        "permission_denied",
        `${path}: the owner key must be a file of yours that nobody else may read; remove it, or chmod 600 it`,
        {
          effect: "none",
        },
      );
    }
    if (stat.size !== keyBytes) {
      throw new SandboxError("invalid_argument", `${path}: holds ${stat.size} bytes and no owner key, which has ${keyBytes}; remove it`, {
        effect: "none",
      });
    }
    return Uint8Array.from(await handle.readFile());
  } finally {
    await handle.close();
  }
}

/** Written whole under another name first, so that nobody reads half a key; the link is what only one can make. */
async function makeKey(path: string): Promise<Uint8Array> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  const draft = `${path}.${randomBytes(8).toString("hex")}`;
  const handle = await open(draft, "wx", 0o600);
  try {
    await handle.writeFile(randomBytes(keyBytes));
    await handle.sync();
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await handle.close();
    await unlink(draft);
  }
  const key = await readKey(path);
  if (key === undefined) throw new SandboxError("unavailable", `${path}: the owner key vanished while it was made; try again`, { effect: "none" });
  return key;
}
