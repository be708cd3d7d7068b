import { SandboxError } from "../errors.ts";

/** One path segment's pattern, in single characters. */
type Token =
  | { readonly kind: "any" }
  | { readonly kind: "one" }
  | { readonly kind: "set"; readonly negated: boolean; readonly ranges: readonly (readonly [number, number])[] }
  | { readonly kind: "literal"; readonly code: number };

type Segment = "**" | readonly Token[];

const maxAlternatives = 256;

/**
 * A matcher of relative paths for `*`, `**`, `?`, `[…]`, `{a,b}` and `\` before a character that stands for itself. It takes time in proportion
 * to pattern times path whatever either says: patterns come from a model and names from a sandbox, so no regular expression is made of them.
 * @throws {SandboxError} `invalid_argument`: more than 256 alternatives
 */
export function globMatcher(pattern: string): (path: string) => boolean {
  const alternatives = expandBraces(pattern).map((each) => splitSegments(each).map(parseSegment));
  return (path) => {
    const names = path.split("/");
    return alternatives.some((segments) => matchSegments(segments, names));
  };
}

function matchSegments(segments: readonly Segment[], names: readonly string[]): boolean {
  // reachable[i]: the segments so far match the first i names
  let reachable = Array.from({ length: names.length + 1 }, (_, index) => index === 0);
  for (const segment of segments) {
    const next = Array.from({ length: names.length + 1 }, () => false);
    for (let index = 0; index <= names.length; index++) {
      if (segment === "**") next[index] = reachable[index] === true || (index > 0 && next[index - 1] === true);
      else next[index] = index > 0 && reachable[index - 1] === true && matchTokens(segment, names[index - 1] ?? "");
    }
    reachable = next;
  }
  return reachable[names.length] === true;
}

function matchTokens(tokens: readonly Token[], name: string): boolean {
  const codes = Array.from(name, (character) => character.codePointAt(0) ?? 0);
  let [token, at, star, starAt] = [0, 0, -1, 0];
  while (at < codes.length) {
    const current = tokens[token];
    if (current?.kind === "any") [star, starAt, token] = [token, at, token + 1];
    else if (current !== undefined && matchOne(current, codes[at] ?? 0)) [token, at] = [token + 1, at + 1];
    else if (star >= 0) [starAt, token, at] = [starAt + 1, star + 1, starAt + 1];
    else return false;
  }
  return tokens.slice(token).every(({ kind }) => kind === "any");
}

function matchOne(token: Token, code: number): boolean {
  if (token.kind === "literal") return token.code === code;
  if (token.kind === "set") return token.negated !== token.ranges.some(([from, to]) => code >= from && code <= to);
  return token.kind === "one";
}

function parseSegment(text: string): Segment {
  if (text === "**") return "**";
  const characters = Array.from(text);
  const tokens: Token[] = [];
  for (let index = 0; index < characters.length; index++) {
    const character = characters[index] ?? "";
    if (character === "*") {
      if (tokens.at(-1)?.kind !== "any") tokens.push({ kind: "any" });
    } else if (character === "?") tokens.push({ kind: "one" });
    else if (character === "[" && characters.indexOf("]", index + 2) > 0) {
      const end = characters.indexOf("]", index + 2);
      tokens.push(parseSet(characters.slice(index + 1, end)));
      index = end;
    } else {
      const literal = character === "\\" && index + 1 < characters.length ? (characters[++index] ?? "") : character;
      tokens.push({ kind: "literal", code: literal.codePointAt(0) ?? 0 });
    }
  }
  return tokens;
}

function parseSet(inside: readonly string[]): Token {
  const negated = inside[0] === "!" || inside[0] === "^";
  const members = negated ? inside.slice(1) : inside;
  const ranges: (readonly [number, number])[] = [];
  for (let index = 0; index < members.length; index++) {
    const from = members[index]?.codePointAt(0) ?? 0;
    const isRange = members[index + 1] === "-" && index + 2 < members.length;
    ranges.push([from, isRange ? (members[index + 2]?.codePointAt(0) ?? 0) : from]);
    if (isRange) index += 2;
  }
  return { kind: "set", negated, ranges };
}

/** At slashes outside of brackets, so that a set cannot span segments. */
function splitSegments(pattern: string): readonly string[] {
  return pattern.split("/").filter((segment) => segment !== "" && segment !== ".");
}

function expandBraces(pattern: string): readonly string[] {
  let open = [pattern];
  const done: string[] = [];
  while (open.length > 0) {
    if (open.length + done.length > maxAlternatives) {
      throw new SandboxError("invalid_argument", `the pattern has more than ${maxAlternatives} alternatives; give a simpler one`, { effect: "none" });
    }
    const next: string[] = [];
    for (const each of open) {
      const group = findBraces(each);
      if (group === undefined) done.push(each);
      else for (const choice of group.choices) next.push(each.slice(0, group.start) + choice + each.slice(group.end + 1));
    }
    open = next;
  }
  return done;
}

/** The first brace group that holds a comma. */
function findBraces(text: string): { readonly start: number; readonly end: number; readonly choices: readonly string[] } | undefined {
  const opened: { readonly start: number; readonly commas: number[] }[] = [];
  let found: { readonly start: number; readonly end: number; readonly choices: readonly string[] } | undefined;
  for (let index = 0; index < text.length; index++) {
    const character = text[index];
    if (character === "\\") index++;
    else if (character === "{") opened.push({ start: index, commas: [] });
    else if (character === ",") opened.at(-1)?.commas.push(index);
    else if (character === "}") {
      const group = opened.pop();
      if (group === undefined || group.commas.length === 0) continue;
      const cuts = [group.start, ...group.commas, index];
      const choices = cuts.slice(1).map((cut, position) => text.slice((cuts[position] ?? 0) + 1, cut));
      found = { start: group.start, end: index, choices };
      break;
    }
  }
  return found;
}
