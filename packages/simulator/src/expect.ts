import type { CallRecord, Failure } from "./report.ts";
import type { Expectation } from "./script.ts";

const shownCharacters = 400;

/** What is wrong with a settled call, one failure for each condition that does not hold. */
export function checkCall(call: CallRecord, expectation: Expectation): readonly Failure[] {
  const problems = [
    ...outcomeProblems(call, expectation),
    ...(call.result === null ? missingResult(expectation) : resultProblems(call, expectation)),
  ];
  const heading = `turn ${call.turn}, ${call.name} ${shorten(JSON.stringify(call.input))} (${call.id}):`;
  return problems.map((problem) => ({ callId: call.id, message: `${heading}\n  ${problem.replaceAll("\n", "\n  ")}` }));
}

function outcomeProblems(call: CallRecord, { outcome }: Expectation): readonly string[] {
  return outcome === undefined || outcome === call.outcome ? [] : [`expected outcome ${outcome}, got ${call.outcome}`];
}

function missingResult({ equals, contains, matches, isError, check }: Expectation): readonly string[] {
  const named = [equals, contains, matches, isError, check].some((condition) => condition !== undefined);
  return named ? ["expected a result, got none"] : [];
}

function resultProblems(call: CallRecord, expectation: Expectation): readonly string[] {
  const { result } = call;
  if (result === null) return [];
  const problems: string[] = [];
  const { equals, contains = [], matches, isError } = expectation;
  if (isError !== undefined && isError !== result.isError) {
    problems.push(`expected ${isError ? "an error" : "no error"}, got ${result.isError ? "an error" : "none"}: ${quote(result.text)}`);
  }
  if (equals !== undefined && equals !== result.text) problems.push(difference(equals, result.text));
  for (const part of typeof contains === "string" ? [contains] : contains) {
    if (!result.text.includes(part)) problems.push(`expected text that contains ${quote(part)}\ngot ${quote(result.text)}`);
  }
  if (matches !== undefined && result.text.search(matches) === -1) {
    problems.push(`expected text that matches ${String(typeof matches === "string" ? new RegExp(matches) : matches)}\ngot ${quote(result.text)}`);
  }
  const objection = objectionOf(call, expectation);
  if (objection !== undefined) problems.push(objection);
  return problems;
}

function objectionOf(call: CallRecord, { check }: Expectation): string | undefined {
  if (check === undefined || call.result === null) return undefined;
  try {
    return check(call.result, call) ?? undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Both texts from shortly before the first place where they part. */
function difference(expected: string, actual: string): string {
  let common = 0;
  while (common < expected.length && common < actual.length && expected[common] === actual[common]) common += 1;
  const line = expected.slice(0, common).split("\n").length;
  const from = Math.max(0, common - 20);
  const lead = from > 0 ? "…" : "";
  return [
    `texts differ at character ${common} (line ${line}); lengths ${expected.length} and ${actual.length}`,
    `expected ${lead}${quote(expected.slice(from))}`,
    `got      ${lead}${quote(actual.slice(from))}`,
  ].join("\n");
}

function quote(text: string): string {
  return JSON.stringify(shorten(text));
}

function shorten(text: string): string {
  return text.length <= shownCharacters ? text : `${text.slice(0, shownCharacters)}… (${text.length} characters)`;
}
