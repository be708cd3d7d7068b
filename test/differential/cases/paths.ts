import { callsTo, commands, type DifferentialCall, type DifferentialSession } from "../session.ts";

/** Paths that lead, or try to lead, out of the work directory. */
const escapes: Readonly<Record<string, string>> = {
  "up and out": "../../etc/passwd",
  "up from inside": "a/../../etc/passwd",
  absolute: "/etc/passwd",
  "absolute with dots": "/workspace/../etc/passwd",
  "by a link to a file": "to-passwd",
  "by a link to a directory": "to-etc/passwd",
  "by a link to the root": "to-root/etc/passwd",
  "by a chain of links": "chain-a/passwd",
  "by a link that goes up": "up/etc/passwd",
  "by the process's own root": "/proc/self/root/etc/passwd",
  "by a descriptor": "/proc/self/fd/0",
  "a sibling with the same beginning": "/workspace-other/file",
  "the parent": "..",
  "the root": "/",
  "back in by a link": "to-root/workspace/inside.txt",
  "through a missing directory": "missing/../inside.txt",
};

const each = (tool: DifferentialCall["tool"], more: Readonly<Record<string, string>>, member = "file_path"): readonly DifferentialCall[] =>
  callsTo(tool)(Object.fromEntries(Object.entries(escapes).map(([name, path]) => [`escape ${name}`, { [member]: path, ...more }])));

export const pathSessions: readonly DifferentialSession[] = [
  {
    name: "paths out of the work directory",
    turns: [
      ...commands({
        "links out":
          "echo inside > inside.txt; mkdir a; ln -s /etc/passwd to-passwd; ln -s /etc to-etc; ln -s / to-root; ln -s chain-b chain-a; ln -s to-etc chain-b; ln -s .. up",
      }),
      ...each("read", {}),
      ...each("write", { content: "x" }),
      ...each("edit", { old_string: "x", new_string: "y" }),
      ...each("grep", { pattern: "root" }, "path"),
      ...each("glob", { pattern: "*" }, "path"),
      ...commands({ "nothing was written": "cat inside.txt; ls -A" }),
    ],
  },
];
