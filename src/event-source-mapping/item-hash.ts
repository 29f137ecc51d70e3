import type { StreamRecord } from '../dynamodb/record.ts';

/** A hash of a record's keys, 32 bits. Records of the same item have the same hash. */
export function itemHash({ dynamodb }: StreamRecord): number {
  const keys = dynamodb?.Keys ?? {};
  const names = Object.keys(keys).sort();
  return hash(JSON.stringify(names.map((name) => keys[name])));
}

/** FNV-1a of the text's UTF-16 code units, 32 bits. */
export function hash(text: string): number {
  let value = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193);
  return value >>> 0;
}
