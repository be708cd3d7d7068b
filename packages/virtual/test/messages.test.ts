import { expect, test } from "vitest";
import { fromThread, toThread } from "../src/messages.ts";
import { knownArguments } from "../src/search-command.ts";

const file = { kind: "file", run: 1, request: 1, operation: "stat", arguments: ["/f"] };
const ended = { kind: "ended", run: 1, code: 0, stdout: new Uint8Array(), stderr: new Uint8Array(), droppedBytes: { stdout: 0, stderr: 0 } };
const state = { cwd: "/", variables: [{ name: "a", value: "b", exported: true }], functions: [{ name: "f", source: "f() { :; }" }] };
const run = { kind: "run", run: 1, program: { argv: ["true"] }, cwd: "/", env: {}, stdin: new Uint8Array(), merge: false };

test("what a thread says is taken only when it is whole", () => {
  const whole = [{ kind: "ready", commands: ["ls"] }, file, ended, { ...ended, state }];
  for (const message of whole) expect(fromThread(message)).toBe(message);
  const broken = [
    undefined,
    "ready",
    { kind: "ready", commands: [1] },
    { ...file, run: -1 },
    { ...file, operation: "constructor" },
    { ...file, operation: "format" },
    { ...file, arguments: [] },
    { ...file, arguments: [{ path: "/f" }] },
    { ...ended, code: "0" },
    { ...ended, stdout: "text" },
    { ...ended, droppedBytes: { stdout: 0 } },
    { ...ended, state: { ...state, cwd: "relative" } },
    { ...ended, state: { ...state, variables: [{ name: "a;rm", value: "", exported: false }] } },
    { ...ended, kind: "other" },
  ];
  for (const message of broken) expect(fromThread(message)).toBeUndefined();
});

test("what a thread is told is taken only when it is whole", () => {
  const answer = { kind: "answer", request: 1, ok: false, errno: "ENOENT", text: "gone" };
  for (const message of [run, { ...run, program: { command: "ls", state } }, answer, { kind: "answer", request: 2, ok: true, value: 1 }]) {
    expect(toThread(message)).toBe(message);
  }
  for (const message of [
    null,
    { ...run, program: { command: "ls" } },
    { ...run, stdin: "text" },
    { ...answer, errno: 2 },
    { kind: "stop", run: 1 },
  ]) {
    expect(() => toThread(message)).toThrow(new TypeError("a message of another kind"));
  }
});

test("ripgrep's flags become those of just-bash", () => {
  const given = ["--no-config", "--no-heading", "--with-filename", "--color=never", "--regexp", "--", "-n", "--", "-dash", "/abs"];
  expect(knownArguments(given)).toEqual(["--with-filename", "-e", "--", "-n", "./-dash", "/abs"]);
  expect(knownArguments(["--color", "never", "x", "--color", "always"])).toEqual(["x", "--color", "always"]);
});
