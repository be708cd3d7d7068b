/** Control, format (bidirectional and invisible characters among them), line and paragraph separators. */
const unsafe = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
const inText = /\r\n|[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** `\x1b`, `\u202e`, `\u{e0041}`. */
function visible(character: string): string {
  const point = character.codePointAt(0) ?? 0;
  if (character === "\n") return String.raw`\n`;
  if (character === "\r") return String.raw`\r`;
  if (character === "\t") return String.raw`\t`;
  if (point < 0x1_00) return String.raw`\x${point.toString(16).padStart(2, "0")}`;
  return point > 0xff_ff ? String.raw`\u{${point.toString(16)}}` : String.raw`\u${point.toString(16).padStart(4, "0")}`;
}

/**
 * One line that is safe to show on a terminal or in a log, of text that came from a sandbox, a model or the network: what would move the cursor,
 * change colours or titles, reorder or hide text is shown as an escape and not obeyed. Lone surrogates become U+FFFD.
 */
export function sanitiseLine(text: string): string {
  return text.toWellFormed().replace(unsafe, visible);
}

/** The same for several lines: line feeds and tabs stay, and a carriage return directly before a line feed goes. */
export function sanitiseText(text: string): string {
  return text.toWellFormed().replace(inText, (found) => {
    if (found === "\r\n") return "\n";
    return found === "\n" || found === "\t" ? found : visible(found);
  });
}

/** JSON on one line without a character that a terminal would obey; parses back to the same value, lone surrogates apart. */
export function safeJson(value: unknown, indent?: number): string {
  return JSON.stringify(value, (_, member: unknown) => (typeof member === "string" ? member.toWellFormed() : member), indent).replace(
    unsafe,
    (character) => (character === "\n" ? character : jsonEscape(character)),
  );
}

function jsonEscape(character: string): string {
  return Array.from({ length: character.length }, (_, index) => String.raw`\u${character.charCodeAt(index).toString(16).padStart(4, "0")}`).join("");
}

/** At most `columns` characters of one line, with `…` where it was cut. Counts code points, since what stands inside is hostile anyway. */
export function cut(text: string, columns: number): string {
  const points = Array.from(text);
  return points.length <= columns ? text : `${points.slice(0, Math.max(0, columns - 1)).join("")}…`;
}

/** Cuts a byte stream into text that {@link sanitiseText} made safe; a carriage return and a line feed may be in two pieces. */
export class TextSanitiser {
  readonly #decoder = new TextDecoder();
  #held = "";

  push(bytes: Uint8Array): string {
    return this.#take(this.#held + this.#decoder.decode(bytes, { stream: true }));
  }

  /** What was held back; call it once, at the end. */
  end(): string {
    return sanitiseText(this.#held + this.#decoder.decode());
  }

  #take(text: string): string {
    this.#held = text.endsWith("\r") ? "\r" : "";
    return sanitiseText(text.slice(0, text.length - this.#held.length));
  }
}
