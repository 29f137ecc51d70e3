const ARRAY_32 = 0xdd;
const STRING_32 = 0xdb;
const HEADER = 5;

let scratch = Buffer.allocUnsafe(65_536);

/**
 * Strings as one MessagePack array, which a script has back by `cmsgpack.unpack`: to the client, one large argument costs a fraction of
 * many small ones. (https://github.com/msgpack/msgpack/blob/master/spec.md)
 */
export function packStrings(strings: readonly string[]): Buffer {
  let end = header(0, ARRAY_32, strings.length);
  for (const text of strings) {
    // A UTF-16 code unit has three bytes at the most in UTF-8.
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
