import { inspect, isDeepStrictEqual } from 'node:util';
import type { Arbitrary } from 'fast-check';
import { type Attributes, type Change, itemOf } from '../change.ts';
import { ViewError } from '../errors.ts';
import { itemKeyOf, listQueryOf } from '../fill/from.ts';
import { nameOf } from '../mutation.ts';
import { planOf } from '../plan/plan.ts';
import { FLOOR } from '../version.ts';
import type { DocumentView, ListQuery, ListView, View } from '../view.ts';
import { fastCheck } from './fast-check.ts';

export interface ViewCheckOptions {
  /** Names of the table's key attributes. */
  readonly keys: readonly string[];
  /** Number of generated sets of items. Default: 200. */
  readonly runs?: number;
  /** The seed that a failed check printed, to repeat it. Default: random. */
  readonly seed?: number;
}

/** An arbitrary of fast-check that generates items, such as `fc.record(...)`. */
export interface ItemArbitrary {
  generate(random: never, biasFactor: number | undefined): { readonly value: Attributes };
}

const LATER_MS = 86_400_000 + 3_723_004;

/**
 * Checks a view with generated items in plain JavaScript (see `Attributes`):
 *
 * 1. The view projects every item of its entity without throwing, to entries that a cache can hold.
 * 2. The view is pure: it does not change the item, and projects it to the same entries at any time.
 * 3. Items with different keys share no address.
 * 4. Values survive JSON, so a reader gets the projected value.
 * 5. `from`, if the view has it, is pure, throws for no key, and leads to the item: of a document's key it gives the key of the item, and of a list a
 *    query that selects the item. `valueAt` gives the item's sort key, and sort keys have the order of the scores.
 *
 * Generate few different values per attribute, because only items with equal values can share an address. Needs the package fast-check.
 *
 * @throws ViewError with the view's name, the fault, the smallest items that show the fault, and the seed.
 */
export function checkView<Item, Value>(view: View<Item, Value>, items: ItemArbitrary, options: ViewCheckOptions): void {
  const fc = fastCheck();
  const { keys, runs = 200, seed } = options;
  let owned = 0;
  const property = fc.property(fc.array(items as Arbitrary<Attributes>, { minLength: 1, maxLength: 20, size: 'max' }), (generated) => {
    const ownedItems = generated.filter((item) => view.entity.owns(item));
    owned += ownedItems.length;
    const owners = new Map<string, { readonly key: string; readonly item: Attributes }>();
    const lists = new Map<string, Sorted[]>();
    for (const item of ownedItems) {
      checkProjection(view, item);
      const key = keyOfItem(item, keys);
      for (const address of addressesOf(view, item, key)) {
        const owner = owners.get(address);
        if (owner && owner.key !== key) {
          throw new Fault(`two items share the address ${inspect(address)}, so they overwrite each other`, [owner.item, item]);
        }
        owners.set(address, { key, item });
      }
      if (!view.from) continue;
      if (view.kind === 'document') checkItemKeys(view, item, keys);
      else checkQueries(view, item, keys, lists);
    }
    for (const [list, sorted] of lists) checkOrder(list, sorted);
  });
  try {
    if (view.from) for (const key of ODD_KEYS) checkPure(view as View, key, []);
  } catch (error) {
    throw failure(view, error);
  }
  const result = fc.check(property, { numRuns: runs, ...(seed !== undefined && { seed }) });
  if (result.failed) throw failure(view, result.errorInstance, result.seed);
  if (owned === 0) throw new ViewError(`view ${view.name}: none of the generated items is of its entity "${view.entity.name}"`);
}

/** A fault of the view, and the items that show it. */
class Fault extends Error {
  readonly items: readonly Attributes[];
  constructor(message: string, items: readonly Attributes[], cause?: unknown) {
    super(message, { cause });
    this.items = items;
  }
}

function failure(view: { readonly name: string }, error: unknown, seed?: number): ViewError {
  const reason = error instanceof Error ? error.message : String(error);
  const items = error instanceof Fault ? error.items.map((item) => `\n  item: ${shown(item)}`).join('') : '';
  return new ViewError(`view ${view.name}: ${reason}${items}${seed === undefined ? '' : `\n  seed: ${seed}`}`, { cause: error });
}

function checkProjection<Item, Value>(view: View<Item, Value>, image: Attributes): void {
  const parse = () => attempt(image, 'the schema of its entity refuses the item', () => view.entity.schema.parse(structuredClone(image)));
  const [item, untouched] = [parse(), parse()];
  const project = (of: Item) => attempt(image, 'it throws', () => view.project(of));
  const first = project(item);
  if (!isDeepStrictEqual(item, untouched)) throw new Fault('it changes its item', [image]);
  for (const [i, entry] of first.entries()) checkJson(entry.value, `value${first.length > 1 ? ` of entry ${i}` : ''}`, image);
  const again = aDayLater(() => project(untouched));
  if (!isDeepStrictEqual(first, again)) {
    throw new Fault(`it projects the same item to different entries: first ${shown(first)}, then ${shown(again)}`, [image]);
  }
  attempt(image, 'it changes its item', () => view.project(frozen(parse())));
}

function attempt<T>(item: Attributes, fault: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw new Fault(`${fault}: ${error instanceof Error ? error.message : String(error)}`, [item], error);
  }
}

/** The addresses of the item's entries, checked as in production. */
function addressesOf<Item, Value>(view: View<Item, Value>, item: Attributes, key: string): string[] {
  const change: Change = { table: '', keys: {}, item: key, after: item, version: FLOOR, expired: false };
  const { mutations, poison } = planOf([view as View], change);
  if (poison[0]) throw new Fault(causeOf(poison[0].error), [item], poison[0].error);
  return mutations.map(nameOf);
}

/** Keys that a view may be asked for, although no item has them. */
const ODD_KEYS = ['', 'x', '💥', ':', '#', '0', '-1', 'x'.repeat(3_000), '__proto__'];

/** What `from` gives for a key, checked: the same at any time. */
function checkPure(view: View, key: string, items: readonly Attributes[]) {
  const call = () => {
    try {
      return view.kind === 'document' ? itemKeyOf(view, key) : listQueryOf(view, key);
    } catch (error) {
      throw new Fault(`from(${shown(key)}) is faulty: ${causeOf(error as Error)}`, items, error);
    }
  };
  const [first, again] = [call(), aDayLater(call)];
  if (!isDeepStrictEqual(withoutFunction(first), withoutFunction(again))) {
    throw new Fault(`from(${shown(key)}) changes: first ${shown(first)}, then ${shown(again)}`, items);
  }
  return first;
}

/** A query gets a new function `valueAt` with each call. */
function withoutFunction(given: object | undefined): unknown {
  const { sort, ...others } = (given ?? {}) as Partial<ListQuery>;
  return given && { ...others, sort: typeof sort === 'object' ? { ...sort, valueAt: undefined } : sort };
}

function checkItemKeys<Item, Value>(view: DocumentView<Item, Value>, item: Attributes, keys: readonly string[]): void {
  const wanted = pick(item, keys);
  for (const { key } of view.project(view.entity.schema.parse(item))) {
    const given = checkPure(view as View, key, [item]);
    if (!given) throw new Fault(`from(${shown(key)}) is undefined, but the item gives this key`, [item]);
    if (!isDeepStrictEqual({ ...given }, wanted)) {
      throw new Fault(`from(${shown(key)}) gives ${shown(given)}, but the key of the item is ${shown(wanted)}`, [item]);
    }
  }
}

/** An item of a list whose query promises an order. */
interface Sorted {
  readonly score: number;
  readonly sortKey: string | number;
  readonly item: Attributes;
}

function checkQueries<Item, Value>(
  view: ListView<Item, Value>,
  item: Attributes,
  keys: readonly string[],
  lists: Map<string, Sorted[]>,
): void {
  for (const { list, score } of view.project(view.entity.schema.parse(item))) {
    const query = checkPure(view as View, list, [item]) as ListQuery | undefined;
    if (!query) continue;
    const fault = (what: string) => new Fault(`from(${shown(list)}) ${what}`, [item]);
    const { partition, sort, index, trust = 'table' } = query;
    // A local index has the partition key of its table.
    const strange = [trust === 'table' && partition.name, index === undefined && sort?.name].find((name) => name && !keys.includes(name));
    if (strange) throw fault(`selects by "${strange}", which is no key attribute of the table: give the index`);
    if (item[partition.name] !== partition.value) {
      throw fault(`does not select the item: ${partition.name} is ${shown(item[partition.name])}, not ${shown(partition.value)}`);
    }
    if (!sort) continue;
    const { name, beginsWith = '', valueAt } = sort;
    const sortKey = item[name];
    if (typeof sortKey !== 'string' && typeof sortKey !== 'number') {
      throw fault(`does not select the item: ${name} is ${shown(sortKey)}, so ${index === undefined ? 'the table' : 'the index'} lacks it`);
    }
    if (sort.beginsWith !== undefined && !(typeof sortKey === 'string' && sortKey.startsWith(beginsWith))) {
      throw fault(`does not select the item: ${name} is ${shown(sortKey)}, which does not begin with ${shown(beginsWith)}`);
    }
    if (!valueAt) continue;
    const call = () => {
      try {
        return valueAt(score);
      } catch (error) {
        throw fault(`has a faulty valueAt(${score}): ${causeOf(error as Error)}`);
      }
    };
    for (const value of [call(), aDayLater(call)]) {
      if (value !== sortKey) throw fault(`has a valueAt(${score}) of ${shown(value)}, but ${name} is ${shown(sortKey)}`);
    }
    const sorted = lists.get(list) ?? [];
    lists.set(list, [...sorted, { score, sortKey, item }]);
  }
}

function checkOrder(list: string, sorted: readonly Sorted[]): void {
  for (const [i, a] of sorted.entries()) {
    for (const b of sorted.slice(i + 1)) {
      const [byScore, byKey] = [Math.sign(a.score - b.score), compareSortKeys(a.sortKey, b.sortKey)];
      if (byScore === byKey) continue;
      throw new Fault(
        `from(${shown(list)}) has a valueAt, but the order of the sort keys ${shown(a.sortKey)} and ${shown(b.sortKey)} is not that of the scores ${a.score} and ${b.score}`,
        [a.item, b.item],
      );
    }
  }
}

/** As DynamoDB orders the sort keys of one attribute, which has one type: numbers by value, strings by the bytes of their UTF-8. */
function compareSortKeys(a: string | number, b: string | number): number {
  if (typeof a === 'number' && typeof b === 'number') return Math.sign(a - b);
  return Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)));
}

function causeOf({ cause, message }: Error): string {
  return cause instanceof Error ? cause.message : message;
}

function keyOfItem(item: Attributes, keys: readonly string[]): string {
  for (const key of keys) if (item[key] === undefined) throw new Fault(`a generated item lacks the key attribute "${key}"`, [item]);
  return itemOf(pick(item, keys));
}

function pick(item: Attributes, names: readonly string[]): Attributes {
  return Object.fromEntries(names.map((name) => [name, item[name]]));
}

/** Checks that JSON preserves the value. A property that is `undefined` may be lost, because it reads like an absent one. */
function checkJson(value: unknown, path: string, item: Attributes): void {
  const fault = (what: string) => new Fault(`its ${path} is ${what}, which does not survive JSON`, [item]);
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return;
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw fault(String(value));
    return;
  }
  if (typeof value !== 'object') throw fault(value === undefined ? 'undefined' : `a ${typeof value}`);
  if (Array.isArray(value)) {
    // entries() includes the holes of an array, which forEach skips.
    for (const [i, element] of value.entries()) checkJson(element, `${path}[${i}]`, item);
    return;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) throw fault(`a ${prototype.constructor?.name ?? 'class instance'}`);
  if ('toJSON' in value) throw fault('an object with toJSON');
  for (const [name, property] of Object.entries(value)) {
    if (property !== undefined) checkJson(property, `${path}.${name}`, item);
  }
}

/**
 * Runs a synchronous action with the clock a day, 1 h, 2 min and 3.004 s later. A view that reads any part of the time then gives other
 * entries.
 */
function aDayLater<T>(action: () => T): T {
  const RealDate = globalThis.Date;
  const later = () => RealDate.now() + LATER_MS;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, args) => Reflect.construct(target, args.length === 0 ? [later()] : args, target),
    apply: () => new RealDate(later()).toString(),
    get: (target, name) => (name === 'now' ? later : Reflect.get(target, name, target)),
  });
  try {
    return action();
  } finally {
    globalThis.Date = RealDate;
  }
}

function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value;
  for (const part of Object.values(value)) frozen(part);
  return Object.freeze(value);
}

function shown(value: unknown): string {
  return inspect(value, { depth: 8, breakLength: Infinity });
}
