import { lookup } from "node:dns";
import { request } from "node:http";
import { BlockList, isIP, type LookupFunction } from "node:net";

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/**
 * The address of an endpoint. The service wants HTTPS and a public host; the simulator stays on this machine, without TLS.
 * @throws {TypeError} no `http:` URL, or a host that is not loopback
 */
export function checkDeliveryUrl(text: string): URL {
  const url = new URL(text);
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
  if (url.protocol !== "http:") throw new TypeError(`webhook endpoint ${url.origin}: the simulator delivers over http: only`);
  if (host !== "localhost" && !isLoopback(host))
    throw new TypeError(`webhook endpoint ${url.origin}: the simulator delivers to loopback addresses only`);
  return url;
}

/** Post once and follow nothing. Returns the status, or why there is none. */
export function deliver(
  url: URL,
  { headers, body, signal }: { readonly headers: Readonly<Record<string, string>>; readonly body: string; readonly signal: AbortSignal },
): Promise<number | "not_loopback" | "no_answer"> {
  const { promise, resolve } = Promise.withResolvers<number | "not_loopback" | "no_answer">();
  const length = { "content-length": Buffer.byteLength(body) };
  const outgoing = request(url, { method: "POST", headers: { ...headers, ...length }, agent: false, lookup: loopbackOnly, signal }, (response) => {
    response.resume();
    resolve(response.statusCode ?? 0);
  });
  outgoing.on("error", (error) => resolve(error === notLoopback ? "not_loopback" : "no_answer"));
  outgoing.end(body);
  return promise;
}

const notLoopback = new Error("the name does not lead to this machine");

/** Names are looked at again at each delivery, because what they stand for can change. */
const loopbackOnly: LookupFunction = (hostname, options, callback) => {
  lookup(hostname, { ...options, all: true }, (error, addresses) => {
    if (error !== null) return callback(error, "", 0);
    const [first] = addresses;
    if (first === undefined || !addresses.every(({ address }) => isLoopback(address))) return callback(notLoopback, "", 0);
    if (options.all === true) callback(null, addresses);
    else callback(null, first.address, first.family);
  });
};

function isLoopback(address: string): boolean {
  const family = isIP(address);
  return family !== 0 && loopback.check(address, family === 6 ? "ipv6" : "ipv4");
}
