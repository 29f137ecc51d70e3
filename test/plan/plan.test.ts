import { describe, expect, it } from 'vitest';
import * as z from 'zod/mini';
import { memoryCache } from '../../src/caches/memory.ts';
import type { Attributes } from '../../src/change.ts';
import { ViewError } from '../../src/errors.ts';
import { planOf } from '../../src/plan/plan.ts';
import { FEW } from '../../src/plan/projection.ts';
import { versionOf } from '../../src/version.ts';
import { documentView, entity, listView, type View } from '../../src/view.ts';
import { change, documentsOf, membersOf, mutationsOf, short, shorts, version } from './fixtures.ts';

const order = { pk: 'order#7', sk: 'order', id: '7', status: 'placed', rank: 5 };
const ORDER = '["order#7","order"]';
const cursed = { ...order, status: 'cursed' };
const at = (rank: number) => ({ ...order, rank });

const plain = documentsOf(({ id }) => [{ key: String(id), value: id }], 'plain');
const ranked = membersOf(
  ({ status, rank }) => ['all', String(status)].map((list) => ({ list, score: rank as number, value: rank })),
  'ranked',
);
/** Throws for a cursed item. */
const moody = documentsOf(({ id, status }) => {
  if (status === 'cursed') throw new Error('I do not like this one');
  return [{ key: `${id}-${status}`, value: status }];
}, 'moody');
/** Documents whose keys are the item's tags. */
const tagged = documentsOf(({ tags }) => (tags as string[]).map((tag) => ({ key: tag, value: tag })), 'tagged');
const tags = (...tags: string[]) => ({ ...order, tags });
/** Members whose names are the item's tags, each with its place as score. */
const lined = membersOf(({ tags }) => (tags as string[]).map((member, score) => ({ list: 'l', member, score, value: member })), 'lined');

describe('planOf', () => {
  it('puts what an inserted item projects to', () => {
    expect(planOf([plain, ranked], change(undefined, order))).toEqual({
      mutations: [
        { kind: 'document', type: 'put', key: 'plain@1:7', json: '"7"', version },
        { kind: 'member', type: 'put', list: 'ranked@1:all', member: ORDER, score: 5, keep: 10, json: '5', version, from: undefined },
        { kind: 'member', type: 'put', list: 'ranked@1:placed', member: ORDER, score: 5, keep: 10, json: '5', version, from: undefined },
      ],
      poison: [],
    });
  });

  it('deletes what a deleted item projected to', () => {
    expect(planOf([plain, ranked], change(order, undefined))).toEqual({
      mutations: [
        { kind: 'document', type: 'delete', key: 'plain@1:7', version },
        { kind: 'member', type: 'delete', list: 'ranked@1:all', member: ORDER, score: 5, keep: 10, version },
        { kind: 'member', type: 'delete', list: 'ranked@1:placed', member: ORDER, score: 5, keep: 10, version },
      ],
      poison: [],
    });
  });

  it('puts an item again that changed in what the view does not show, because its version is newer', () => {
    expect(shorts(plain, change(order, at(6)))).toEqual(['put plain@1:7 "7"']);
  });

  it('tells a list the score that a member had before', () => {
    expect(shorts(ranked, change(order, { ...at(6), status: 'baked' }))).toEqual([
      `delete ranked@1:placed ${ORDER} @5 keep 10`,
      `put ranked@1:all ${ORDER} @6 from 5 keep 10 6`,
      `put ranked@1:baked ${ORDER} @6 keep 10 6`,
    ]);
  });

  it('does not write the old value when it deletes or forgets', () => {
    const unwritable = documentsOf(({ id, status }) => [{ key: `${id}-${status}`, value: status === 'placed' ? 1n : 1 }], 'unwritable');
    expect(shorts(unwritable, change(order, undefined))).toEqual(['delete unwritable@1:7-placed']);
    expect(shorts(unwritable, change(order, cursed))).toEqual(['delete unwritable@1:7-placed', 'put unwritable@1:7-cursed 1']);
  });

  it('deletes documents whose key the item no longer has', () => {
    expect(shorts(tagged, change(tags('a', 'b'), tags('b', 'c')))).toEqual([
      'delete tagged@1:a',
      'put tagged@1:b "b"',
      'put tagged@1:c "c"',
    ]);
  });

  it.each([1, 2, FEW, FEW + 1, 30])('finds the old entries of %d when the new ones come in another order', (count) => {
    const before = Array.from({ length: count }, (_, i) => `t${i}`);
    const after = [...before.slice(1).reverse(), 'new'];
    expect(mutationsOf(lined, change(tags(...before), tags(...after))).map(short)).toEqual([
      ...after.map((tag, i) => `put lined@1:l ${tag} @${i}${tag === 'new' ? '' : ` from ${before.indexOf(tag)}`} keep 10 "${tag}"`),
      'delete lined@1:l t0 @0 keep 10',
    ]);
  });

  it.each([1, FEW, FEW + 1, 30])('finds the old entries of %d when the new ones come in the same order', (count) => {
    const names = Array.from({ length: count }, (_, i) => `t${i}`);
    expect(mutationsOf(lined, change(tags(...names), tags(...names))).map(short)).toEqual(
      names.map((tag, i) => `put lined@1:l ${tag} @${i} from ${i} keep 10 "${tag}"`),
    );
  });

  it('deletes what an item showed that left the entity, and puts what an item shows that joined it', () => {
    const flagged = entity({ name: 'flagged', owns: ({ flag }) => flag === true, schema: z.object({ pk: z.string() }) });
    const view = documentView({ name: 'flagged', revision: 1, entity: flagged, project: ({ pk }) => [{ key: pk, value: {} }] });
    const on = { pk: 'a', sk: 'b', flag: true };
    const off = { ...on, flag: false };
    expect(shorts(view, change(on, off))).toEqual(['delete flagged@1:a']);
    expect(shorts(view, change(off, on))).toEqual(['put flagged@1:a {}']);
    expect(shorts(view, change(off, off))).toEqual([]);
  });

  it('begins every key with the revision of the view, so that old and new shapes never mix', () => {
    expect(shorts({ ...plain, revision: 2 }, change(undefined, order))).toEqual(['put plain@2:7 "7"']);
  });

  it('parses an image once for all views of its entity', () => {
    const parsed: unknown[] = [];
    const schema = {
      parse(item: unknown) {
        parsed.push(item);
        return item as Attributes;
      },
    };
    const counted = entity<Attributes>({ name: 'counted', owns: () => true, schema });
    const other = entity<Attributes>({ ...counted });
    const views: View[] = [counted, counted, other, counted].map((entity, i) =>
      documentView({ name: `v${i}`, revision: 1, entity, project: ({ rank }) => [{ key: 'k', value: rank }] }),
    );
    const { mutations } = planOf(views, change(order, at(6)));
    expect(mutations.map(short)).toEqual(['put v0@1:k 6', 'put v1@1:k 6', 'put v2@1:k 6', 'put v3@1:k 6']);
    expect(parsed).toEqual([order, at(6), order, at(6)]);
  });

  it('does not ask a view whose entity has neither image', () => {
    const nothing = entity({ name: 'nothing', owns: () => false, schema: z.object({}) });
    const never = listView({
      name: 'never',
      revision: 1,
      keep: 1,
      entity: nothing,
      project: () => {
        throw new Error('it was asked');
      },
    });
    expect(planOf([never], change(order, order))).toEqual({ mutations: [], poison: [] });
  });
});

describe('planOf, where a view throws', () => {
  it('forgets the addresses of the old image when the view cannot project the new one, because what they hold is outdated', () => {
    const { mutations, poison } = planOf([moody], change(order, cursed));
    expect(mutations).toEqual([{ kind: 'document', key: 'moody@1:7-placed', type: 'forget', version }]);
    expect(poison).toEqual([{ stage: 'view', view: 'moody@1', error: expect.any(ViewError) }]);
    expect(poison[0]?.error.message).toBe(`view moody cannot project the new image of ${ORDER}: it threw Error`);
    expect(poison[0]?.error.cause).toMatchObject({ message: 'I do not like this one' });
  });

  it('forgets the members of the old image with the score that they had', () => {
    const unranked = membersOf(({ rank }) => ['a', 'b'].map((list) => ({ list, score: rank as number, value: rank })), 'unranked');
    const { mutations } = planOf([unranked], change(order, at(Number.NaN)));
    const member = { kind: 'member', member: ORDER, type: 'forget', version, score: 5, keep: 10 };
    expect(mutations).toEqual([
      { ...member, list: 'unranked@1:a' },
      { ...member, list: 'unranked@1:b' },
    ]);
  });

  it('forgets nothing of an inserted item', () => {
    expect(planOf([moody], change(undefined, cursed))).toMatchObject({ mutations: [], poison: [{ view: 'moody@1' }] });
  });

  it('puts the new image although the view cannot project the old one, and says so', () => {
    const { mutations, poison } = planOf([moody], change(cursed, order));
    expect(mutations).toEqual([{ kind: 'document', type: 'put', key: 'moody@1:7-placed', json: '"placed"', version }]);
    expect(poison).toEqual([{ stage: 'view', view: 'moody@1', error: expect.any(ViewError) }]);
    expect(poison[0]?.error.message).toBe(`view moody cannot project the old image of ${ORDER}: it threw Error`);
    expect(poison[0]?.error.cause).toMatchObject({ message: 'I do not like this one' });
  });

  it('deletes nothing of a deleted item that the view cannot project, and says so', () => {
    const { mutations, poison } = planOf([moody], change(cursed, undefined));
    expect([mutations, poison.map(({ error }) => error.message)]).toEqual([
      [],
      [`view moody cannot project the old image of ${ORDER}: it threw Error`],
    ]);
  });

  it('names the new image alone when the view can project neither', () => {
    const { mutations, poison } = planOf([moody], change(cursed, cursed));
    expect([mutations, poison.map(({ error }) => error.message)]).toEqual([
      [],
      [`view moody cannot project the new image of ${ORDER}: it threw Error`],
    ]);
  });

  it('plans the other views as if that view were not there', () => {
    const others = [plain, ranked, documentsOf(() => [{ key: 'k', value: 1 }], 'even')];
    const of = change(order, cursed);
    const { mutations, poison } = planOf([plain, moody, ...others.slice(1)], of);
    expect(poison).toHaveLength(1);
    const isOfMoody = (line: string) => line.includes('moody@1:');
    const lines = mutations.map(short);
    expect(lines.filter((line) => !isOfMoody(line))).toEqual(others.flatMap((view) => mutationsOf(view, of).map(short)));
    expect(lines.filter(isOfMoody)).toEqual(['forget moody@1:7-placed']);
  });

  it('has one cause for each view of an entity whose schema refuses the item', () => {
    const strict = entity({
      name: 'strict',
      owns: () => true,
      schema: z.object({ id: z.string(), rank: z.number() }),
    });
    const views: View[] = ['one', 'two'].map((name) =>
      documentView({ name, revision: 1, entity: strict, project: ({ id }) => [{ key: id, value: id }] }),
    );
    const { mutations, poison } = planOf([...views, plain], change(order, { ...order, rank: 'plenty' }));
    expect(poison.map(({ view, error }) => [view, error.message])).toEqual(
      ['one', 'two'].map((name) => [`${name}@1`, `view ${name} cannot project the new image of ${ORDER}: rank is not a valid number`]),
    );
    expect(mutations.map(short)).toEqual(['forget one@1:7', 'forget two@1:7', 'put plain@1:7 "7"']);
  });

  it('refuses entries that no cache can hold, and forgets their address', () => {
    const twins = documentsOf(() => [1, 2].map((value) => ({ key: 'same', value })));
    const { mutations, poison } = planOf([twins], change(undefined, order));
    expect([mutations.map(short), poison.map(({ error }) => error.message)]).toEqual([
      ['forget odd@1:same'],
      [`view odd cannot project the new image of ${ORDER}: it gives one address twice`],
    ]);
  });
});

describe('planOf, where a view gives an entry that no cache can hold', () => {
  /** Has a value without a JSON form for a cursed item. */
  const big = documentsOf(
    ({ id, status }) => ['a', 'b'].map((part) => ({ key: `${id}-${part}`, value: status === 'cursed' ? 1n : 1 })),
    'big',
  );
  /** The first of the two documents of a cursed item has no valid key. */
  const nameless = documentsOf(({ status }) => [status === 'cursed' ? '' : 'a', 'b'].map((key) => ({ key, value: 1 })), 'nameless');
  const listed = membersOf(
    ({ status, rank }) => ['a', 'b'].map((list) => ({ list, score: rank as number, value: status === 'cursed' ? undefined : rank })),
    'listed',
  );
  /** Gives one document, and then throws. */
  const broken = documentsOf(
    function* () {
      yield { key: 'a', value: 1 };
      throw new Error('no more');
    } as never,
    'broken',
  );

  it.each([
    ['an inserted item', big, undefined, ['forget big@1:7-a', 'forget big@1:7-b']],
    ['an item that had the address before', big, order, ['forget big@1:7-a', 'forget big@1:7-b']],
    ['an item that the view could not project before', big, { ...cursed, rank: 9 }, ['forget big@1:7-a', 'forget big@1:7-b']],
    ['an item of which one entry has no valid key', nameless, undefined, ['forget nameless@1:b']],
    ['an item that loses the entry without a valid key', nameless, order, ['forget nameless@1:a', 'forget nameless@1:b']],
    ['members of lists', listed, undefined, [`forget listed@1:a ${ORDER} @5 keep 10`, `forget listed@1:b ${ORDER} @5 keep 10`]],
    ['members that moved', listed, at(8), [`forget listed@1:a ${ORDER} @8 keep 10`, `forget listed@1:b ${ORDER} @8 keep 10`]],
    ['entries given before a throw', broken, undefined, ['forget broken@1:a']],
  ] as const)('forgets the addresses that it can tell of %s', (_, view, before, expected) => {
    const { mutations, poison } = planOf([view], change(before, cursed));
    expect([mutations.map(short), poison.length]).toEqual([expected, 1]);
  });

  it('deletes the addresses that it can tell of an old image, and puts those of the new one', () => {
    const { mutations, poison } = planOf([nameless], change(cursed, undefined));
    expect([mutations.map(short), poison.length]).toEqual([['delete nameless@1:b'], 1]);
    const moved = documentsOf(
      ({ status }) => (status === 'cursed' ? ['', 'b', 'c'] : ['c', 'd']).map((key) => ({ key, value: 1 })),
      'moved',
    );
    const after = planOf([moved], change(cursed, order));
    expect([after.mutations.map(short), after.poison.length]).toEqual([['put moved@1:c 1', 'put moved@1:d 1', 'delete moved@1:b'], 1]);
  });

  it('forgets no member without a valid score, because its place in the list is unknown', () => {
    const unranked = membersOf(({ rank }) => [{ list: 'a', score: rank as number, value: rank }], 'unranked');
    expect(planOf([unranked], change(undefined, at(Number.NaN)))).toMatchObject({ mutations: [], poison: [{ view: 'unranked@1' }] });
  });

  it('refuses a name that is longer than all caches take', () => {
    const long = documentsOf(({ id }) => [{ key: String(id).repeat(70_000), value: 1 }], 'long');
    const { mutations, poison } = planOf([long], change(undefined, order));
    expect([mutations, poison.map(({ error }) => error.message)]).toEqual([
      [],
      [`view long cannot project the new image of ${ORDER}: a key or a name has more than 65472 bytes`],
    ]);
  });
});

describe('a reader of an item that is inserted, removed, and inserted so that the view throws', () => {
  const key = 'view@1:7';
  const stream = async (view: View, ...images: readonly (Attributes | undefined)[]) => {
    const cache = memoryCache();
    for (const [n, after] of images.entries()) {
      const of = { ...change(images[n - 1], after ?? images[n - 1]), version: versionOf('2026-11-01T09:00:00.123', String(n + 1)) };
      const { mutations } = planOf([view], after ? of : { ...of, after: undefined });
      await cache.apply(mutations);
    }
    return (await cache.get(key)).type;
  };
  const spoiled = documentsOf(({ id, status }) => [{ key: String(id), value: status === 'cursed' ? undefined : 1 }], 'view');
  const throwing = documentsOf(({ id, status }) => {
    if (status === 'cursed') throw new Error('I do not like this one');
    return [{ key: String(id), value: 1 }];
  }, 'view');
  const unlisted = { ...order, id: 'elsewhere' };

  it('misses the item if the view gave its address', async () => {
    expect(await stream(spoiled, order, undefined, cursed)).toBe('miss');
    expect(await stream(spoiled, order, unlisted, cursed)).toBe('miss');
    expect(await stream(spoiled, order, undefined, cursed, { ...cursed, rank: 6 })).toBe('miss');
    expect(await stream(spoiled, order, undefined, cursed, undefined)).toBe('gone');
    expect(await stream(spoiled, order, undefined, cursed, order)).toBe('hit');
  });

  it('finds it gone if the view threw, because no record has the address', async () => {
    expect(await stream(throwing, order, undefined, cursed)).toBe('gone');
    expect(await stream(throwing, order, unlisted, cursed)).toBe('gone');
    expect(await stream(throwing, order, cursed)).toBe('miss');
    expect(await stream(throwing, order, undefined, cursed, order)).toBe('hit');
  });
});
