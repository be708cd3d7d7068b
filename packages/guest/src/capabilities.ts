import type { Capabilities } from "@glovebox/core";

/** What every sandbox with a guest can do, whoever runs it; an adapter adds the rest, `calls` included (what its state directory outlives). */
export const guestCapabilities: Pick<Capabilities, "exec" | "shell" | "pty" | "files" | "text"> = {
  exec: {
    streams: "separate",
    bytes: "exact",
    stdin: "native",
    user: "native",
    signal: { support: "native", names: "all", to: "group" },
    exitSignal: true,
    timeout: "native",
    outputLimit: "native",
  },
  shell: { support: "native", keeps: "state" },
  pty: false,
  files: {
    support: "native",
    read: "stream",
    write: "stream",
    ranges: "native",
    list: "native",
    rename: "native",
    symlinks: "native",
    confined: "resolved",
  },
  text: "native",
};
