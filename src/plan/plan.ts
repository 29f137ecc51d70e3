import type { Change } from '../change.ts';
import type { ViewError } from '../errors.ts';
import { type Address, type Entry, type Mutation, nameOf, putOf, without } from '../mutation.ts';
import type { Entity, View } from '../view.ts';
import { asViewError, entriesOf, FEW, isSame, jsonOf, NOTHING, noText, type Parsed, parse } from './projection.ts';

/** A view that could not say what an item is to it. */
export interface Poison {
  readonly view: string;
  readonly revision: number;
  readonly error: ViewError;
}

export interface Plan {
  readonly mutations: readonly Mutation[];
  readonly poison: readonly Poison[];
}

/** What a change does to the views: the difference of two projections each. A view that throws harms only itself. */
export function planOf(views: readonly View[], change: Change): Plan {
  const images = new Map<Entity<unknown>, { before: Parsed; after: Parsed }>();
  const mutations: Mutation[] = [];
  const poison: Poison[] = [];
  for (const view of views) {
    // An image is parsed once for all views of its entity.
    let of = images.get(view.entity);
    if (!of) {
      of = { before: parse(view.entity, change.before), after: parse(view.entity, change.after) };
      images.set(view.entity, of);
    }
    if (of.before === NOTHING && of.after === NOTHING) continue;
    const error = plan(view, change, of.before, of.after, mutations);
    if (error) poison.push({ view: view.name, revision: view.revision, error });
  }
  return { mutations, poison };
}

/**
 * What a change does to one view: entries of the old image that the new one lacks are deleted, those of the new image are put.
 *
 * @throws ViewError when the view cannot project the change; `planOf` tells what is done then.
 */
export function mutationsOf(view: View, change: Change): readonly Mutation[] {
  const { mutations, poison } = planOf([view], change);
  if (poison[0]) throw poison[0].error;
  return mutations;
}

function plan(view: View, change: Change, old: Parsed, now: Parsed, into: Mutation[]): ViewError | undefined {
  const { version } = change;
  let before: readonly Entry[] = NONE;
  let after: readonly Entry[] = NONE;
  let error: ViewError | undefined;
  try {
    before = entriesOf(view, old, change.item, noText);
  } catch (cause) {
    error = asViewError(view, `the old image of ${change.item}`, cause);
  }
  try {
    after = entriesOf(view, now, change.item, jsonOf);
  } catch (cause) {
    // What the view held of this item is known to be old now, and what it should hold is not known.
    for (const entry of before) into.push(without(entry, 'forget', version));
    return asViewError(view, `the new image of ${change.item}`, cause);
  }
  const [wasAt, isAt] = [finder(before), finder(after)];
  for (const [i, entry] of after.entries()) {
    const held = wasAt(entry, i);
    into.push(putOf(entry, version, held?.kind === 'member' ? held.score : undefined));
  }
  for (const [i, entry] of before.entries()) {
    if (!isAt(entry, i)) into.push(without(entry, 'delete', version));
  }
  return error;
}

const NONE: readonly Entry[] = [];
const nowhere = (): undefined => undefined;

/** A view mostly gives its entries in one order, and few of them: to look costs less than to index. */
function finder(entries: readonly Entry[]): (wanted: Address, likely: number) => Entry | undefined {
  if (entries.length === 0) return nowhere;
  let index: Map<string, Entry> | undefined;
  return (wanted, likely) => {
    const there = entries[likely];
    if (there && isSame(there, wanted)) return there;
    if (entries.length <= FEW) return entries.find((entry) => isSame(entry, wanted));
    index ??= new Map(entries.map((entry) => [nameOf(entry), entry]));
    return index.get(nameOf(wanted));
  };
}
