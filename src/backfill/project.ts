import type { Cause } from '../cause.ts';
import { type Attributes, itemOf } from '../change.ts';
import { attributesOf, type Marshalled } from '../dynamodb/record.ts';
import { asError } from '../errors.ts';
import type { Entry } from '../mutation.ts';
import { asViewError, entriesOf, NOTHING, noText, type Parsed, parse } from '../plan/projection.ts';
import { shownItem } from '../plan/shown-keys.ts';
import { type Entity, type View, viewName } from '../view.ts';

/** A view, and what its name is in counts and keys. */
interface NamedView {
  readonly view: View;
  readonly name: string;
}

/** Views by entity, so that an item is parsed once for all views of its entity. */
export type Groups = readonly (readonly [Entity<unknown>, readonly NamedView[]])[];

export function grouped(views: readonly View[]): Groups {
  const groups = new Map<Entity<unknown>, NamedView[]>();
  for (const view of views) groups.set(view.entity, [...(groups.get(view.entity) ?? []), { view, name: viewName(view) }]);
  return [...groups];
}

/** An item of a page. */
export interface PageItem {
  /** In the table's form. */
  readonly key: Marshalled;
  readonly item: Marshalled;
  /** See `itemOf`. */
  readonly name: string;
  /** The item, or why it cannot be decoded. */
  readonly decoded: Attributes | Error;
}

/** What became of one item under one view. */
interface Projection {
  readonly view: NamedView;
  readonly entries: readonly Entry[];
}

export interface ProjectedItem {
  /** Whether a view's entity owns the item, or nobody knows. */
  readonly isOwned: boolean;
  readonly projections: readonly Projection[];
  /** Names of views whose documents of the item are not worth filling. */
  readonly skipped: readonly string[];
  /** Views that threw, and why. */
  readonly causes: readonly (Cause & { readonly view: string })[];
}

/** @throws TypeError when the item lacks a key attribute */
export function pageItem(item: Marshalled, keys: readonly string[]): PageItem {
  const key: Record<string, unknown> = {};
  for (const name of keys) {
    if (item[name] === undefined) throw new TypeError(`an item of the table lacks its key attribute "${name}"`);
    key[name] = item[name];
  }
  try {
    const decoded = attributesOf(item);
    return { key, item, decoded, name: itemOf(only(decoded, keys)) };
  } catch (error) {
    return { key, item, decoded: asError(error), name: itemOf(attributesOf(key)) };
  }
}

/** @param textOf makes the JSON text of a value; `noText` where only addresses are wanted */
export function projected(
  groups: Groups,
  keys: readonly string[],
  given: PageItem,
  textOf: (value: unknown) => string = noText,
): ProjectedItem {
  const { decoded: attributes, name } = given;
  if (attributes instanceof Error) return undecodable(groups, given.key, attributes);
  const projections: Projection[] = [];
  const skipped: string[] = [];
  const causes: (Cause & { readonly view: string })[] = [];
  let isOwned = false;
  for (const [entity, views] of groups) {
    const parsed = parse(entity, attributes);
    if (parsed === NOTHING) continue;
    isOwned = true;
    for (const view of views) {
      try {
        if (isSkipped(view.view, parsed)) skipped.push(view.name);
        else projections.push({ view, entries: entriesOf(view.view, parsed, name, textOf) });
      } catch (cause) {
        const shown = shownItem(viewsIn(groups), only(attributes, keys), [attributes]);
        causes.push({ stage: 'view', view: view.name, error: asViewError(view.view, shown, cause) });
      }
    }
  }
  return { isOwned, projections, skipped, causes };
}

/** Any view's entity may own an item that cannot be decoded. */
function undecodable(groups: Groups, key: Marshalled, { message }: Error): ProjectedItem {
  const error = new Error(`${shownItem(viewsIn(groups), attributesOf(key), [])} cannot be decoded: ${message}`);
  const causes = groups.flatMap(([, views]) => views.map(({ name }) => ({ stage: 'decode', view: name, error }) as const));
  return { isOwned: true, projections: [], skipped: [], causes };
}

function viewsIn(groups: Groups): readonly View[] {
  return groups.flatMap(([, views]) => views.map(({ view }) => view));
}

function isSkipped(view: View, parsed: Parsed): boolean {
  return view.kind === 'document' && view.worthFilling !== undefined && 'item' in parsed && !view.worthFilling(parsed.item);
}

function only(attributes: Attributes, keys: readonly string[]): Attributes {
  const key: Record<string, unknown> = {};
  for (const name of keys) key[name] = attributes[name];
  return key;
}
