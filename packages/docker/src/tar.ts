const BLOCK_BYTES = 512;

export interface TarEntry {
  /** Relative, at most 100 bytes; a directory's ends with `/`. */
  readonly name: string;
  readonly mode: number;
  readonly content?: Uint8Array;
}

/** A tar archive (ustar) of a few files that root owns. */
export function tarArchive(entries: readonly TarEntry[]): Uint8Array {
  const blocks = entries.flatMap(({ name, mode, content = new Uint8Array() }) => {
    const padding = new Uint8Array((BLOCK_BYTES - (content.length % BLOCK_BYTES)) % BLOCK_BYTES);
    return [header(name, mode, content.length), content, padding];
  });
  return Buffer.concat([...blocks, new Uint8Array(2 * BLOCK_BYTES)]);
}

function header(name: string, mode: number, size: number): Uint8Array {
  const block = Buffer.alloc(BLOCK_BYTES);
  const octal = (value: number, width: number): string => `${value.toString(8).padStart(width - 1, "0")}\0`;
  block.write(name, 0, 100, "utf8");
  block.write(octal(mode, 8), 100);
  block.write(octal(0, 8), 108); // uid
  block.write(octal(0, 8), 116); // gid
  block.write(octal(size, 12), 124);
  block.write(octal(0, 12), 136); // modified
  block.write(" ".repeat(8), 148); // the checksum counts as blanks
  block.write(name.endsWith("/") ? "5" : "0", 156);
  block.write("ustar\x0000", 257, "latin1");
  block.write(
    octal(
      block.reduce((sum, byte) => sum + byte, 0),
      7,
    ),
    148,
  );
  return block;
}
