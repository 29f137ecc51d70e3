import { BatchGetItemCommand, type BatchGetItemCommandInput } from '@aws-sdk/client-dynamodb';
import { marshall, unmarshall } from '@aws-sdk/util-dynamodb';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import type { CacheClient } from '../../src/cache.ts';
import { memoryCache } from '../../src/caches/memory.ts';
import { ReadBudgetError, TableUnavailableError, ViewError } from '../../src/errors.ts';
import { loaderOf } from '../../src/fill/loader.ts';
import { createReader, type Reader, type ReaderOptions } from '../../src/fill/reader.ts';
import { documentView, entity } from '../../src/view.ts';

const dish = entity({
  name: 'dish',
  owns: () => true,
  schema: z.object({ pk: z.string(), name: z.string() }),
});
const menu = documentView({
  name: 'menu',
  revision: 1,
  entity: dish,
  project: ({ pk, name }) => [{ key: pk, value: { name } }],
  from: (key) => ({ pk: key }),
});

/** A table of these items, and a cache; both count their calls. */
function kitchen(items: readonly Readonly<Record<string, unknown>>[], options: Partial<ReaderOptions> = {}) {
  const byKey = new Map(items.map((item) => [item.pk, item]));
  const calls = { cache: [] as number[], table: [] as number[] };
  const memory = memoryCache();
  const cache: CacheClient = {
    ...memory,
    getOrLease(keys) {
      calls.cache.push(keys.length);
      return memory.getOrLease(keys);
    },
  };
  let fault: Error | undefined;
  const send = async (command: unknown) => {
    if (!(command instanceof BatchGetItemCommand)) throw new Error('not a BatchGetItem');
    const { RequestItems = {} } = command.input as BatchGetItemCommandInput;
    const { Keys = [] } = RequestItems.dishes ?? {};
    calls.table.push(Keys.length);
    if (fault) throw fault;
    const found = Keys.flatMap((key) => byKey.get(unmarshall(key).pk) ?? []);
    return { Responses: { dishes: found.map((item) => marshall(item)) }, ConsumedCapacity: [{ CapacityUnits: Keys.length }] };
  };
  const table = { client: { send: send as ReaderOptions['table']['client']['send'] }, name: 'dishes', keys: ['pk'] };
  const reader = createReader({ cache, table, ...options });
  return {
    reader,
    cache,
    calls,
    failWith: (error: Error | undefined) => {
      fault = error;
    },
  };
}

const NAMES = [
  { pk: '1', name: 'Margherita' },
  { pk: '2', name: 'Marinara' },
];

describe('loaderOf', () => {
  it('makes one getMany of the loads of one tick: one call of the cache, one of the table', async () => {
    const { reader, calls } = kitchen(NAMES);
    const loader = loaderOf(reader, menu);
    const loads = await Promise.all([loader.load('2'), loader.load('1'), loader.load('3'), loader.load('2')]);
    expect(loads).toEqual([{ name: 'Marinara' }, { name: 'Margherita' }, undefined, { name: 'Marinara' }]);
    expect(calls).toEqual({ cache: [3], table: [3] });
  });

  it('has the type of the values of the view', async () => {
    const loader = loaderOf(kitchen(NAMES).reader, menu);
    const name: string | undefined = (await loader.load('1'))?.name;
    expect(name).toBe('Margherita');
  });

  it('fills the cache, so the loader of the next request asks no table', async () => {
    const { reader, calls } = kitchen(NAMES);
    await loaderOf(reader, menu).loadMany(['1', '3']);
    expect(await loaderOf(reader, menu).loadMany(['1', '3'])).toEqual([{ name: 'Margherita' }, undefined]);
    expect(calls.table).toEqual([2]);
  });

  it('remembers a value until clear', async () => {
    const { reader, calls } = kitchen(NAMES);
    const loader = loaderOf(reader, menu);
    await loader.load('1');
    await loader.load('1');
    expect(calls.cache).toEqual([1]);
    await loader.clear('1').load('1');
    expect(calls.cache).toEqual([1, 1]);
  });

  describe('when one load fails', () => {
    it('rejects that load alone, when the view throws on its item', async () => {
      const { reader, calls, cache } = kitchen([...NAMES, { pk: '3' }]);
      const loads = await Promise.allSettled(
        ['1', '3', '2'].map(
          (
            (loader) => (key: string) =>
              loader.load(key)
          )(loaderOf(reader, menu)),
        ),
      );
      expect(loads).toEqual([
        { status: 'fulfilled', value: { name: 'Margherita' } },
        { status: 'rejected', reason: expect.any(ViewError) },
        { status: 'fulfilled', value: { name: 'Marinara' } },
      ]);
      expect(calls).toEqual({ cache: [3], table: [3] });
      expect(await cache.getMany(['menu@1:1', 'menu@1:2', 'menu@1:3'])).toMatchObject([{ type: 'hit' }, { type: 'hit' }, { type: 'miss' }]);
    });

    it.each([
      ['has half a character', '\ud800'],
      ['is too long', 'x'.repeat(65_536)],
    ])('rejects that load alone, when its key %s', async (_, key) => {
      const { reader, calls } = kitchen(NAMES);
      const loader = loaderOf(reader, menu);
      const loads = await Promise.allSettled([loader.load(key), loader.load('1')]);
      expect(loads).toEqual([
        { status: 'rejected', reason: expect.any(TypeError) },
        { status: 'fulfilled', value: { name: 'Margherita' } },
      ]);
      expect(calls).toEqual({ cache: [1], table: [1] });
    });

    it('answers the hits, when the table gives no answer to the misses', async () => {
      const { reader, failWith } = kitchen(NAMES);
      await reader.get(menu, '1');
      failWith(new Error('socket hang up'));
      expect(await loaderOf(reader, menu).loadMany(['1', '2'])).toEqual([{ name: 'Margherita' }, expect.any(TableUnavailableError)]);
    });

    it('answers the hits, when the read units are used up', async () => {
      const { reader } = kitchen(NAMES, { readUnitsPerSecond: 0.001 });
      await reader.get(menu, '1');
      expect(await loaderOf(reader, menu).loadMany(['1', '2'])).toEqual([{ name: 'Margherita' }, expect.any(ReadBudgetError)]);
    });
  });

  it('rejects all loads of a tick with the reason of the signal', async () => {
    const { reader } = kitchen(NAMES);
    const reason = new Error('the client has gone');
    const loader = loaderOf(reader, menu, { signal: AbortSignal.abort(reason) });
    expect(await loader.loadMany(['1', '2'])).toEqual([reason, reason]);
  });

  it('passes a ticket on: the load of what was written asks the table', async () => {
    const { reader, calls } = kitchen(NAMES);
    await reader.getMany(menu, ['1', '2']);
    const loader = loaderOf(reader, menu, { ticket: reader.wrote(menu, '1') });
    await loader.loadMany(['1', '2']);
    expect(calls.table).toEqual([2, 1]);
  });

  it('refuses a reader that createReader did not make', () => {
    expect(() => loaderOf({ ...kitchen([]).reader } as Reader, menu)).toThrow('the reader was not made by createReader');
  });
});
