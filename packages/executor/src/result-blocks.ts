import { z } from "zod";
import { type ResultBlock, mediaBlock } from "./content.ts";
import type { CallResult } from "./journal.ts";
import { flawOf, maxBytesOf, signatureOf } from "./media.ts";

/** One result in JSON, in bytes; the API refuses requests above 32 MB. The largest PDF fits. */
export const maxResultBytes = 30_000_000;
/** Blocks of one result. The API names no limit; so many are no result that a model reads. */
const maxBlocks = 1_000;
/** Images and documents of one result. Source: the API's documentation of vision, for models with the smaller context. */
const maxMediaBlocks = 100;

const text = z.string().transform((value) => value.toWellFormed());
const textBlockSchema = z.object({ type: z.literal("text"), text: z.string().transform(shownText) });
const base64 = z.object({ type: z.literal("base64"), data: z.string(), media_type: z.string() });
const elsewhere = [
  z.object({ type: z.literal("url"), url: z.url({ protocol: /^https?$/u }) }),
  z.object({ type: z.literal("file"), file_id: z.string().min(1) }),
] as const;

/** What the API takes, by type. Members that it does not know are dropped. Source: reference/managed-agents-protocol.md, 8.4. */
const schemas: ReadonlyMap<unknown, z.ZodType<ResultBlock>> = new Map<unknown, z.ZodType<ResultBlock>>([
  ["text", textBlockSchema],
  ["image", z.object({ type: z.literal("image"), source: z.discriminatedUnion("type", [base64, ...elsewhere]) })],
  [
    "document",
    z.object({
      type: z.literal("document"),
      source: z.discriminatedUnion("type", [
        base64,
        z.object({ type: z.literal("text"), data: text.pipe(z.string().min(1)), media_type: z.literal("text/plain") }),
        ...elsewhere,
      ]),
      title: text.nullable().exactOptional(),
      context: text.nullable().exactOptional(),
    }),
  ],
  [
    "search_result",
    z.object({
      type: z.literal("search_result"),
      source: text.pipe(z.string().min(1)),
      title: text.pipe(z.string().min(1)),
      content: z.array(textBlockSchema).min(1),
      citations: z.object({ enabled: z.boolean() }).default({ enabled: false }),
    }),
  ],
]);

/** The result of a text: empty text reads `(no output)`, as the official worker says it. */
export function textResult(output: string, isError: boolean): CallResult {
  return { isError, content: limited([textBlock(output)]) };
}

/**
 * A result that the API takes, of whatever a tool gave. Blocks of an unknown type become text, as the official worker has it; a block of a known one
 * that the API would refuse, and what is too large, is replaced by a text that says why. Where nothing is left it is an error.
 */
export function blockResult(given: readonly unknown[], isError: boolean): CallResult {
  if (given.length === 0) return textResult("", isError);
  const blocks: ResultBlock[] = [];
  let [replaced, media] = [0, 0];
  for (const each of given.slice(0, maxBlocks)) {
    const block = accepted(each);
    const countsAsMedia = typeof block !== "string" && (block.type === "image" || block.type === "document");
    if (countsAsMedia) media++;
    const refusal = typeof block === "string" ? block : countsAsMedia && media > maxMediaBlocks ? `more than ${maxMediaBlocks} of them` : undefined;
    if (refusal !== undefined) replaced++;
    blocks.push(refusal === undefined ? (block as ResultBlock) : textBlock(`[left out: ${nameOf(each)}: ${refusal}]`));
  }
  if (given.length > maxBlocks) blocks.push(textBlock(`[left out: ${given.length - maxBlocks} more blocks]`));
  return { isError: isError || replaced === given.length, content: limited(blocks) };
}

/** The block as the API takes it, or why it would not. */
function accepted(block: unknown): ResultBlock | string {
  const schema = schemas.get(typeOf(block));
  if (schema === undefined) return jsonBlock(block);
  const { success, data, error } = schema.safeParse(block);
  if (!success) return error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; ");
  return isMedia(data) ? acceptedMedia(data) : data;
}

type Media = Extract<ResultBlock, { readonly type: "image" | "document" }> & { readonly source: { readonly type: "base64"; readonly data: string } };

function isMedia(block: ResultBlock): block is Media {
  return (block.type === "image" || block.type === "document") && block.source.type === "base64";
}

/** With the type that its bytes have and canonical base64, since the API compares one and refuses the other. */
function acceptedMedia(block: Media): ResultBlock | string {
  const encoded = block.source.data.replaceAll(/\s/gu, "");
  if (/[^A-Za-z0-9+/=_-]/u.test(encoded)) return "its data is not base64";
  const bytes = Buffer.from(encoded, "base64");
  const type = signatureOf(bytes);
  if (type === undefined || (type === "application/pdf") !== (block.type === "document")) {
    return block.type === "image" ? "it is neither png, jpeg, gif nor webp" : "it is no PDF";
  }
  const flaw = bytes.length > maxBytesOf(type) ? `it has ${bytes.length} bytes, more than ${maxBytesOf(type)}` : flawOf(type, bytes);
  return flaw ?? { ...block, ...mediaBlock(type, bytes) };
}

function jsonBlock(block: unknown): ResultBlock | string {
  try {
    const json: string | undefined = JSON.stringify(block);
    return json === undefined ? "it is no content block" : textBlock(json);
  } catch {
    return "it is no JSON";
  }
}

function typeOf(block: unknown): unknown {
  return typeof block === "object" && block !== null && "type" in block ? block.type : undefined;
}

function nameOf(block: unknown): string {
  const type = typeOf(block);
  return typeof type === "string" ? `a block of type ${type.toWellFormed().slice(0, 100)}` : "a block without a type";
}

function textBlock(value: string): ResultBlock {
  return { type: "text", text: shownText(value) };
}

function shownText(value: string): string {
  return value === "" ? "(no output)" : value.toWellFormed();
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
    if (block.type !== "text") {
      return textBlock(`[left out: a block of type ${block.type} with ${bytes} bytes; the result has more than ${maxResultBytes} bytes]`);
    }
    // a UTF-16 unit is at most 6 bytes in JSON
    const kept = block.text.slice(0, Math.floor(Math.max(0, left - 1_000) / 6));
    left = 0;
    return textBlock(`${kept}\n${note}`);
  });
}

function jsonBytes(block: ResultBlock): number {
  // base64 is as long in JSON, and not worth a copy of some megabytes
  return isMedia(block) ? block.source.data.length + 1_000 : Buffer.byteLength(JSON.stringify(block));
}
