import type { ListPosition, Lookup, PageQuery } from '../../../src/cache.ts';
import type { Version } from '../../../src/version.ts';
import { MAX_VALUE_BYTES } from './items.ts';
import { letterOf, type World } from './world.ts';

/** At rest: the cache equals the table wherever it answers `hit`, `gone` or `complete`. Returns what it found otherwise. */
export async function differences(world: World): Promise<string[]> {
  const found: string[] = [];
  const keys = [...world.table.documents.keys()];
  const lookups = await world.cache.getMany(keys);
  for (const [i, key] of keys.entries()) {
    const lookup = lookups[i] as Lookup;
    world.tally[lookup.type] += 1;
    found.push(...documentDifferences(world, key, lookup));
  }
  for (const list of world.table.lists.keys()) {
    for (const query of [{ limit: 1 }, { limit: 3 }, { limit: 2, order: 'asc' }] as const) {
      found.push(...(await listDifferences(world, list, query)));
    }
  }
  for (const { item, cursed } of world.table.rows.values()) {
    for (const view of world.bug.mended ? [] : cursed) {
      if (!world.letters.has(letterOf(item, view))) found.push(`view ${view} cannot project ${item}, and there is no letter of it`);
    }
  }
  return found;
}

/** A letter waits of an item that a view has not seen: what the cache knew of it before still stands. */
function isUnheard(world: World, item: string, view: string): boolean {
  return !world.bug.mended && world.table.rows.get(item)?.cursed.has(view) === true;
}

function documentDifferences(world: World, key: string, lookup: Lookup): string[] {
  const { view, item } = world.table.documents.get(key) as { view: string; item: string };
  const json = world.table.documentAt(key)?.json;
  const unheard = isUnheard(world, item, view);
  if (lookup.type === 'hit' && (unheard || JSON.stringify(lookup.value) !== json)) {
    return [`${key} is ${JSON.stringify(lookup.value)} at ${lookup.version}, the table has ${unheard ? 'what no view can project' : json}`];
  }
  if (lookup.type === 'gone' && json !== undefined && !unheard) return [`${key} is gone at ${lookup.version}, the table has ${json}`];
  return [];
}

/** Walks through a list page by page. */
async function listDifferences(world: World, list: string, query: PageQuery): Promise<string[]> {
  const found: string[] = [];
  const { view, keep } = world.table.lists.get(list) ?? { view: '', keep: 0 };
  const sign = query.order === 'asc' ? 1 : -1;
  const members = world.table.membersOf(list);
  let after: ListPosition | undefined;
  let cursor: string | undefined;
  let length = 0;
  do {
    const page = await world.cache.list(list, { ...query, after: cursor });
    world.tally[page.complete ? 'complete' : 'incomplete'] += 1;
    const start = after;
    length += page.members.length;
    for (const { member, score, value, version } of page.members) {
      if (after && sign * compare({ member, score }, after) <= 0) found.push(`${list} shows ${member} out of order, or twice`);
      after = { member, score };
      const held = members.find((it) => it.member === member);
      if (held?.score === score && held.json === JSON.stringify(value) && !isUnheard(world, held.row.item, view)) continue;
      found.push(
        `${list} shows ${member} as ${JSON.stringify(value)} at ${score}, ${version}; the table has ${held?.json} at ${held?.score}`,
      );
    }
    const last = page.cursor === undefined ? undefined : after;
    const within = (place: ListPosition) => !(start && sign * compare(place, start) <= 0) && !(last && sign * compare(place, last) > 0);
    for (const { member, score, row } of page.complete ? members : []) {
      if (!within({ member, score }) || isUnheard(world, row.item, view) || page.members.some((it) => it.member === member)) continue;
      found.push(`${list} calls a page of ${JSON.stringify(query)} complete, and it lacks ${member} at ${score}`);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  if (length > keep) found.push(`${list} has ${length} members, and is to keep ${keep}`);
  return found;
}

/** After a full replay by mended views, nothing is unknown that could be held. */
export async function gaps(world: World): Promise<string[]> {
  const found: string[] = [];
  for (const key of world.table.documents.keys()) {
    const json = world.table.documentAt(key)?.json;
    const { type } = await world.cache.get(key);
    const wanted = json === undefined ? 'gone' : isTooLarge(json) ? 'miss' : 'hit';
    if (type !== wanted) found.push(`${key} is a ${type} after a replay of all, not a ${wanted}`);
  }
  return found;
}

/** A reader alone with the cache fills it for good. */
export async function fillQuietly(world: World): Promise<string[]> {
  const found: string[] = [];
  for (const target of world.targets) {
    const lease = await world.lease(target);
    const read = world.find(target);
    if (!read) continue;
    const outcome = await world.settle(lease, read);
    if (read.kind === 'document') {
      const wanted = read.json !== undefined && isTooLarge(read.json) ? 'lost' : 'settled';
      if (outcome !== wanted) found.push(`a quiet fill of ${JSON.stringify(target)} is ${outcome}`);
      continue;
    }
    if (outcome !== 'settled') found.push(`a quiet fill of ${JSON.stringify(target)} is ${outcome}`);
    const { newest, next } = read;
    if (newest.some(({ json }) => isTooLarge(json)) || target.kind !== 'list') continue;
    // A list holds none of the members that tie with the next one.
    const held = next === undefined ? target.keep : newest.filter(({ score }) => score > next).length;
    for (let limit = 1; limit <= held; limit += 1) {
      const { complete } = await world.cache.list(target.list, { limit });
      if (!complete) found.push(`a page of ${limit} of ${target.list} is not complete after a quiet fill`);
    }
  }
  return found;
}

/**
 * Watches that answers never step back, in histories where nothing is evicted and nothing filled: neither at one address, nor
 * behind a change that the handler has called done; and that each answer is what its version says.
 */
export class Witness {
  readonly #answered = new Map<string, number>();

  async observe(world: World): Promise<string[]> {
    const found: string[] = [];
    const keys = [...world.table.documents.keys()];
    const lookups = await world.cache.getMany(keys);
    for (const [i, key] of keys.entries()) {
      const lookup = lookups[i] as Lookup;
      if (lookup.type === 'miss') continue;
      const json = lookup.type === 'hit' ? JSON.stringify(lookup.value) : undefined;
      found.push(...this.#answer(world, `document ${key}`, lookup.version, json));
    }
    for (const list of world.table.lists.keys()) {
      const { members } = await world.cache.list(list, { limit: 1_000 });
      for (const { member, value, version } of members) {
        found.push(...this.#answer(world, `list ${list}: ${member}`, version, JSON.stringify(value)));
      }
    }
    return found;
  }

  #answer(world: World, address: string, version: Version, json: string | undefined): string[] {
    const written = world.table.written.get(version);
    if (!written) return [`${address} answers at ${version}, which is no change's`];
    const { clock, item, row } = written;
    const before = this.#answered.get(address) ?? 0;
    this.#answered.set(address, Math.max(before, clock));
    if (clock < before) return [`${address} answers as of change ${clock}, after it answered as of ${before}`];
    const projected = row?.projected.find((place) => address === addressOf(place));
    if (projected?.json !== json) return [`${address} is ${json} as of change ${clock}, which made it ${projected?.json}`];
    const done = world.acknowledged.get(item) ?? 0;
    // A tombstone stays as old as the change that left it.
    return json !== undefined && clock < done ? [`${address} answers as of change ${clock}, and change ${done} was done before`] : [];
  }
}

function addressOf(place: { kind: 'document'; key: string } | { kind: 'member'; list: string; member: string }): string {
  return place.kind === 'document' ? `document ${place.key}` : `list ${place.list}: ${place.member}`;
}

function isTooLarge(json: string): boolean {
  return Buffer.byteLength(json) > MAX_VALUE_BYTES;
}

/** As Redis sorts: by score, then by the bytes of the names. */
function compare(a: ListPosition, b: ListPosition): number {
  return a.score - b.score || Buffer.compare(Buffer.from(a.member), Buffer.from(b.member));
}
