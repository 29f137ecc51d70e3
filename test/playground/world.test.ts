import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CacheClient } from '../../src/cache.ts';
import { mendAndRedrive } from '../../src/playground/evening.ts';
import { makeTrouble, TROUBLE_BUTTONS } from '../../src/playground/troubles.ts';
import type { PlayedWorld } from '../../src/playground/world.ts';
import { versionOf } from '../../src/version.ts';
import { lookTwice, memoryOptions, startWorld } from './stage.ts';

/** What the workshop's cache must have after each trouble; absent: the trouble harms it by chance only, or not at all. */
const HARM: Readonly<Record<string, RegExp>> = {
  twice: /2 times in the list/,
  disorder: /an old value/,
  replay: /times in the list/,
  kill: /2 times in the list/,
  stop: /missing|an old value/,
  evict: /missing, and the list looks whole/,
  flush: /missing, and the list looks whole/,
  fill: /an old value/,
  overfill: /missing, and the list looks whole/,
};

describe('a trouble', () => {
  let world: PlayedWorld;
  beforeEach(async () => {
    world = await startWorld();
  });
  afterEach(() => world.stop());

  it.each(TROUBLE_BUTTONS.map(({ id }) => [id]))('%s leaves our cache equal to the table', async (id) => {
    const after = await makeTrouble(world, id);
    await world.settled();
    const { ours, theirs } = await lookTwice(world);
    expect({ after, ours }).toEqual({ after, ours: [] });
    expect(after).not.toMatch(/could not be done/);
    const harm = HARM[id];
    if (harm) expect(theirs.join('\n')).toMatch(harm);
    if (id === 'poison') {
      expect(world.letters).toHaveLength(1);
      expect(await mendAndRedrive(world)).toEqual({ removed: 1, kept: 0 });
      expect(await lookTwice(world)).toMatchObject({ ours: [] });
    }
  });
});

/** A world whose cache has a fault. */
async function faulty(fault: (cache: CacheClient) => Partial<CacheClient>): Promise<PlayedWorld> {
  const options = memoryOptions();
  return await startWorld({ ...options, cache: { ...options.cache, ...fault(options.cache) } });
}

describe('a cache that is wrong', () => {
  it('is found when it holds an old value', async () => {
    const world = await startWorld();
    const [item = ''] = world.items.keys();
    const [document = ''] = world.placesOf(item).documents;
    await world.evict(document);
    const [looked] = await world.options.cache.getOrLease([document]);
    if (looked?.type === 'miss')
      await world.options.cache.settle([{ lease: looked.lease, found: { kind: 'document', json: '{"old":1}' } }]);
    expect((await lookTwice(world)).ours).toEqual([`${document}: an old value`]);
    await world.stop();
  });

  it('is found when it says that an item is gone', async () => {
    const world = await startWorld();
    const [item = ''] = world.items.keys();
    const [document = ''] = world.placesOf(item).documents;
    await world.evict(document);
    const [looked] = await world.options.cache.getOrLease([document]);
    if (looked?.type === 'miss') await world.options.cache.settle([{ lease: looked.lease, found: { kind: 'document' } }]);
    expect((await lookTwice(world)).ours).toEqual([`${document}: the cache says that it is gone`]);
    await world.stop();
  });

  it('is found when it applies whatever comes', async () => {
    let writes = 0n;
    const world = await faulty((cache) => ({
      apply: (mutations) =>
        cache.apply(
          mutations.map((mutation) => {
            writes += 1n;
            return { ...mutation, version: versionOf('2026-01-01T00:00:00.000', String(writes)) };
          }),
        ),
    }));
    await makeTrouble(world, 'disorder');
    const { ours } = await lookTwice(world);
    expect(ours.filter((wrong) => /^(detail|admin)@1:.*an old value/.test(wrong))).toHaveLength(2);
    expect(ours.some((wrong) => /^orders@1:all .*an old value/.test(wrong))).toBe(true);
    await world.stop();
  });

  it('is found when it calls a list complete that it has lost', async () => {
    const world = await faulty((cache) => ({
      list: async (name, query) => ({ ...(await cache.list(name, query)), complete: true }),
    }));
    await makeTrouble(world, 'flush');
    expect((await lookTwice(world)).ours.join('\n')).toMatch(/^orders@1:all .*lacks a member, and says that it is complete/m);
    await world.stop();
  });
});
