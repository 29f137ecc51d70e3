import type { TableDescription } from '@aws-sdk/client-dynamodb';
import type { Marshalled } from '../dynamodb/record.ts';
import { itemKeyOf } from '../fill/from.ts';
import { type DocumentView, type KeyAttributes, keyOf } from '../view.ts';

/** The key attributes of a table, and their types. */
export type KeyTypes = Readonly<Record<string, 'S' | 'N' | 'B'>>;

export function keyTypesOf({ KeySchema = [], AttributeDefinitions = [] }: TableDescription): KeyTypes {
  const types = new Map(AttributeDefinitions.map(({ AttributeName: name, AttributeType: type }) => [name, type]));
  return Object.fromEntries(KeySchema.map(({ AttributeName: name = '' }) => [name, types.get(name) ?? 'S'])) as KeyTypes;
}

/** The key in the table's form. */
function marshalled(key: KeyAttributes): Marshalled {
  return Object.fromEntries(
    Object.entries(key).map(([name, value]) => [name, typeof value === 'string' ? { S: value } : { N: String(value) }]),
  );
}

/**
 * The item of a document.
 *
 * @param key as `keyOf` makes it
 * @returns `none`: no item can give the document; `unknown`: the view does not say
 */
export function itemOfDocument(view: DocumentView<unknown, unknown>, key: string): Marshalled | 'none' | 'unknown' {
  if (!view.from) return 'unknown';
  try {
    const found = itemKeyOf(view, key.slice(keyOf(view, '').length));
    return found ? marshalled(found) : 'none';
  } catch {
    return 'unknown';
  }
}

/** The key of the item that has this name, as `itemOf` makes it; `undefined` for another text. */
export function keyOfItem(name: string, types: KeyTypes): Marshalled | undefined {
  const names = Object.keys(types).sort();
  let values: unknown;
  try {
    values = JSON.parse(name);
  } catch {
    return undefined;
  }
  if (!Array.isArray(values) || values.length !== names.length || JSON.stringify(values) !== name) return undefined;
  const key: Record<string, unknown> = {};
  for (const [i, attribute] of names.entries()) {
    const type = types[attribute] as string;
    const value: unknown = values[i];
    if (typeof value !== 'string' && (type !== 'N' || typeof value !== 'number')) return undefined;
    key[attribute] = { [type]: String(value) };
  }
  return key;
}
