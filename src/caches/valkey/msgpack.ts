const ARRAY_32 = 0xdd;
const STRING_32 = 0xdb;
const HEADER = 5;

/** Grows to the largest array packed so far. */
let scratch = Buffer.allocUnsafe(65_536);

/**
 * Packs strings into one MessagePack array, which a script unpacks with `cmsgpack.unpack`. One large argument costs the client a fraction
 * of many small ones. Format: https://github.com/msgpack/msgpack/blob/master/spec.md
 */
export function packStrings(strings: readonly string[]): Buffer {
  let end = header(0, ARRAY_32, strings.length);
  for (const text of strings) {
    // A UTF-16 code unit takes at most 3 bytes in UTF-8.
    const needed = end + HEADER + 3 * text.length;
    if (needed > scratch.length) scratch = Buffer.concat([scratch.subarray(0, end)], 2 * needed);
    const length = scratch.write(text, end + HEADER, 'utf8');
    end = header(end, STRING_32, length) + length;
  }
  return Buffer.from(scratch.subarray(0, end));
}

function header(at: number, type: number, length: number): number {
  scratch[at] = type;
  scratch.writeUInt32BE(length, at + 1);
  return at + HEADER;
}
