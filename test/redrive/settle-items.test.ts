import { describe, expect, it } from 'vitest';
import type { Attributes } from '../../src/change.ts';
import type { Hint, Marshalled } from '../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { APPLIED, type Mutation, type Outcome, STALE } from '../../src/mutation.ts';
import type { PastImage } from '../../src/plan/settlement.ts';
import { CircuitBreaker } from '../../src/redrive/circuit-breaker.ts';
import { type ItemHints, type ItemOutcome, type SettleInput, settleItems } from '../../src/redrive/settle-items.ts';
import type { TableAnswer } from '../../src/table.ts';
import { versionOf } from '../../src/version.ts';
import { documentsOf, membersOf, short } from '../plan/fixtures.ts';

const ARN = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop';
const CURSED = 'cursed';

/** A document where the item is. Throws for a cursed item. */
const place = documentsOf(({ at, value }) => {
  if (value === CURSED) throw new Error('not this one');
  return [{ key: String(at), value }];
}, 'place');
const listed = membersOf(({ value }) => [{ list: 'all', score: 1, value }], 'listed');

const thing = (value: string, at = 'home'): Attributes => ({ value, at });

function hintOf(name: string, more: Partial<Hint> = {}): Hint {
  const version = versionOf('2026-11-01T09:00:00.123', '7');
  return { table: 'shop', tableArn: ARN, key: { pk: { S: name } }, item: `["${name}"]`, version, before: {}, after: {}, ...more };
}

/** An item that letters say was `known` after a change. */
function itemOf(name: string, known: readonly Attributes[] = [thing('old')], more: Partial<ItemHints> = {}): ItemHints {
  const images = known.map((attributes): PastImage => ({ as: 'after', attributes }));
  return { newest: hintOf(name), images, hasUnknownPast: false, ...more };
}

type Answer = Attributes | Error | undefined;

/** A table that has one answer after the other for each item. The last answer stays. */
function tableOf(answers: Readonly<Record<string, readonly Answer[]>>) {
  const reads: string[][] = [];
  const counts = new Map<string, number>();
  const answerOf = (key: Marshalled): TableAnswer => {
    const { S: name } = key.pk as { readonly S: string };
    const count = counts.get(name) ?? 0;
    counts.set(name, count + 1);
    const all = answers[name] ?? [];
    const answer = all[Math.min(count, all.length - 1)];
    return answer instanceof Error ? { error: answer } : { item: answer && structuredClone(answer) };
  };
  return {
    reads,
    async read(arn: string, keys: readonly Marshalled[]): Promise<readonly TableAnswer[]> {
      reads.push([arn.slice(arn.lastIndexOf('/') + 1), ...keys.map(({ pk }) => (pk as { readonly S: string }).S)]);
      return keys.map(answerOf);
    },
  };
}

/** A cache that gives the same outcome to every mutation. */
function cacheOf(outcome: Outcome | ((mutation: Mutation) => Outcome) = APPLIED) {
  const calls: string[][] = [];
  return {
    calls,
    async apply(mutations: readonly Mutation[]): Promise<readonly Outcome[]> {
      calls.push(mutations.map(short));
      return mutations.map((mutation) => (typeof outcome === 'function' ? outcome(mutation) : outcome));
    },
  };
}

const settle = (items: readonly ItemHints[], input: Partial<SettleInput>) =>
  settleItems(items, { views: [place], breaker: new CircuitBreaker(), ...input });
const types = (outcomes: readonly ItemOutcome[]) => outcomes.map(({ type }) => type);
/** The causes of kept items, as `stage: message`. */
const causes = (outcomes: readonly ItemOutcome[]) =>
  outcomes.flatMap((outcome) => (outcome.type === 'kept' ? outcome.causes.map(({ stage, error }) => `${stage}: ${error.message}`) : []));

describe('settleItems, with a table', () => {
  it('writes an item as the table has it, at the version of the newest hint, and reads it once more', async () => {
    const [table, cache] = [tableOf({ a: [thing('now')] }), cacheOf()];
    const mutations: Mutation[] = [];
    const apply = async (all: readonly Mutation[]) => {
      mutations.push(...all);
      return cache.apply(all);
    };
    expect(await settle([itemOf('a')], { table, cache: { apply } })).toEqual([{ type: 'settled' }]);
    expect(mutations).toEqual([
      { kind: 'document', type: 'put', key: 'place@1:home', json: '"now"', version: versionOf('2026-11-01T09:00:00.123', '7') },
    ]);
    expect(table.reads).toEqual([
      ['shop', 'a'],
      ['shop', 'a'],
    ]);
  });

  it('deletes the entries of an item that the table no longer has, and reads it once more', async () => {
    const [table, cache] = [tableOf({ a: [undefined] }), cacheOf()];
    expect(await settle([itemOf('a')], { table, cache })).toEqual([{ type: 'settled' }]);
    expect([cache.calls, table.reads.length]).toEqual([[['delete place@1:home']], 2]);
  });

  it('writes an item again that has changed since the write, until two reads agree', async () => {
    const [table, cache] = [tableOf({ a: [thing('v1'), thing('v2'), undefined] }), cacheOf()];
    expect(await settle([itemOf('a')], { table, cache })).toEqual([{ type: 'settled' }]);
    expect(cache.calls.flat()).toEqual(['put place@1:home "v1"', 'put place@1:home "v2"', 'delete place@1:home']);
    expect(table.reads).toHaveLength(4);
  });

  it('keeps an item that changes between every two of four reads', async () => {
    const table = tableOf({ a: ['v1', 'v2', 'v3', 'v4', 'v5'].map((value) => thing(value)) });
    const cache = cacheOf();
    const outcomes = await settle([itemOf('a')], { table, cache });
    expect(outcomes).toEqual([{ type: 'kept', causes: [{ stage: 'changing', error: expect.any(Error) }] }]);
    expect(causes(outcomes)).toEqual(['changing: ["a"] changes as fast as it is read']);
    expect([cache.calls.length, table.reads.length]).toEqual([3, 4]);
  });

  it('does not read a stale item a second time', async () => {
    const [table, cache] = [tableOf({ a: [thing('now')] }), cacheOf(STALE)];
    expect(await settle([itemOf('a')], { table, cache, views: [place, listed] })).toEqual([{ type: 'settled' }]);
    expect([cache.calls.length, table.reads.length]).toEqual([1, 1]);
  });

  it('reads an item a second time when one of its mutations is not stale', async () => {
    for (const fresh of ['document', 'member']) {
      const table = tableOf({ a: [thing('now')] });
      const cache = cacheOf(({ kind }) => (kind === fresh ? APPLIED : STALE));
      expect(await settle([itemOf('a')], { table, cache, views: [place, listed] })).toEqual([{ type: 'settled' }]);
      expect([cache.calls.length, table.reads.length]).toEqual([1, 2]);
    }
  });

  it('does not call the cache for an item that has no address, nor read that item a second time', async () => {
    const [table, cache] = [tableOf({ a: [thing('now')] }), cacheOf()];
    expect(await settle([itemOf('a', [])], { table, cache })).toEqual([{ type: 'settled' }]);
    expect([cache.calls.length, table.reads.length]).toEqual([0, 1]);
  });

  it('reads only those items a second time that were written', async () => {
    const table = tableOf({ a: [thing('now')], b: [thing('now', 'work')], c: [thing('now')] });
    const cache = cacheOf((mutation) => (mutation.kind === 'document' && mutation.key === 'place@1:work' ? APPLIED : STALE));
    expect(types(await settle([itemOf('a'), itemOf('b', [thing('old', 'work')]), itemOf('c')], { table, cache }))).toEqual(
      Array(3).fill('settled'),
    );
    expect(table.reads).toEqual([
      ['shop', 'a', 'b', 'c'],
      ['shop', 'b'],
    ]);
  });

  it('deletes what an earlier write put when the past is unknown, and the item has moved since', async () => {
    const [table, cache] = [tableOf({ a: [thing('v', 'work'), undefined, thing('v', 'beach')] }), cacheOf()];
    expect(await settle([itemOf('a', [], { hasUnknownPast: true })], { table, cache })).toEqual([{ type: 'settled' }]);
    expect(cache.calls).toEqual([['put place@1:work "v"'], ['delete place@1:work'], ['put place@1:beach "v"', 'delete place@1:work']]);
  });

  it('leaves an address that no letter mentions alone when the past is complete', async () => {
    const [table, cache] = [tableOf({ a: [thing('v', 'work'), thing('v', 'beach')] }), cacheOf()];
    expect(await settle([itemOf('a')], { table, cache })).toEqual([{ type: 'settled' }]);
    expect(cache.calls).toEqual([['delete place@1:home'], ['delete place@1:home']]);
  });

  it('keeps an item that a view cannot project, after the other views were written and read again', async () => {
    const [table, cache] = [tableOf({ a: [thing(CURSED)] }), cacheOf()];
    const outcomes = await settle([itemOf('a')], { table, cache, views: [place, listed] });
    expect(causes(outcomes)).toEqual(['view: view place cannot project ["a"] as it is now: it threw Error']);
    expect(cache.calls).toEqual([['forget place@1:home', `put listed@1:all ["a"] @1 from 1 keep 10 "${CURSED}"`]]);
    expect(table.reads).toHaveLength(2);
  });

  it('settles an item that a view can project by the second read', async () => {
    const [table, cache] = [tableOf({ a: [thing(CURSED), thing('mended')] }), cacheOf()];
    expect(await settle([itemOf('a')], { table, cache })).toEqual([{ type: 'settled' }]);
    expect(cache.calls).toEqual([['forget place@1:home'], ['put place@1:home "mended"']]);
  });

  it('keeps the letter of a past image that a view cannot project', async () => {
    const images: PastImage[] = [{ as: 'before', attributes: thing(CURSED), letter: 'l1' }];
    const outcomes = await settle([itemOf('a', [], { images })], { table: tableOf({ a: [thing('now')] }), cache: cacheOf() });
    expect(outcomes).toMatchObject([{ type: 'kept', causes: [{ stage: 'view', view: 'place@1', letter: 'l1' }] }]);
  });

  it('keeps an item whose value the cache rejects, after a second read', async () => {
    const [table, cache] = [tableOf({ a: [thing('now')] }), cacheOf({ type: 'rejected', reason: 'too large' })];
    const outcomes = await settle([itemOf('a')], { table, cache, views: [place, listed] });
    expect(outcomes).toEqual([
      {
        type: 'kept',
        causes: [
          { stage: 'rejected', view: 'place@1', error: expect.any(Error) },
          { stage: 'rejected', view: 'listed@1', error: expect.any(Error) },
        ],
      },
    ]);
    expect(causes(outcomes)).toEqual(['rejected: place@1: too large', 'rejected: listed@1: too large']);
    expect([cache.calls.length, table.reads.length]).toEqual([1, 2]);
  });

  it('keeps an item of which a view is not usable, says so, and reads it no second time if nothing was written', async () => {
    const [table, cache] = [tableOf({ a: [thing('now')] }), cacheOf({ type: 'skipped', reason: 'the life begins later' })];
    const breaker = new CircuitBreaker(1);
    const outcomes = await settle([itemOf('a')], { table, cache, breaker });
    expect(outcomes).toMatchObject([{ type: 'kept', causes: [{ stage: 'cache', view: 'place@1' }] }]);
    expect(causes(outcomes)).toEqual(['cache: place@1: the life begins later']);
    expect(table.reads).toHaveLength(1);
    // It is an answer, so other letters are tried.
    expect(breaker.isOpen).toBe(false);
    const partly = cacheOf(({ kind }) => (kind === 'document' ? APPLIED : { type: 'skipped', reason: 'the life begins later' }));
    const both = await settle([itemOf('a')], { views: [place, listed], table, cache: partly });
    expect(causes(both)).toEqual(['cache: listed@1: the life begins later']);
    expect(table.reads).toHaveLength(3);
  });

  it('names the view alone of a rejected value whose key has colons', async () => {
    const cache = cacheOf({ type: 'rejected', reason: 'too large' });
    const table = tableOf({ a: [thing('now', 'user:1:secret')] });
    expect(causes(await settle([itemOf('a', [thing('old', 'user:1:secret')])], { table, cache }))).toEqual([
      'rejected: place@1: too large',
    ]);
  });

  it('keeps an item for which the cache has another number of outcomes than mutations', async () => {
    const breaker = new CircuitBreaker(1);
    const cache = { apply: async () => [APPLIED] };
    const outcomes = await settle([itemOf('a')], { table: tableOf({ a: [thing('now')] }), cache, views: [place, listed], breaker });
    expect(outcomes).toEqual([{ type: 'kept', causes: [{ stage: 'cache', error: expect.any(TypeError) }] }]);
    expect(causes(outcomes)).toEqual(['cache: the cache gave 1 outcomes for 2 mutations']);
  });

  it.each<[string, unknown, string]>([
    ['an error', new CacheUnavailableError('no answer'), 'no answer'],
    ['a text', 'no answer', 'no answer'],
  ])('keeps an item for which the cache throws %s, and goes on with the others', async (_, thrown, message) => {
    const apply = (mutations: readonly Mutation[]) =>
      mutations.some((mutation) => mutation.kind === 'document' && mutation.key === 'place@1:work')
        ? Promise.reject(thrown)
        : Promise.resolve(mutations.map(() => APPLIED));
    const table = tableOf({ a: [thing('now', 'work')], b: [thing('now')] });
    const outcomes = await settle([itemOf('a', [thing('old', 'work')]), itemOf('b')], { table, cache: { apply } });
    expect([types(outcomes), causes(outcomes)]).toEqual([['kept', 'settled'], [`cache: ${message}`]]);
  });

  it('keeps an item of which the table has an error, and goes on with the others', async () => {
    const breaker = new CircuitBreaker(1);
    const [table, cache] = [tableOf({ a: [new Error('no such table')], b: [thing('now')] }), cacheOf()];
    const outcomes = await settle([itemOf('a'), itemOf('b')], { table, cache, breaker });
    expect([types(outcomes), causes(outcomes)]).toEqual([['kept', 'settled'], ['table: no such table']]);
    // An error that stays is an answer.
    expect(breaker.isOpen).toBe(false);
  });

  it('keeps an item of which the table has an error at the second read', async () => {
    const [table, cache] = [tableOf({ a: [thing('now'), new Error('deleted since')] }), cacheOf()];
    expect(causes(await settle([itemOf('a')], { table, cache }))).toEqual(['table: deleted since']);
  });

  it.each<[string, unknown]>([
    ['an error', new Error('no answer')],
    ['a text', 'no answer'],
  ])('keeps the items of a table that throws %s, and goes on with those of other tables', async (_, thrown) => {
    const table = tableOf({ b: [thing('now')] });
    const breaker = new CircuitBreaker(2);
    const read: typeof table.read = async (arn, keys) => {
      if (arn !== ARN) throw thrown;
      return table.read(arn, keys);
    };
    const other = itemOf('a', [], { newest: hintOf('a', { tableArn: `${ARN}-2` }) });
    const outcomes = await settle([other, itemOf('b')], { table: { read }, cache: cacheOf(), breaker });
    expect([types(outcomes), causes(outcomes)]).toEqual([['kept', 'settled'], ['table: no answer']]);
  });

  it('reads each table by its ARN, and passes the signal on', async () => {
    const asked: unknown[] = [];
    const signal = new AbortController().signal;
    const items = ['a', 'b', 'c'].map((name, i) => itemOf(name, [], { newest: hintOf(name, { tableArn: i === 1 ? `${ARN}-2` : ARN }) }));
    const read = async (...[arn, keys, given]: [string, readonly Marshalled[], AbortSignal?]) => {
      asked.push([arn, keys, given === signal]);
      return keys.map(() => ({}));
    };
    expect(types(await settle(items, { table: { read }, cache: cacheOf(), signal }))).toEqual(Array(3).fill('settled'));
    expect(asked).toEqual([
      [ARN, [{ pk: { S: 'a' } }, { pk: { S: 'c' } }], true],
      [`${ARN}-2`, [{ pk: { S: 'b' } }], true],
    ]);
  });

  it('reads 100 items at a time, and writes 16 of them at a time', async () => {
    const names = Array.from({ length: 101 }, (_, i) => `i${i}`);
    const table = tableOf(Object.fromEntries(names.map((name) => [name, [thing('now', name)]])));
    let [atOnce, most] = [0, 0];
    const apply = async (mutations: readonly Mutation[]) => {
      atOnce += 1;
      most = Math.max(most, atOnce);
      await new Promise(setImmediate);
      atOnce -= 1;
      return mutations.map(() => APPLIED);
    };
    const items = names.map((name) => itemOf(name, [thing('old', name)]));
    expect(new Set(types(await settle(items, { table, cache: { apply } })))).toEqual(new Set(['settled']));
    expect(table.reads.map(([, ...keys]) => keys.length)).toEqual([100, 100, 1, 1]);
    expect(most).toBe(16);
  });

  it('gives one outcome an item, in the order of the items', async () => {
    const table = tableOf({ a: [thing('now')], b: [new Error('odd')], c: [thing(CURSED)] });
    const outcomes = await settle([itemOf('a'), itemOf('b'), itemOf('c')], { table, cache: cacheOf(STALE) });
    expect(types(outcomes)).toEqual(['settled', 'kept', 'kept']);
    expect(causes(outcomes)).toEqual(['table: odd', 'view: view place cannot project ["c"] as it is now: it threw Error']);
    expect(await settle([], { table, cache: cacheOf() })).toEqual([]);
  });
});

describe('settleItems, when it is ended', () => {
  it('leaves every item untried when the signal is aborted before', async () => {
    const [table, cache] = [tableOf({ a: [thing('now')] }), cacheOf()];
    const outcomes = await settle([itemOf('a'), itemOf('b')], { table, cache, signal: AbortSignal.abort() });
    expect(outcomes).toEqual([{ type: 'untried' }, { type: 'untried' }]);
    expect([table.reads, cache.calls]).toEqual([[], []]);
  });

  it('leaves the items untried whose read the signal ended, which is not an outage', async () => {
    const ended = new AbortController();
    const breaker = new CircuitBreaker(1);
    const read = async () => {
      ended.abort();
      throw new Error('out of time');
    };
    const outcomes = await settle([itemOf('a')], { table: { read }, cache: cacheOf(), signal: ended.signal, breaker });
    expect(outcomes).toEqual([{ type: 'untried' }]);
    expect(breaker.isOpen).toBe(false);
  });

  it('writes nothing after the signal, though the items were read', async () => {
    const ended = new AbortController();
    const cache = cacheOf();
    const read = async () => {
      ended.abort();
      return [{ item: thing('now') }];
    };
    expect(await settle([itemOf('a')], { table: { read }, cache, signal: ended.signal })).toEqual([{ type: 'untried' }]);
    expect(cache.calls).toEqual([]);
  });

  it('leaves an item untried that was written, but not read again before the signal', async () => {
    const ended = new AbortController();
    const table = tableOf({ a: [thing('now')], b: [thing('now')] });
    const cache = cacheOf((_) => {
      ended.abort();
      return APPLIED;
    });
    expect(await settle([itemOf('a')], { table, cache, signal: ended.signal })).toEqual([{ type: 'untried' }]);
    expect([cache.calls.length, table.reads.length]).toEqual([1, 1]);
  });

  it('ends what was begun: a stale item is settled although the signal came meanwhile', async () => {
    const ended = new AbortController();
    const cache = cacheOf((_) => {
      ended.abort();
      return STALE;
    });
    const table = tableOf({ a: [thing('now')] });
    expect(await settle([itemOf('a')], { table, cache, signal: ended.signal })).toEqual([{ type: 'settled' }]);
  });

  it('leaves every item untried when the circuit breaker is open before', async () => {
    const breaker = new CircuitBreaker(1);
    breaker.record(false);
    const table = tableOf({ a: [thing('now')] });
    expect(await settle([itemOf('a')], { table, cache: cacheOf(), breaker })).toEqual([{ type: 'untried' }]);
    expect(table.reads).toEqual([]);
  });

  it('stops when the cache gave no answer to as many calls in a row as the circuit breaker takes', async () => {
    const names = Array.from({ length: 40 }, (_, i) => `i${i}`);
    const table = tableOf(Object.fromEntries(names.map((name) => [name, [thing('now')]])));
    let calls = 0;
    const apply = async () => {
      calls += 1;
      throw new CacheUnavailableError('away');
    };
    const outcomes = await settle(
      names.map((name) => itemOf(name)),
      { table, cache: { apply }, breaker: new CircuitBreaker(16) },
    );
    expect(calls).toBe(16);
    expect(types(outcomes)).toEqual([...Array(16).fill('kept'), ...Array(24).fill('untried')]);
  });

  it('goes on when the cache answers between calls without an answer', async () => {
    const names = Array.from({ length: 64 }, (_, i) => `i${i}`);
    const table = tableOf(Object.fromEntries(names.map((name) => [name, [thing('now', name)]])));
    let calls = 0;
    const apply = async (mutations: readonly Mutation[]) => {
      calls += 1;
      if (calls % 2 === 0) throw new CacheUnavailableError('away');
      return mutations.map(() => STALE);
    };
    const breaker = new CircuitBreaker(2);
    const outcomes = await settle(
      names.map((name) => itemOf(name, [thing('old', name)])),
      { table, cache: { apply }, breaker },
    );
    expect(types(outcomes).filter((type) => type === 'untried')).toEqual([]);
    expect(breaker.isOpen).toBe(false);
  });

  it('does not take an item without mutations for an answer of the cache', async () => {
    const breaker = new CircuitBreaker(17);
    const names = Array.from({ length: 17 }, (_, i) => `i${i}`);
    const table = tableOf(Object.fromEntries(names.map((name) => [name, [thing('now')]])));
    const apply = async () => {
      throw new CacheUnavailableError('away');
    };
    const items = names.map((name, i) => itemOf(name, i < 16 ? [thing('old')] : []));
    expect(types(await settle(items, { table, cache: { apply }, breaker }))).toEqual([...Array(16).fill('kept'), 'settled']);
    breaker.record(false);
    expect(breaker.isOpen).toBe(true);
  });

  it('opens the circuit breaker by a table that throws', async () => {
    const breaker = new CircuitBreaker(1);
    const read = () => Promise.reject(new Error('away'));
    const outcomes = await settle(
      Array.from({ length: 101 }, (_, i) => itemOf(`i${i}`)),
      { table: { read }, cache: cacheOf(), breaker },
    );
    expect(types(outcomes)).toEqual([...Array(100).fill('kept'), 'untried']);
  });
});

describe('settleItems, without a table', () => {
  it('takes the new image of the newest hint for the item as it is now, and reads nothing', async () => {
    const cache = cacheOf();
    const item = itemOf('a', [thing('old')], { newest: hintOf('a', { after: { attributes: thing('hinted') } }) });
    expect(await settle([item], { cache })).toEqual([{ type: 'settled' }]);
    expect(cache.calls).toEqual([['put place@1:home "hinted"']]);
  });

  it('deletes the entries of an item that the newest hint removed', async () => {
    const cache = cacheOf();
    expect(await settle([itemOf('a')], { cache })).toEqual([{ type: 'settled' }]);
    expect(cache.calls).toEqual([['delete place@1:home']]);
  });

  it('keeps an item whose new image cannot be read', async () => {
    const cache = cacheOf();
    const item = itemOf('a', [thing('old')], { newest: hintOf('a', { after: { error: new Error('an odd type') } }) });
    expect(causes(await settle([item, itemOf('b')], { cache }))).toEqual(['decode: an odd type']);
    expect(cache.calls).toEqual([['delete place@1:home']]);
  });
});

describe('settleItems, without a cache', () => {
  it('says what would become of each item, and reads each item once', async () => {
    const table = tableOf({ a: [thing('now')], b: [thing(CURSED)], c: [new Error('no such table')] });
    const outcomes = await settle([itemOf('a'), itemOf('b'), itemOf('c')], { table });
    expect(types(outcomes)).toEqual(['settled', 'kept', 'kept']);
    expect(causes(outcomes)).toEqual(['view: view place cannot project ["b"] as it is now: it threw Error', 'table: no such table']);
    expect(table.reads).toHaveLength(1);
  });
});
