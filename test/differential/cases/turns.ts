import type { DifferentialCall, DifferentialSession } from "../session.ts";

const call = (name: string, tool: DifferentialCall["tool"], input: DifferentialCall["input"], thread?: string): DifferentialCall => ({
  name: `turns: ${name}`,
  tool,
  input,
  ...(thread === undefined ? {} : { thread }),
});

/** Several calls of one turn, and calls of child threads: each must see what the ones before it did. */
export const turnSessions: readonly DifferentialSession[] = [
  {
    name: "turns of several calls",
    turns: [
      [
        call("write first", "write", { file_path: "order.txt", content: "one\n" }),
        call("then append", "bash", { command: "echo two >> order.txt" }),
        call("then read", "read", { file_path: "order.txt" }),
        call("then edit", "edit", { file_path: "order.txt", old_string: "two", new_string: "zwei" }),
        call("then read by the shell", "bash", { command: "cat order.txt" }),
      ],
      [
        call("a directory for the next", "bash", { command: "mkdir -p d && cd d && pwd" }),
        call("it stays within the turn", "bash", { command: "pwd" }),
        call("tools ignore it", "write", { file_path: "w.txt", content: "w" }),
        call("what it made", "bash", { command: "ls /workspace; cd /workspace" }),
      ],
      [
        call("a failure in the middle", "bash", { command: "false" }),
        call("does not stop the next", "bash", { command: "echo on" }),
        call("nor a wrong path", "read", { file_path: "missing" }),
        call("nor a refused one", "read", { file_path: "/etc/shadow" }),
        call("the last", "bash", { command: "echo last" }),
      ],
      [
        call("reads in a row 1", "read", { file_path: "order.txt" }),
        call("reads in a row 2", "glob", { pattern: "*.txt" }),
        call("reads in a row 3", "grep", { pattern: "zwei", path: "order.txt" }),
        call("reads in a row 4", "read", { file_path: "w.txt" }),
      ],
      call("a call of a thread", "bash", { command: "echo from a thread" }, "child"),
      [
        call("a thread writes", "write", { file_path: "t.txt", content: "t" }, "child"),
        call("another reads", "read", { file_path: "t.txt" }, "other"),
      ],
      call("the first thread goes on", "bash", { command: "cat t.txt; echo" }),
    ],
  },
];
