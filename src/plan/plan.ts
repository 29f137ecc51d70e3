import type { Cause } from '../cause.ts';
import type { Change } from '../change.ts';
import type { ViewError } from '../errors.ts';
import { type Address, type Entry, type Mutation, nameOf, putOf, without } from '../mutation.ts';
import { type Entity, type View, viewName } from '../view.ts';
import { asViewError, entriesOf, FEW, isSameAddress, jsonOf, knownEntries, NOTHING, noText, type Parsed, parse } from './projection.ts';
import { shownItem } from './shown-keys.ts';

export interface Plan {
  readonly mutations: readonly Mutation[];
  /** One cause for each view that could not project an image. */
  readonly poison: readonly Cause[];
}

/** What a change does to the views: for each view the difference of two projections. A view that throws spoils only its own part. */
export function planOf(views: readonly View[], change: Change): Plan {
  const images = new Map<Entity<unknown>, { before: Parsed; after: Parsed }>();
  const mutations: Mutation[] = [];
  const poison: Cause[] = [];
  for (const view of views) {
    // An image is parsed once for all views of its entity.
    let parsed = images.get(view.entity);
    if (!parsed) {
      parsed = { before: parse(view.entity, change.before), after: parse(view.entity, change.after) };
      images.set(view.entity, parsed);
    }
    if (parsed.before === NOTHING && parsed.after === NOTHING) continue;
    const shown = () => shownItem(views, change.keys, [change.before, change.after]);
    const error = planView(view, change, parsed.before, parsed.after, mutations, shown);
    if (error) poison.push({ stage: 'view', view: viewName(view), error });
  }
  return { mutations, poison };
}

/**
 * Deletes the entries of the old image that the new image lacks, and puts the entries of the new image. Returns why the view failed.
 *
 * If the view cannot project the new image, the addresses of both images are forgotten, as far as they can be told. At any other address, the
 * cache keeps what it has: after an insert, a removal and an insert on which the view throws, that is `gone`. The record has no address, and
 * the image that had the address is in an earlier record.
 */
function planView(view: View, change: Change, old: Parsed, now: Parsed, into: Mutation[], shown: () => string): ViewError | undefined {
  const { version } = change;
  let before: readonly Entry[] = NONE;
  let after: readonly Entry[] = NONE;
  let error: ViewError | undefined;
  try {
    before = entriesOf(view, old, change.item, noText);
  } catch (cause) {
    error = asViewError(view, `the old image of ${shown()}`, cause);
    before = knownEntries(view, old, change.item);
  }
  try {
    after = entriesOf(view, now, change.item, jsonOf);
  } catch (cause) {
    // What the cache has at the addresses of either image is outdated now: a value of the old image, or `gone` where the item now is.
    const isOld = finder(before);
    for (const entry of before) into.push(without(entry, 'forget', version));
    for (const [i, entry] of knownEntries(view, now, change.item).entries()) {
      if (!isOld(entry, i)) into.push(without(entry, 'forget', version));
    }
    return asViewError(view, `the new image of ${shown()}`, cause);
  }
  const [wasAt, isAt] = [finder(before), finder(after)];
  for (const [i, entry] of after.entries()) {
    const previous = wasAt(entry, i);
    into.push(putOf(entry, version, previous?.kind === 'member' ? previous.score : undefined));
  }
  for (const [i, entry] of before.entries()) {
    if (!isAt(entry, i)) into.push(without(entry, 'delete', version));
  }
  return error;
}

const NONE: readonly Entry[] = [];
const nowhere = (): undefined => undefined;

/** Finds the entry of an address. A view usually gives few entries, in the same order each time, so looking costs less than indexing. */
function finder(entries: readonly Entry[]): (wanted: Address, likely: number) => Entry | undefined {
  if (entries.length === 0) return nowhere;
  let index: Map<string, Entry> | undefined;
  return (wanted, likely) => {
    const guess = entries[likely];
    if (guess && isSameAddress(guess, wanted)) return guess;
    if (entries.length <= FEW) return entries.find((entry) => isSameAddress(entry, wanted));
    index ??= new Map(entries.map((entry) => [nameOf(entry), entry]));
    return index.get(nameOf(wanted));
  };
}
