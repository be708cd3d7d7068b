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
