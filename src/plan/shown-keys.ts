import { type Attributes, itemOf } from '../change.ts';
import { hashed } from '../dynamodb/attributes.ts';
import type { Entity, View } from '../view.ts';

/**
 * The keys of an item as logs, reports and messages show them: a secret value is replaced by a short hash, so that two lines about one item can be
 * matched.
 *
 * An entity declares which key attributes are secret. They are secret in the items that it owns, and in all items of which nobody knows the
 * entity: no image can be read, or no entity owns one.
 *
 * @param images what the item is known to have been. Empty when some of that is unknown.
 */
export function shownKeys(views: readonly View[], keys: Attributes, images: readonly (Attributes | undefined)[]): Attributes {
  const declared = declaredBy(views);
  if (declared.all.size === 0) return keys;
  const secret = secretNames(declared, images);
  if (secret.size === 0) return keys;
  return Object.fromEntries(Object.entries(keys).map(([name, value]) => [name, secret.has(name) ? hashed(value) : value]));
}

/** The name of an item (see `itemOf`) with its keys as `shownKeys` shows them. */
export function shownItem(views: readonly View[], keys: Attributes, images: readonly (Attributes | undefined)[]): string {
  return itemOf(shownKeys(views, keys, images));
}

interface Declared {
  readonly entities: readonly Entity<unknown>[];
  /** The names that any entity declares as secret. */
  readonly all: ReadonlySet<string>;
}

/** Every record asks for this, and the views of an application never change. */
const known = new WeakMap<readonly View[], Declared>();

function declaredBy(views: readonly View[]): Declared {
  let declared = known.get(views);
  if (!declared) {
    const entities = [...new Set(views.map(({ entity }) => entity))];
    declared = { entities, all: new Set(entities.flatMap(({ secretKeys = [] }) => secretKeys)) };
    known.set(views, declared);
  }
  return declared;
}

const NONE: ReadonlySet<string> = new Set();

function secretNames({ entities, all }: Declared, images: readonly (Attributes | undefined)[]): ReadonlySet<string> {
  let names: Set<string> | undefined;
  let isKnown = false;
  for (const image of images) {
    if (!image) continue;
    isKnown = false;
    for (const entity of entities) {
      if (!owns(entity, image)) continue;
      isKnown = true;
      if (!entity.secretKeys) continue;
      names ??= new Set();
      for (const name of entity.secretKeys) names.add(name);
    }
    if (!isKnown) return all;
  }
  return isKnown ? (names ?? NONE) : all;
}

function owns(entity: Entity<unknown>, image: Attributes): boolean {
  try {
    return entity.owns(image);
  } catch {
    return false;
  }
}
