import type { Script } from "@glovebox/simulator";

const program = String.raw`#!/bin/bash
# Print the median of the numbers given as arguments.
median() {
  local sorted count middle
  sorted=($(printf '%s\n' "$@" | sort))
  count=${"$"}{#sorted[@]}
  middle=$((count / 2))
  if ((count % 2 == 1)); then
    echo "${"$"}{sorted[middle]}"
  else
    echo "$(((sorted[middle - 1] + sorted[middle]) / 2))"
  fi
}

median "$@"
`;

const tests = String.raw`#!/bin/bash
failed=0
check() {
  local expected=$1 actual
  shift
  actual=$(bash median.sh "$@")
  if [ "$actual" = "$expected" ]; then
    echo "ok   median $* = $expected"
  else
    echo "FAIL median $*: expected $expected, got $actual"
    failed=$((failed + 1))
  fi
}

check 2 3 1 2
check 5 5
check 3 1 2 4 6
check 10 9 10 100
echo "$failed failed"
exit $((failed > 0))
`;

/**
 * The session of `glovebox demo`: a program with a bug, its failing tests, the edit, the passing tests, a search and a report. Plain bash, so that it
 * runs on every provider; each result is checked, and nothing is assumed of the one before.
 */
export const demoScript: Script = {
  name: "glovebox demo",
  turns: [
    {
      user: "Write a small program that prints the median of its arguments, with tests, and make them pass.",
      message: "I will write the program and its tests.",
      calls: [
        { name: "write", input: { file_path: "median.sh", content: program }, expect: { contains: "wrote", isError: false } },
        { name: "write", input: { file_path: "median.test.sh", content: tests }, expect: { contains: "wrote", isError: false } },
      ],
    },
    {
      message: "Do the tests pass?",
      calls: [
        {
          name: "bash",
          input: { command: "runs=1; bash median.test.sh" },
          expect: { contains: ["FAIL median 9 10 100: expected 10, got 100", "1 failed"], isError: true },
        },
      ],
    },
    {
      message: "One fails: 9, 10, 100 come out in the order of text. I look at the line that sorts.",
      calls: [{ name: "read", input: { file_path: "median.sh", view_range: [4, 6] }, expect: { contains: "| sort))", isError: false } }],
    },
    {
      message: "It sorts as text; numbers need `sort -n`.",
      calls: [
        {
          name: "edit",
          input: { file_path: "median.sh", old_string: "| sort))", new_string: "| sort -n))" },
          expect: { contains: "1 replacement", isError: false },
        },
      ],
    },
    {
      message: "Again, in the same shell.",
      calls: [
        {
          name: "bash",
          input: { command: 'runs=$((runs + 1)); bash median.test.sh && echo "run $runs passed"' },
          expect: { contains: ["ok   median 9 10 100 = 10", "0 failed", "run 2 passed"], isError: false },
        },
      ],
    },
    {
      message: "They pass. A last look at what is there.",
      calls: [
        { name: "glob", input: { pattern: "**/*.sh" }, expect: { contains: ["median.sh", "median.test.sh"], isError: false } },
        { name: "grep", input: { pattern: "sort -n" }, expect: { contains: "sort -n", isError: false } },
      ],
    },
    { message: "Done: median.sh sorted its numbers as text; with `sort -n` all four tests pass." },
  ],
};
