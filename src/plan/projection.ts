import type { Attributes } from '../change.ts';
import { ViewError } from '../errors.ts';
import { type Address, type Entry, MAX_KEY_BYTES, nameFault, nameOf } from '../mutation.ts';
import { type Entity, keyOf, type ListView, type View } from '../view.ts';

/** What an entity makes of an image: an item, nothing (the image is absent, or not of this entity), or an error. */
export type Parsed = { readonly item?: unknown } | { readonly error: unknown };

/** The image is absent, or not of this entity. */
export const NOTHING: Parsed = {};

export function parse(entity: Entity<unknown>, image: Attributes | undefined): Parsed {
  try {
    return image && entity.owns(image) ? { item: entity.schema.parse(image) } : NOTHING;
  } catch (error) {
    return { error };
  }
}

/**
 * The entries that a view gives for one item, checked. An entry that no cache can hold is the view's fault: it must fail here and not look
 * like an outage of the cache.
 *
 * @param textOf makes the JSON text of a value
 * @throws what the schema or the view threw, or an error that names the fault of an entry
 */
export function entriesOf(view: View, parsed: Parsed, itemName: string, textOf: (value: unknown) => string): readonly Entry[] {
  if ('error' in parsed) throw parsed.error;
  const { item } = parsed;
  if (item === undefined) return [];
  const entries: Entry[] = [];
  switch (view.kind) {
    case 'document':
      for (const { key, value } of view.project(item)) entries.push(documentOf(view, key, textOf(value)));
      break;
    case 'list': {
      let last: unknown;
      let json: string | undefined;
      for (const { list, score, value, member = itemName } of view.project(item)) {
        // An item often gives the same value to several lists.
        if (json === undefined || value !== last) json = textOf(value);
        last = value;
        entries.push(memberOf(view, list, score, member, json));
      }
      break;
    }
  }
  if (hasTwins(entries)) throw new EntryFault('it gives one address twice');
  return entries;
}

/**
 * The entries of an image for which `entriesOf` threw, as far as their addresses can be told: without text, each address once. These are the
 * entries that the view gave and that have valid names and a valid score. There are none if the schema threw, or the view before it gave any:
 * then only the code that threw could tell the addresses.
 */
export function knownEntries(view: View, parsed: Parsed, itemName: string): readonly Entry[] {
  if ('error' in parsed || parsed.item === undefined) return [];
  const known = new Map<string, Entry>();
  const add = (entryOf: () => Entry): void => {
    try {
      const entry = entryOf();
      known.set(nameOf(entry), entry);
    } catch {
      // The fault is reported by `entriesOf`.
    }
  };
  try {
    if (view.kind === 'document') for (const { key } of view.project(parsed.item)) add(() => documentOf(view, key, ''));
    else {
      for (const { list, score, member = itemName } of view.project(parsed.item)) add(() => memberOf(view, list, score, member, ''));
    }
  } catch {
    // An iterator may throw after it gave some entries.
  }
  return [...known.values()];
}

function documentOf(view: View, key: string, json: string): Entry {
  return { kind: 'document', key: fullKey(view, key), json };
}

function memberOf(view: ListView<unknown, unknown>, list: string, score: number, member: string, json: string): Entry {
  if (!Number.isFinite(score)) throw new EntryFault('a score is not a finite number');
  if (member === '') throw new EntryFault('the name of a list member is empty');
  checkText(member);
  return { kind: 'member', list: fullKey(view, list), member, score, keep: view.keep, json };
}

export function isSameAddress(a: Address, b: Address): boolean {
  if (a.kind === 'document') return b.kind === 'document' && a.key === b.key;
  return b.kind === 'member' && a.list === b.list && a.member === b.member;
}

/** Up to this number of entries, comparing each with each is faster than indexing them. */
export const FEW = 8;

function hasTwins(entries: readonly Entry[]): boolean {
  if (entries.length > FEW) return new Set(entries.map(nameOf)).size < entries.length;
  return entries.some((entry, i) => entries.findIndex((other) => isSameAddress(other, entry)) < i);
}

/** For old images, of which only the addresses and the scores matter. */
export const noText = (): string => '';

function fullKey(view: View, key: string): string {
  if (typeof key !== 'string' || key === '') {
    throw new EntryFault(`a key is ${key === '' ? 'empty' : `of type ${typeof key}`}: give a string of one character or more`);
  }
  const full = keyOf(view, key);
  checkText(full, MAX_KEY_BYTES);
  return full;
}

function checkText(name: string, most?: number): void {
  const fault = nameFault(name, most);
  if (fault !== undefined) throw new EntryFault(`a key or a name ${fault}`);
}

export function jsonOf(value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch {
    throw new EntryFault('a value has no JSON form: it has a BigInt or a cycle');
  }
  if (json === undefined) throw new EntryFault(`a value of type ${typeof value} has no JSON form`);
  return json;
}

/** A fault that this file finds. Its message has no values of the item, unlike the message of what a view throws. */
class EntryFault extends Error {}

/** An error whose message has no values of the item, so it is fit for a log. What the view threw may quote values; it becomes the `cause`. */
export function asViewError(view: View, what: string, cause: unknown): ViewError {
  return new ViewError(`view ${view.name} cannot project ${what}: ${reasonOf(cause)}`, { cause });
}

/** Why something was thrown, without values of an item or a key. */
export function reasonOf(cause: unknown): string {
  if (cause instanceof EntryFault) return cause.message;
  try {
    const { issues } = cause as { issues?: unknown };
    if (Array.isArray(issues)) return issues.map(describeIssue).join(', ');
    if (cause instanceof Error) return `it threw ${/^\w{1,40}$/.test(cause.constructor.name) ? cause.constructor.name : 'an error'}`;
  } catch {
    // Anything can be thrown, even an object whose properties throw.
  }
  return `it threw ${cause === null ? 'null' : typeof cause}`;
}

/** An issue of zod, or of another schema library with paths. Only the first name is shown: deeper names may be keys that the item's author chose. */
function describeIssue({ path, expected, format }: { path?: unknown; expected?: unknown; format?: unknown }): string {
  const names: readonly unknown[] = Array.isArray(path) ? path : [];
  const [first] = names;
  const name = typeof first === 'object' && first !== null && 'key' in first ? first.key : first;
  const wanted = [expected, format].find((word) => typeof word === 'string' && /^[\w-]{1,40}$/.test(word));
  const at = typeof name === 'string' ? name : 'the item';
  return wanted === undefined ? `${at} is not valid` : `${at}${names.length > 1 ? ' has a part that' : ''} is not a valid ${wanted}`;
}
