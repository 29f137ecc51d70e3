import { describe, expect, it } from 'vitest';
import type { Attributes } from '../../src/change.ts';
import { ViewError } from '../../src/errors.ts';
import { type PastImage, type Settlement, settlementOf } from '../../src/plan/settlement.ts';
import { entity, type View } from '../../src/view.ts';
import { anything, documentsOf, membersOf, short, version } from './fixtures.ts';

const ITEM = '["a"]';

/** Documents at the tags of the item. Throws for a cursed item. */
const tagged = documentsOf(({ tags, value }) => {
  if (value === 'cursed') throw new RangeError('I do not like this one');
  return (tags as string[]).map((tag) => ({ key: tag, value }));
}, 'tagged');
/** Members at the rank of the item. Throws for a cursed item. */
const ranked = membersOf(({ value, rank, lists = ['l'] }) => {
  if (value === 'cursed') throw new RangeError('I do not like this one');
  return (lists as string[]).map((list) => ({ list, score: rank as number, value }));
}, 'ranked');

const item = (value: string, more: Attributes = {}): Attributes => ({ value, tags: ['home'], rank: 1, ...more });
const at = (...tags: string[]): Attributes => item('v', { tags });
const rank = (rank: number): Attributes => item('v', { rank });
const oldImage = (attributes: Attributes, letter?: string): PastImage => ({ as: 'before', attributes, letter });
const newImage = (attributes: Attributes, letter?: string): PastImage => ({ as: 'after', attributes, letter });

function settle(views: readonly View[], of: Partial<Settlement>) {
  const { mutations, poison } = settlementOf(views, { item: ITEM, images: [], hasUnknownPast: false, now: undefined, version, ...of });
  return { mutations, poison, lines: mutations.map(short) };
}

describe('settlementOf', () => {
  it('puts an address of a past image that the item still has (rule 1)', () => {
    const { mutations, poison } = settle([tagged, ranked], { images: [oldImage(item('old'))], now: item('new') });
    expect(mutations).toEqual([
      { kind: 'document', type: 'put', key: 'tagged@1:home', json: '"new"', version },
      { kind: 'member', type: 'put', list: 'ranked@1:l', member: ITEM, score: 1, keep: 10, json: '"new"', version, from: 1 },
    ]);
    expect(poison).toEqual([]);
  });

  it('takes images from before and from after a change for addresses (rule 1)', () => {
    for (const image of [oldImage, newImage]) {
      expect(settle([tagged], { images: [image(at('home'))], now: at('home') }).lines).toEqual(['put tagged@1:home "v"']);
    }
  });

  it('deletes an address of a past image that the item no longer has (rule 2)', () => {
    const images = [oldImage(at('home', 'work')), newImage(at('beach'))];
    const { mutations, poison } = settle([tagged, ranked], { images, now: at('work') });
    expect(mutations.map(short)).toEqual([
      'put tagged@1:work "v"',
      'delete tagged@1:home',
      'delete tagged@1:beach',
      `put ranked@1:l ${ITEM} @1 from 1 keep 10 "v"`,
    ]);
    expect(mutations.every((mutation) => mutation.version === version)).toBe(true);
    expect(poison).toEqual([]);
  });

  it('deletes all addresses of an item that the table no longer has (rule 2)', () => {
    const images = [oldImage(at('home')), newImage(at('work'))];
    expect(settle([tagged, ranked], { images }).lines).toEqual([
      'delete tagged@1:home',
      'delete tagged@1:work',
      `delete ranked@1:l ${ITEM} @1 keep 10`,
    ]);
  });

  it('deletes the addresses of an item that left the entity of the view (rule 2)', () => {
    const flagged = entity<Attributes>({ ...anything, owns: ({ flag }) => flag === true });
    const view: View = { ...documentsOf(() => [{ key: 'k', value: 1 }]), entity: flagged };
    expect(settle([view], { images: [newImage(item('v', { flag: true }))], now: item('v') }).lines).toEqual(['delete odd@1:k']);
    expect(settle([view], { images: [newImage(item('v'))], now: item('v', { flag: true }) }).lines).toEqual([]);
  });

  it('leaves another address of the item to the stream record that created it (rule 3)', () => {
    expect(settle([tagged], { images: [oldImage(at('home'))], now: at('home', 'work') }).lines).toEqual(['put tagged@1:home "v"']);
    expect(settle([tagged, ranked], { now: at('home') })).toMatchObject({ mutations: [], poison: [] });
  });

  it('forgets the known addresses when the view cannot project the item as it is now, which is poison (rule 4)', () => {
    const images = [oldImage(at('home', 'work'), 'l1'), newImage(rank(7), 'l2')];
    const { mutations, poison } = settle([tagged, ranked], { images, now: item('cursed') });
    expect(mutations).toEqual([
      { kind: 'document', type: 'forget', key: 'tagged@1:home', version },
      { kind: 'document', type: 'forget', key: 'tagged@1:work', version },
      { kind: 'member', type: 'forget', list: 'ranked@1:l', member: ITEM, score: 7, keep: 10, version },
    ]);
    // The cause names no letter, because it keeps all of them.
    expect(poison).toStrictEqual([
      { stage: 'view', view: 'tagged@1', error: expect.any(ViewError) },
      { stage: 'view', view: 'ranked@1', error: expect.any(ViewError) },
    ]);
    expect(poison[0]?.error.message).toBe(`view tagged cannot project ${ITEM} as it is now: it threw RangeError`);
    expect(poison[0]?.error.cause).toMatchObject({ message: 'I do not like this one' });
  });

  it('forgets the known addresses when the entries as they are now are ones that no cache can hold (rule 4)', () => {
    const { lines, poison } = settle([tagged], { images: [oldImage(at('home'))], now: at('home', 'home') });
    expect(lines).toEqual(['forget tagged@1:home']);
    expect(poison.map(({ error }) => error.message)).toEqual([
      `view tagged cannot project ${ITEM} as it is now: it gives one address twice`,
    ]);
  });

  it('does not put any address of a view that cannot project the item as it is now, although some entries are sound (rule 4)', () => {
    const halfway = documentsOf(({ tags }) => (tags as string[]).map((key) => ({ key, value: key === 'work' ? 1n : 1 })), 'halfway');
    expect(settle([halfway], { images: [oldImage(at('home'))], now: at('home', 'work') }).lines).toEqual(['forget halfway@1:home']);
  });

  it('names the letter of an image from before a change that the view cannot project, which is poison (rule 5)', () => {
    const images = [oldImage(item('cursed'), 'l1'), oldImage(at('home'), 'l2')];
    const { lines, poison } = settle([tagged], { images, now: at('home') });
    expect(lines).toEqual(['put tagged@1:home "v"']);
    expect(poison).toEqual([{ stage: 'view', view: 'tagged@1', letter: 'l1', error: expect.any(ViewError) }]);
    expect(poison[0]?.error.message).toBe(`view tagged cannot project the old image of ${ITEM}: it threw RangeError`);
    expect(poison[0]?.error.cause).toMatchObject({ message: 'I do not like this one' });
  });

  it('has one cause for each letter and view when several letters have the same image (rule 5)', () => {
    const images = ['l1', 'l2', 'l3'].map((letter) => oldImage(item('cursed'), letter));
    const { poison } = settle([tagged, ranked], { images, now: at('home') });
    expect(poison.map(({ view, letter }) => `${view} ${letter}`)).toEqual([
      'tagged@1 l1',
      'tagged@1 l2',
      'tagged@1 l3',
      'ranked@1 l1',
      'ranked@1 l2',
      'ranked@1 l3',
    ]);
  });

  it('skips an image from after a change that the view cannot project (rule 6)', () => {
    const images = [newImage(item('cursed'), 'l1'), newImage(at('home'), 'l2')];
    expect(settle([tagged], { images, now: at('home') })).toMatchObject({ lines: ['put tagged@1:home "v"'], poison: [] });
  });

  it('has the causes of past images before the cause of the present one', () => {
    const { lines, poison } = settle([tagged], { images: [oldImage(item('cursed'), 'l1'), oldImage(at('home'))], now: item('cursed') });
    expect(lines).toEqual(['forget tagged@1:home']);
    expect(poison.map(({ letter, error }) => [letter, error.message])).toEqual([
      ['l1', `view tagged cannot project the old image of ${ITEM}: it threw RangeError`],
      [undefined, `view tagged cannot project ${ITEM} as it is now: it threw RangeError`],
    ]);
  });

  it('settles the other views when one view cannot project the item', () => {
    const { lines, poison } = settle([documentsOf(() => [{ key: '', value: 1 }]), tagged], {
      images: [newImage(at('home'))],
      now: at('home'),
    });
    expect(lines).toEqual(['put tagged@1:home "v"']);
    expect(poison.map(({ view }) => view)).toEqual(['odd@1']);
  });

  it('puts the item at all its addresses when a past image is unknown', () => {
    const images = [oldImage(at('home'))];
    const now = item('new', { tags: ['work', 'beach'] });
    expect(settle([tagged, ranked], { images, hasUnknownPast: true, now }).lines).toEqual([
      'put tagged@1:work "new"',
      'put tagged@1:beach "new"',
      'delete tagged@1:home',
      `put ranked@1:l ${ITEM} @1 from 1 keep 10 "new"`,
    ]);
    expect(settle([tagged, ranked], { hasUnknownPast: true, now: at('home') }).lines).toEqual([
      'put tagged@1:home "v"',
      `put ranked@1:l ${ITEM} @1 keep 10 "v"`,
    ]);
    expect(settle([tagged, ranked], { hasUnknownPast: true }).lines).toEqual([]);
  });

  it.each([
    ['the first image', [9, 5, 1]],
    ['the second image', [5, 9, 1]],
    ['the last image', [1, 5, 9]],
  ])("takes a member's highest known score, which is that of %s", (_, ranks) => {
    const images = ranks.map((n, i) => (i === 1 ? newImage(rank(n)) : oldImage(rank(n))));
    const member = `ranked@1:l ${ITEM}`;
    expect(settle([ranked], { images }).lines).toEqual([`delete ${member} @9 keep 10`]);
    expect(settle([ranked], { images, now: item('cursed') }).lines).toEqual([`forget ${member} @9 keep 10`]);
    expect(settle([ranked], { images, now: rank(3) }).lines).toEqual([`put ${member} @3 from 9 keep 10 "v"`]);
  });

  it('compares the scores of one member, not of the members of several lists', () => {
    const images = [oldImage(item('v', { lists: ['a'], rank: 9 })), oldImage(item('v', { lists: ['b'], rank: 2 }))];
    expect(settle([ranked], { images }).lines).toEqual([`delete ranked@1:a ${ITEM} @9 keep 10`, `delete ranked@1:b ${ITEM} @2 keep 10`]);
  });

  it('gives nothing where there is no view', () => {
    expect(settle([], { images: [oldImage(at('home'))], now: at('work'), hasUnknownPast: true })).toMatchObject({
      mutations: [],
      poison: [],
    });
  });
});
