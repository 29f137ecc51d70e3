import type { Lookup } from '../../../src/cache.ts';
import type { Version } from '../../../src/version.ts';
import { MAX_VALUE_BYTES } from './items.ts';
import { listDifferences, type WantedList } from './list-differences.ts';
import { letterOf, type World } from './world.ts';

/** The parts of a world that are compared. `letters` has the name of each letter that waits; see `letterOf`. */
export interface Judged extends Pick<World, 'table' | 'cache' | 'tally' | 'bug'> {
  readonly letters: { has(letter: string): boolean };
}

/** Compares the cache with the table wherever the cache answers `hit`, `gone` or `complete`. Returns the differences. */
export async function differences(world: Judged): Promise<string[]> {
  const found: string[] = [];
  const keys = [...world.table.documents.keys()];
  const lookups = await world.cache.getMany(keys);
  for (const [i, key] of keys.entries()) {
    const lookup = lookups[i] as Lookup;
    world.tally.add(lookup.type);
    found.push(...documentDifferences(world, key, lookup));
  }
  for (const list of world.table.lists.keys()) {
    for (const query of [{ limit: 1 }, { limit: 3 }, { limit: 2, order: 'asc' }] as const) {
      found.push(...(await listDifferences(world.cache, list, query, wantedList(world, list))));
    }
  }
  for (const { item, cursed } of world.table.rows.values()) {
    for (const view of world.bug.mended ? [] : cursed) {
      if (!world.letters.has(letterOf(item, view))) found.push(`view ${view} cannot project ${item}, and there is no letter of it`);
    }
  }
  return found;
}

/**
 * Whether a letter waits for an item that the view could not project. Then the cache may lack the item: it may answer `gone`, or call a page
 * complete without it. A cursed view throws, so the worker learns no address of the new image. It forgets the addresses of the old image, but a
 * tombstone that an earlier removal or a fill left at another address stays.
 */
function isUnheard(world: Judged, item: string, view: string): boolean {
  return !world.bug.mended && world.table.rows.get(item)?.cursed.has(view) === true;
}

function documentDifferences(world: Judged, key: string, lookup: Lookup): string[] {
  const { view, item } = world.table.documents.get(key) as { view: string; item: string };
  const json = world.table.documentAt(key)?.json;
  const unheard = isUnheard(world, item, view);
  if (lookup.type === 'hit' && (unheard || JSON.stringify(lookup.value) !== json)) {
    return [`${key} is ${JSON.stringify(lookup.value)} at ${lookup.version}, the table has ${unheard ? 'what no view can project' : json}`];
  }
  if (lookup.type === 'gone' && json !== undefined && !unheard) return [`${key} is gone at ${lookup.version}, the table has ${json}`];
  return [];
}

function wantedList(world: Judged, list: string): WantedList {
  const { view, keep } = world.table.lists.get(list) ?? { view: '', keep: 0 };
  return {
    keep,
    members: world.table.membersOf(list),
    isWrong: (_, wanted, isEqual) => !isEqual || (wanted !== undefined && isUnheard(world, wanted.row.item, view)),
    mayLack: ({ row }) => isUnheard(world, row.item, view),
    onPage: (isComplete) => world.tally.add(isComplete ? 'complete' : 'incomplete'),
  };
}

/** The differences after a replay of every record by mended views. Then the cache must know every document that it can hold. */
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

/** Fills the cache by a reader that nothing disturbs. Returns the fills that failed. */
export async function fillQuietly(world: World): Promise<string[]> {
  const found: string[] = [];
  for (const target of world.table.targets) {
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
 * Checks that answers never step back, in histories without evictions and fills:
 *
 * 1. an address never answers with an older change than before;
 * 2. an address never answers with an older change than one that the handler has reported as done;
 * 3. an answer is what the change of its version made.
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
    // A tombstone keeps the version of the change that left it.
    return json !== undefined && clock < done ? [`${address} answers as of change ${clock}, and change ${done} was done before`] : [];
  }
}

function addressOf(place: { kind: 'document'; key: string } | { kind: 'member'; list: string; member: string }): string {
  return place.kind === 'document' ? `document ${place.key}` : `list ${place.list}: ${place.member}`;
}

function isTooLarge(json: string): boolean {
  return Buffer.byteLength(json) > MAX_VALUE_BYTES;
}
