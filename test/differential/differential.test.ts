import { beforeAll, expect, test } from "vitest";
import { sessions } from "./cases/index.ts";
import { differences, type Expected } from "./differences.ts";
import { normalised } from "./normalisers.ts";
import { type Answer, type Answers, gloveboxAnswers, officialAnswers } from "./run.ts";
import { callsOf, type DifferentialCall } from "./session.ts";

const calls = sessions.flatMap(callsOf);
let ours: Answers;
let theirs: Answers;

beforeAll(async () => {
  ours = await gloveboxAnswers(sessions);
  theirs = await officialAnswers(sessions);
}, 300_000);

const answer = (answers: Answers, { name }: DifferentialCall): Answer => answers.get(name) ?? { isError: true, text: "it got no answer" };
const matching = ({ isError, text }: Expected): unknown => ({ isError, text: typeof text === "string" ? text : expect.stringMatching(text) });

test("there are more than 300 calls, each with a name of its own, and every listed difference is one of them", () => {
  const names = new Set(calls.map(({ name }) => name));
  expect(calls.length).toBeGreaterThan(300);
  expect(names.size).toBe(calls.length);
  expect(Object.keys(differences).filter((name) => !names.has(name))).toEqual([]);
});

test.each(sessions)("$name: answered as the official worker answers it", (session) => {
  const same = callsOf(session).filter(({ name }) => differences[name] === undefined);
  const seen = (answers: Answers): readonly unknown[] =>
    same.map((call) => {
      const { isError, text } = answer(answers, call);
      return { call: call.name, isError, text: normalised(call, text) };
    });
  expect(seen(ours)).toEqual(seen(theirs));
});

test.each(Object.entries(differences))("%s: differs, as it is wanted", (name, wanted) => {
  expect(ours.get(name), "ours").toEqual(matching(wanted.ours));
  expect(theirs.get(name), "the official worker's").toEqual(matching(wanted.theirs));
});
