import { ViewError } from '../errors.ts';
import { reasonOf } from '../plan/projection.ts';
import type { DocumentView, KeyAttributes, ListQuery, ListView } from '../view.ts';

/** The longest partition key, bytes of UTF-8 (DynamoDB Developer Guide, "Quotas"). */
const MAX_KEY_BYTES = 2_048;

/**
 * The primary key of the item that gives a document, checked. `undefined`: no item can give it, because the view says so, or because a value cannot be
 * a key of DynamoDB: an empty string, one of more than 2,048 bytes or with half a surrogate pair, a number that is not finite.
 *
 * @throws ViewError that names the view and the fault, without the key: the view has no `from`, or it throws, or it gives something else than one or
 * two named strings or numbers.
 */
export function itemKeyOf(view: DocumentView<unknown, unknown>, key: string): KeyAttributes | undefined {
  return checked(view, 'from(key)', () => {
    if (!view.from) throw new FromFault('no item can be found: give the view from(key), which returns the primary key of the item');
    const attributes: unknown = view.from(key);
    if (attributes === undefined) return undefined;
    if (!isObject(attributes))
      throw new FromFault(`gives something that is ${kindOf(attributes)}: return the primary key of the item, or undefined`);
    const entries = Object.entries(attributes);
    if (entries.length < 1 || entries.length > 2) {
      throw new FromFault(`gives ${entries.length} attributes: an item has one or two key attributes`);
    }
    for (const [name, value] of entries) {
      checkName('a key attribute', name);
      checkValue(`the key attribute "${name}"`, value);
    }
    return entries.every(([, value]) => isPossible(value)) ? (attributes as KeyAttributes) : undefined;
  });
}

/**
 * The query that selects the items of a list, checked. `undefined`: no query does, because the view says so, or because the value of the partition key
 * cannot be a key of DynamoDB; see `itemKeyOf`. The query's `valueAt` throws ViewError if the view's throws, or gives something that cannot be a key.
 *
 * @throws ViewError that names the view and the fault, without the list: the view has no `from`, or it throws, or its query breaks a rule of
 * `ListQuery`.
 */
export function listQueryOf(view: ListView<unknown, unknown>, list: string): ListQuery | undefined {
  return checked(view, 'from(list)', () => {
    if (!view.from) throw new FromFault('no items can be found: give the view from(list), which returns a query');
    const query: ListQuery | undefined = view.from(list);
    if (query === undefined) return undefined;
    if (!isObject(query)) throw new FromFault(`gives something that is ${kindOf(query)}: return a query, or undefined`);
    checkQuery(query);
    if (!isPossible(query.partition.value)) return undefined;
    const { sort } = query;
    if (!sort?.valueAt) return query;
    const valueAt = (score: number): string | number =>
      checked(view, 'valueAt(score)', () => {
        const value = sort.valueAt?.(score);
        checkValue('a sort key', value);
        if (!isPossible(value)) throw new FromFault('gives a sort key that no item can have');
        return value;
      });
    return { ...query, sort: { ...sort, valueAt } };
  });
}

/** A fault that this file finds. Its message has no value of a key, unlike the message of what a view throws. */
class FromFault extends Error {}

function checked<T>({ name }: { readonly name: string }, what: string, action: () => T): T {
  try {
    return action();
  } catch (cause) {
    const fault = cause instanceof FromFault ? cause.message : `fails: ${reasonOf(cause)}`;
    throw new ViewError(`view ${name}: ${what}: ${fault}`, { cause });
  }
}

function checkQuery({ partition, sort, index, trust = 'table', lagMs }: ListQuery): void {
  if (!isObject(partition)) throw new FromFault('the query has no partition: give the name and the value of the partition key');
  checkName('the partition key', partition.name);
  checkValue('the partition key', partition.value);
  if (sort !== undefined) checkSort(sort, partition.name);
  if (index !== undefined) checkName('the index', index);
  if (trust !== 'table' && trust !== 'index') throw new FromFault('trust is neither "table" nor "index"');
  if (trust === 'table') {
    if (lagMs !== undefined)
      throw new FromFault('lagMs is given, but trust is not "index": only a global index lags, so give both or neither');
    return;
  }
  if (index === undefined) throw new FromFault('trust is "index", but no index is given: give its name');
  if (!Number.isFinite(lagMs) || (lagMs as number) < 0) {
    throw new FromFault('trust is "index", so give lagMs, the longest time that the index lags behind the table, in ms');
  }
}

function checkSort({ name, beginsWith, valueAt }: NonNullable<ListQuery['sort']>, partition: string): void {
  checkName('the sort key', name);
  if (name === partition) throw new FromFault(`the partition key and the sort key are both "${name}"`);
  if (beginsWith !== undefined && (typeof beginsWith !== 'string' || !isPossible(beginsWith))) {
    throw new FromFault('beginsWith is not a text that a sort key can begin with: omit it to select the whole partition');
  }
  if (valueAt !== undefined && typeof valueAt !== 'function') throw new FromFault(`valueAt is ${kindOf(valueAt)}: give a function`);
}

function checkName(what: string, name: unknown): void {
  if (typeof name !== 'string' || name === '') {
    throw new FromFault(`the name of ${what} is ${name === '' ? 'empty' : kindOf(name)}: give the name that the table has`);
  }
}

function checkValue(what: string, value: unknown): asserts value is string | number {
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new FromFault(`the value of ${what} is ${kindOf(value)}: give a string or a number`);
  }
  // It may be the rounded form of another number, and so the key of another item.
  if (typeof value === 'number' && Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new FromFault(`the value of ${what} is a number beyond 2^53, which may be rounded: use shorter numbers as keys, or strings`);
  }
}

/** Whether DynamoDB can have it as a key. */
function isPossible(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value);
  // In UTF-8, half a surrogate pair becomes a replacement character, so the key would be that of another item.
  return typeof value === 'string' && value !== '' && value.isWellFormed() && Buffer.byteLength(value) <= MAX_KEY_BYTES;
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  return Array.isArray(value) ? 'a list' : `of type ${typeof value}`;
}
