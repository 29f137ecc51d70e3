import type { CacheClient, Lookup } from '../../../src/cache.ts';
import { MAX_VALUE_BYTES } from '../world/items.ts';
import { listDifferences, type WantedList } from '../world/list-differences.ts';
import type { World } from './world.ts';

/**
 * What the cache may have wrong of an item: nothing; that it lacks the item; anything. It may lack the item of a letter, because the view threw and
 * told no address of the new image.
 */
export type Tolerance = 'nothing' | 'absence' | 'anything';

/** Compares the cache with the table wherever the cache answers `hit`, `gone` or `complete`. Returns the differences. */
export async function differences(world: World, tolerated: (item: string) => Tolerance = () => 'nothing'): Promise<readonly string[]> {
  const found: string[] = [];
  for (const client of world.cache.clients) found.push(...(await ask(world, documentDifferences(world, client, tolerated))));
  const client = world.client();
  for (const list of world.table.lists.keys()) {
    for (const query of [{ limit: 1 }, { limit: 3 }, { limit: 2, order: 'asc' }] as const) {
      found.push(...(await ask(world, listDifferences(client, list, query, wantedList(world, list, tolerated)))));
    }
  }
  return found;
}

/**
 * The differences before letters are redriven. The cache must not serve values that the worker knew to be old. Tolerated are items of records that the
 * worker could not read, had no time for, or set aside by code that could not compute the old addresses.
 */
export async function staleAnswers(world: World): Promise<readonly string[]> {
  const tolerances = new Map<string, Tolerance>();
  for (const { item, lettered, isBlind, lost, garbled } of world.journal.records) {
    if (isBlind || lost || garbled !== 'none') tolerances.set(item, 'anything');
    else if (lettered && !tolerances.has(item)) tolerances.set(item, 'absence');
  }
  return await differences(world, (item) => tolerances.get(item) ?? 'nothing');
}

/** The differences after a replay of every record. Then the cache must know every document that it can hold. */
export async function gaps(world: World): Promise<readonly string[]> {
  const { table, journal } = world;
  const untold = new Set([...journal.records].filter(({ missing, lost }) => missing.size > 0 || lost).map(({ item }) => item));
  const keys = [...table.documents].filter(([, { item }]) => !untold.has(item)).map(([key]) => key);
  const lookups = await ask(world, world.client().getMany(keys));
  return keys.flatMap((key, i) => {
    const json = table.documentAt(key)?.json;
    const wanted = json === undefined ? 'gone' : Buffer.byteLength(json) > MAX_VALUE_BYTES ? 'miss' : 'hit';
    const { type } = lookups[i] as Lookup;
    if (wanted === 'gone' && type === 'miss' && journal.forgotten.has(key)) return [];
    return type === wanted ? [] : [`${key} is a ${type} after a replay of all, and should be a ${wanted}`];
  });
}

function ask<T>({ clock }: World, answer: Promise<T>): Promise<T> {
  return clock.until(clock.outside(answer), 0);
}

async function documentDifferences(
  { table, tally }: World,
  client: CacheClient,
  tolerated: (item: string) => Tolerance,
): Promise<string[]> {
  const keys = [...table.documents.keys()];
  const lookups = await client.getMany(keys);
  return keys.flatMap((key, i) => {
    const lookup = lookups[i] as Lookup;
    tally.add(`answers: ${lookup.type}`);
    const json = table.documentAt(key)?.json;
    const tolerance = tolerated(table.documents.get(key)?.item ?? '');
    if (tolerance === 'anything') return [];
    if (lookup.type === 'hit' && JSON.stringify(lookup.value) !== json) {
      return [`${key} is ${JSON.stringify(lookup.value)} at ${lookup.version}, the table has ${json}`];
    }
    return lookup.type === 'gone' && json !== undefined && tolerance === 'nothing'
      ? [`${key} is gone at ${lookup.version}, the table has ${json}`]
      : [];
  });
}

function wantedList({ table, tally }: World, list: string, tolerated: (item: string) => Tolerance): WantedList {
  return {
    keep: table.lists.get(list)?.keep ?? 0,
    members: table.membersOf(list),
    isWrong: (member, _, isEqual) => !isEqual && tolerated(table.itemAt(list, member)) !== 'anything',
    mayLack: ({ row }) => tolerated(row.item) !== 'nothing',
    onPage: (isComplete) => tally.add(isComplete ? 'answers: complete' : 'answers: incomplete'),
  };
}
