import type { Cause } from '../cause.ts';
import type { Attributes } from '../change.ts';
import { type Entry, type Mutation, nameOf, putOf, without } from '../mutation.ts';
import type { Version } from '../version.ts';
import { type View, viewName } from '../view.ts';
import type { Plan } from './plan.ts';
import { asViewError, entriesOf, jsonOf, noText, parse } from './projection.ts';

/** An image that an item had: `before` or `after` a change that was set aside. */
export interface PastImage {
  readonly as: 'before' | 'after';
  readonly attributes: Attributes;
  /** The letter that has the image. */
  readonly letter?: string;
}

/** What an item is known to have been, and what the item is now. */
export interface Settlement {
  /** See `itemOf`. */
  readonly item: string;
  /** The item as messages show it; see `shownItem`. Default: `item`. */
  readonly shown?: string;
  readonly images: readonly PastImage[];
  /** Some past image is unknown. The item is then put at all its present addresses, not only at those it is known to have had. */
  readonly hasUnknownPast: boolean;
  /** Absent where the table has no such item. */
  readonly now: Attributes | undefined;
  readonly version: Version;
}

/**
 * Brings the addresses that an item is known to have had to what the item is now, all at one version:
 *
 * 1. an address in a past image that the item still has: put;
 * 2. an address in a past image that the item no longer has: delete;
 * 3. another address of the item: nothing, because the stream record that created the address writes it;
 * 4. a view that cannot project the item as it is now: its known addresses are forgotten, and the view is poison;
 * 5. a view that cannot project an image from before a change: poison of the image's letter, because another deployment may have projected that
 *    image to addresses that this code cannot compute;
 * 6. a view that cannot project an image from after a change: nothing, because the next record carries that image as its old one.
 */
export function settlementOf(views: readonly View[], { item, shown = item, images, hasUnknownPast, now, version }: Settlement): Plan {
  const mutations: Mutation[] = [];
  const poison: Cause[] = [];
  for (const view of views) {
    const { past, unknown } = pastEntries(view, images, item, shown);
    poison.push(...unknown);
    try {
      for (const entry of entriesOf(view, parse(view.entity, now), item, jsonOf)) {
        const previous = past.get(nameOf(entry));
        if (!previous && !hasUnknownPast) continue;
        past.delete(nameOf(entry));
        mutations.push(putOf(entry, version, previous?.kind === 'member' ? previous.score : undefined));
      }
      for (const entry of past.values()) mutations.push(without(entry, 'delete', version));
    } catch (cause) {
      for (const entry of past.values()) mutations.push(without(entry, 'forget', version));
      poison.push({ stage: 'view', view: viewName(view), error: asViewError(view, `${shown} as it is now`, cause) });
    }
  }
  return { mutations, poison };
}

/**
 * The entries of all past images by address, and a cause for each image that the view cannot project. A list's member is at its highest known
 * score, because its marker must block older versions there.
 */
function pastEntries(view: View, images: readonly PastImage[], item: string, shown: string) {
  const past = new Map<string, Entry>();
  const unknown: Cause[] = [];
  for (const { as, attributes, letter } of images) {
    let entries: readonly Entry[] = [];
    try {
      entries = entriesOf(view, parse(view.entity, attributes), item, noText);
    } catch (cause) {
      const error = asViewError(view, `the old image of ${shown}`, cause);
      if (as === 'before') unknown.push({ stage: 'view', view: viewName(view), letter, error });
    }
    for (const entry of entries) {
      const other = past.get(nameOf(entry));
      if (entry.kind === 'member' && other?.kind === 'member' && other.score > entry.score) continue;
      past.set(nameOf(entry), entry);
    }
  }
  return { past, unknown };
}
