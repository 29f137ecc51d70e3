import type { CacheClient, ListPosition, Lookup, PageQuery } from '../../../src/cache.ts';
import { MAX_VALUE_BYTES } from '../world/items.ts';
import type { World } from './world.ts';

/** What may be wrong of an item: nothing; that it is not told of; all of it. */
export type Tolerance = 'nothing' | 'absence' | 'anything';

/** The cache equals the table wherever it answers `hit`, `gone` or `complete`. Returns where it does not. */
export async function differences(world: World, tolerated: (item: string) => Tolerance = () => 'nothing'): Promise<readonly string[]> {
  const found: string[] = [];
  for (const client of world.cache.clients) found.push(...(await ask(world, documentDifferences(world, client, tolerated))));
  const client = world.client();
  for (const list of world.table.lists.keys()) {
    for (const query of [{ limit: 1 }, { limit: 3 }, { limit: 2, order: 'asc' }] as const) {
      found.push(...(await ask(world, listDifferences(world, client, list, query, tolerated))));
    }
  }
  return found;
}

/**
 * Before letters are redriven nobody reads what the worker knew to be old. It did not know where it could read nothing of a record, had no time for it, or
 * was so broken that it could not tell what it had written before.
 */
export async function staleAnswers(world: World): Promise<readonly string[]> {
  const tolerances = new Map<string, Tolerance>();
  for (const { item, lettered, isBlind, lost, garbled } of world.journal.records) {
    if (isBlind || lost || garbled !== 'none') tolerances.set(item, 'anything');
    else if (lettered && !tolerances.has(item)) tolerances.set(item, 'absence');
  }
  return await differences(world, (item) => tolerances.get(item) ?? 'nothing');
}

/** After a replay of everything nothing is unknown that can be held. */
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

/** Walks through a list page by page. */
async function listDifferences(
  { table, tally }: World,
  client: CacheClient,
  list: string,
  query: PageQuery,
  tolerated: (item: string) => Tolerance,
): Promise<string[]> {
  const found: string[] = [];
  const sign = query.order === 'asc' ? 1 : -1;
  const members = table.membersOf(list);
  let after: ListPosition | undefined;
  let cursor: string | undefined;
  let length = 0;
  do {
    const page = await client.list(list, { ...query, after: cursor });
    tally.add(page.complete ? 'answers: complete' : 'answers: incomplete');
    const start = after;
    length += page.members.length;
    for (const { member, score, value, version } of page.members) {
      if (after && sign * compare({ member, score }, after) <= 0) found.push(`${list} shows ${member} out of order, or twice`);
      after = { member, score };
      const held = members.find((it) => it.member === member);
      const isWrong = held?.score !== score || held.json !== JSON.stringify(value);
      if (!isWrong || tolerated(table.itemAt(list, member)) === 'anything') continue;
      const now = held ? `${held.json} at ${held.score}` : 'none';
      found.push(`${list} shows ${member} as ${JSON.stringify(value)} at ${score}, ${version}; the table has ${now}`);
    }
    const last = page.cursor === undefined ? undefined : after;
    const within = (place: ListPosition) => !(start && sign * compare(place, start) <= 0) && !(last && sign * compare(place, last) > 0);
    for (const { member, score, row } of page.complete ? members : []) {
      if (tolerated(row.item) !== 'nothing') continue;
      if (!within({ member, score }) || page.members.some((it) => it.member === member)) continue;
      found.push(`${list} calls a page of ${JSON.stringify(query)} complete, and it lacks ${member} at ${score}`);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  const { keep = 0 } = table.lists.get(list) ?? {};
  if (length > keep) found.push(`${list} has ${length} members, and is to keep ${keep}`);
  return found;
}

/** As every backend sorts: by score, then by the bytes of the names. */
function compare(a: ListPosition, b: ListPosition): number {
  return a.score - b.score || Buffer.compare(Buffer.from(a.member), Buffer.from(b.member));
}
