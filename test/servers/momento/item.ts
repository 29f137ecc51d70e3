import { SortedMembers } from './sorted-members.ts';

export type Bytes = Uint8Array;

interface Kept {
  /** Milliseconds since the epoch. */
  expires: number;
  /** Bytes of values and of field names. */
  size: number;
}

interface Scalar extends Kept {
  readonly kind: 'scalar';
  readonly value: Bytes;
}

export interface Dictionary extends Kept {
  readonly kind: 'dictionary';
  readonly fields: Map<string, { readonly field: Bytes; readonly value: Bytes }>;
}

export interface ElementSet extends Kept {
  readonly kind: 'set';
  readonly elements: Map<string, Bytes>;
}

export interface List extends Kept {
  readonly kind: 'list';
  values: Bytes[];
}

interface SortedSet extends Kept {
  readonly kind: 'sorted set';
  readonly members: SortedMembers;
}

export type Item = Scalar | Dictionary | ElementSet | List | SortedSet;
export type Collection = Exclude<Item, Scalar>;
export type Kind = Item['kind'];
export type Of<K extends Kind> = Extract<Item, { kind: K }>;

const empty: { [K in Collection['kind']]: (expires: number) => Of<K> } = {
  dictionary: (expires) => ({ kind: 'dictionary', fields: new Map(), size: 0, expires }),
  set: (expires) => ({ kind: 'set', elements: new Map(), size: 0, expires }),
  list: (expires) => ({ kind: 'list', values: [], size: 0, expires }),
  'sorted set': (expires) => ({ kind: 'sorted set', members: new SortedMembers(), size: 0, expires }),
};

export function emptyCollection<K extends Collection['kind']>(kind: K, expires: number): Of<K> {
  return empty[kind](expires);
}

export function countOf(item: Collection): number {
  switch (item.kind) {
    case 'dictionary':
      return item.fields.size;
    case 'set':
      return item.elements.size;
    case 'list':
      return item.values.length;
    case 'sorted set':
      return item.members.size;
  }
}

/** Copies an item. The copy shares the bytes, which never change. */
export function copyOf(item: Item): Item {
  switch (item.kind) {
    case 'scalar':
      return { ...item };
    case 'dictionary':
      return { ...item, fields: new Map(item.fields) };
    case 'set':
      return { ...item, elements: new Map(item.elements) };
    case 'list':
      return { ...item, values: [...item.values] };
    case 'sorted set':
      return { ...item, members: item.members.copy() };
  }
}

/** Makes a key of a `Map` from bytes: one character a byte, because the bytes need not be UTF-8. */
export function nameOf(bytes: Bytes): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1');
}

export function nameOfText(text: string): string {
  return nameOf(Buffer.from(text));
}

export function textOf(name: string): string {
  return Buffer.from(name, 'latin1').toString();
}

export function sameBytes(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
