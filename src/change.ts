import type { Version } from './version.ts';

/** An item in plain JavaScript. Sets are arrays, binary is base64, and a number that a double cannot hold exactly is its decimal string. */
export type Attributes = Readonly<Record<string, unknown>>;

/** What happened to one item. */
export interface Change {
  readonly table: string;
  readonly keys: Attributes;
  /** The item's name within its table; see `itemOf`. */
  readonly item: string;
  /** Absent when the item was inserted. */
  readonly before?: Attributes;
  /** Absent when the item was deleted. */
  readonly after?: Attributes;
  readonly version: Version;
  /** When DynamoDB wrote the record, ms since the epoch, rounded down to a second. It gives the lag, and is too coarse to order by. */
  readonly at?: number | undefined;
  /** DynamoDB's time-to-live deleted the item, not a user. */
  readonly expired: boolean;
}

/** A change without its images, for reports. */
export type ChangeFacts = Omit<Change, 'before' | 'after'> & { readonly kind: 'INSERT' | 'MODIFY' | 'REMOVE' };

export function factsOf({ table, keys, item, before, after, version, at, expired }: Change): ChangeFacts {
  return { kind: !before ? 'INSERT' : after ? 'MODIFY' : 'REMOVE', table, keys, item, version, at, expired };
}

/** The name of an item: the values of its key attributes as JSON, in the order of the attributes' names. */
export function itemOf(keys: Attributes): string {
  const names = Object.keys(keys);
  // An item has one or two key attributes, and sorting an array costs more than all the rest.
  if (names.length > 2 || (names[0] as string) > (names[1] as string)) names.sort();
  return JSON.stringify(names.map((name) => keys[name]));
}
