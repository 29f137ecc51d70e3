import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { repair } from '../../src/playground/evening.ts';
import { makeTrouble, TROUBLE_BUTTONS } from '../../src/playground/troubles.ts';
import type { PlayedWorld } from '../../src/playground/world.ts';
import { lookTwice, startWorld } from './stage.ts';

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
      expect(await repair(world)).toEqual({ removed: 1, kept: 0 });
      expect(await lookTwice(world)).toMatchObject({ ours: [] });
    }
  });

  it('is found when it makes our cache wrong', async () => {
    const [item = ''] = world.items.keys();
    const [document = ''] = world.placesOf(item).documents;
    await world.evict(document);
    await world.options.cache.getOrLease([document]).then(async ([looked]) => {
      if (looked?.type === 'miss')
        await world.options.cache.settle([{ lease: looked.lease, found: { kind: 'document', json: '{"old":1}' } }]);
    });
    expect((await lookTwice(world)).ours).toEqual([`${document}: an old value`]);
  });
});
