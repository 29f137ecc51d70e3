import type { Attributes } from '../change.ts';
import type { ViewError } from '../errors.ts';
import { type Entry, type Mutation, nameOf, putOf, without } from '../mutation.ts';
import type { Version } from '../version.ts';
import type { View } from '../view.ts';
import type { Plan, Poison } from './plan.ts';
import { asViewError, entriesOf, jsonOf, noText, parse } from './projection.ts';

/** What an item was: `before` a change whose part was set aside, or `after` one. */
export interface KnownImage {
  readonly as: 'before' | 'after';
  readonly attributes: Attributes;
}

/** `image`: of that one nobody knows where it was. */
export interface Unsettled extends Poison {
  readonly image?: KnownImage;
}

/** What an item is known to have been, and what it is. */
export interface Settlement {
  /** See `itemOf`. */
  readonly item: string;
  readonly images: readonly KnownImage[];
  /** An image is missing, so the item may have been anywhere: also where it is now. */
  readonly isMissingImages: boolean;
  /** Absent when there is no such item. */
  readonly now: Attributes | undefined;
  readonly version: Version;
}

/**
 * What brings the addresses that an item is known to have had to what the item is now, all at one version: those that it still has are put, the others
 * deleted. Where it is since then is left to the change that brought it there. A view that cannot project the item as it is now forgets what it held
 * of it. One that cannot project an image from before is poison, too: the code before this one, or the code after it, may have projected it, and left
 * entries nobody knows where. An image from after may be passed over: the change that ended it has it as its own image from before.
 */
export function settlementOf(
  views: readonly View[],
  { item, images, isMissingImages, now, version }: Settlement,
): Omit<Plan, 'poison'> & { readonly poison: readonly Unsettled[] } {
  const mutations: Mutation[] = [];
  const poison: Unsettled[] = [];
  for (const view of views) {
    const { name, revision } = view;
    const { left, faults } = entriesLeft(view, images, item);
    for (const { image, error } of faults) poison.push({ view: name, revision, error, image });
    try {
      for (const entry of entriesOf(view, parse(view.entity, now), item, jsonOf)) {
        const held = left.get(nameOf(entry));
        if (!held && !isMissingImages) continue;
        left.delete(nameOf(entry));
        mutations.push(putOf(entry, version, held?.kind === 'member' ? held.score : undefined));
      }
      for (const entry of left.values()) mutations.push(without(entry, 'delete', version));
    } catch (cause) {
      for (const entry of left.values()) mutations.push(without(entry, 'forget', version));
      poison.push({ view: name, revision, error: asViewError(view, `${item} as it is now`, cause) });
    }
  }
  return { mutations, poison };
}

/** By address; of a list's member, at the highest score that it is known to have had: its marker must block what is older there. */
function entriesLeft(view: View, images: readonly KnownImage[], item: string) {
  const left = new Map<string, Entry>();
  const faults: { readonly image: KnownImage; readonly error: ViewError }[] = [];
  for (const image of images) {
    const { as, attributes } = image;
    let entries: readonly Entry[] = [];
    try {
      entries = entriesOf(view, parse(view.entity, attributes), item, noText);
    } catch (cause) {
      if (as === 'before') faults.push({ image, error: asViewError(view, `the old image of ${item}`, cause) });
    }
    for (const entry of entries) {
      const other = left.get(nameOf(entry));
      if (entry.kind === 'member' && other?.kind === 'member' && other.score > entry.score) continue;
      left.set(nameOf(entry), entry);
    }
  }
  return { left, faults };
}
