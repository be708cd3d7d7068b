import type { MediaType } from "./media.ts";

/** A block of a tool result, as the session events API takes it. */
export type ResultBlock =
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "image"; readonly source: ImageSource }
  | { readonly type: "document"; readonly source: DocumentSource; readonly title?: string | null; readonly context?: string | null }
  | {
      readonly type: "search_result";
      readonly source: string;
      readonly title: string;
      readonly content: readonly { readonly type: "text"; readonly text: string }[];
      readonly citations: { readonly enabled: boolean };
    };

type ImageSource =
  | { readonly type: "base64"; readonly data: string; readonly media_type: string }
  | { readonly type: "url"; readonly url: string }
  | { readonly type: "file"; readonly file_id: string };

type DocumentSource = ImageSource | { readonly type: "text"; readonly data: string; readonly media_type: "text/plain" };

/** One result in JSON, in bytes; the API refuses requests above 32 MB. The largest PDF fits. */
export const maxResultBytes = 30_000_000;

const blockTypes: ReadonlySet<string> = new Set(["text", "image", "document", "search_result"]);

/**
 * Ready to send: empty text reads `(no output)` as the official worker says it, lone surrogates are replaced, unknown blocks become text,
 * and what is too large is cut or, where it cannot be, replaced by a text that says so.
 */
export function toResultBlocks(content: string | readonly ResultBlock[]): readonly ResultBlock[] {
  const given: readonly ResultBlock[] = typeof content === "string" ? [{ type: "text", text: content }] : content;
  const blocks = given.map((block) => (blockTypes.has(block.type) ? block : textBlock(JSON.stringify(block)))).map(wellFormed);
  return limited(blocks.length > 0 ? blocks : [textBlock("")]);
}

/** A whole image or PDF, as the model sees it. */
export function mediaBlock(type: MediaType, bytes: Uint8Array): ResultBlock {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  const source = { type: "base64", media_type: type, data } as const;
  return type === "application/pdf" ? { type: "document", source } : { type: "image", source };
}

/** All text of a result, a line feed between blocks; other blocks are named by their type. */
export function textOf(blocks: readonly ResultBlock[]): string {
  return blocks.map((block) => (block.type === "text" ? block.text : `[${block.type}]`)).join("\n");
}

function textBlock(text: string): ResultBlock {
  return { type: "text", text: text === "" ? "(no output)" : text.toWellFormed() };
}

function wellFormed(block: ResultBlock): ResultBlock {
  if (block.type === "text") return textBlock(block.text);
  return JSON.parse(JSON.stringify(block), (_key, value: unknown) => (typeof value === "string" ? value.toWellFormed() : value)) as ResultBlock;
}

function limited(blocks: readonly ResultBlock[]): readonly ResultBlock[] {
  let left = maxResultBytes;
  return blocks.map((block) => {
    const bytes = jsonBytes(block);
    if (bytes <= left) {
      left -= bytes;
      return block;
    }
    const note = `[cut: the result has more than ${maxResultBytes} bytes]`;
    if (block.type !== "text")
      return textBlock(`[left out: a block of type ${block.type} with ${bytes} bytes; the result has more than ${maxResultBytes} bytes]`);
    // a UTF-16 unit is at most 6 bytes in JSON
    const kept = block.text.slice(0, Math.floor(Math.max(0, left - 1_000) / 6));
    left = 0;
    return textBlock(`${kept}\n${note}`);
  });
}

function jsonBytes(value: unknown): number {
  return Buffer.byteLength(JSON.stringify(value));
}
