import { readFileSync } from "node:fs";
import { join } from "node:path";
import { SandboxError } from "@glovebox/core";

/** Where an engine listens. */
export interface EngineAddress {
  /** For messages: as `DOCKER_HOST` has it. */
  readonly name: string;
  readonly socketPath?: string;
  readonly host?: string;
  readonly port?: number;
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer; readonly rejectUnauthorized: boolean };
}

/** Docker's own variables. */
export interface EngineEnvironment {
  readonly DOCKER_HOST?: string | undefined;
  readonly DOCKER_CERT_PATH?: string | undefined;
  readonly DOCKER_TLS_VERIFY?: string | undefined;
}

export const defaultEngineHost: string = process.platform === "win32" ? "npipe:////./pipe/docker_engine" : "unix:///var/run/docker.sock";

/**
 * Read an engine's address as Docker's own client does.
 * @param name `unix:///path`, `npipe:////./pipe/name`, `tcp://host:port`, `http://…` or `https://…`
 * @throws {SandboxError} `invalid_argument`: not such an address, or its certificates cannot be read
 */
export function parseEngineAddress(name: string, environment: EngineEnvironment): EngineAddress {
  const [, scheme = "", rest = ""] = /^([a-z]+):\/\/(.+)$/u.exec(name) ?? [];
  if (scheme === "unix" && rest.startsWith("/")) return { name, socketPath: rest };
  if (scheme === "npipe") return { name, socketPath: rest };
  const url = scheme === "tcp" || scheme === "http" || scheme === "https" ? URL.parse(`http://${rest}`) : null;
  if (url === null || url.pathname !== "/") {
    const what =
      scheme === "ssh"
        ? "forward its socket (`ssh -L /tmp/docker.sock:/var/run/docker.sock HOST`) and give that"
        : "give unix:///path or tcp://host:port";
    throw new SandboxError("invalid_argument", `DOCKER_HOST ${JSON.stringify(name)} is no address that Glovebox can use; ${what}`, {
      effect: "none",
    });
  }
  const secure = scheme === "https" || (scheme === "tcp" && (environment.DOCKER_TLS_VERIFY ?? "") !== "");
  const at = { name, host: url.hostname.replace(/^\[|\]$/gu, ""), port: url.port === "" ? (secure ? 2376 : 2375) : Number(url.port) };
  return secure ? { ...at, tls: certificates(environment.DOCKER_CERT_PATH) } : at;
}

function certificates(directory: string | undefined): NonNullable<EngineAddress["tls"]> {
  if (directory === undefined || directory === "") return { rejectUnauthorized: true };
  try {
    const [ca, cert, key] = ["ca.pem", "cert.pem", "key.pem"].map((file) => readFileSync(join(directory, file)));
    return { rejectUnauthorized: true, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
  } catch (cause) {
    throw new SandboxError("invalid_argument", `DOCKER_CERT_PATH ${directory} must hold ca.pem, cert.pem and key.pem, readable by this user`, {
      cause,
      effect: "none",
    });
  }
}
