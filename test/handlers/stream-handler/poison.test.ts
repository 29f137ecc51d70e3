import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CacheClient } from '../../../src/cache.ts';
import { memoryCache } from '../../../src/caches/memory.ts';
import type { StreamRecord } from '../../../src/dynamodb/record.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { letterName } from '../../../src/letters/letter.ts';
import { bare, downFor, failing, failureOf, handlerOf, insert, letterBox, unprojectable, useFixedTime } from './scene.ts';

useFixedTime();

describe('the poison run of streamHandler', () => {
  /** Poison of one of two kinds. */
  const poisonOf = (n: number) => (n % 2 ? bare(`p${n}`, String(n)) : unprojectable(`p${n}`, String(n)));
  const many = (from: number, count: number) => Array.from({ length: count }, (_, i) => bare(`p${from + i}`, String(from + i)));

  it('sets ten single records aside and fails the further ones, until one record is sound', async () => {
    const { store, texts } = letterBox();
    const { handle, lines } = handlerOf({ letters: store });
    for (const record of many(1, 10)) expect(await handle(record)).toEqual({ batchItemFailures: [] });
    for (let i = 0; i < 3; i += 1) expect(await failureOf(handle(...many(11, 1)))).toBe('11');
    expect(texts.size).toBe(10);
    expect(lines.filter(({ message }) => message === 'poison is not set aside')).toMatchObject(
      Array(3).fill({
        level: 'error',
        answer: expect.stringMatching(/roll it back or mend it.*raise POISON_RUN_LIMIT/),
        poison: 1,
        poisonRunLimit: 10,
        causes: [{ stage: 'decode', error: { message: expect.stringContaining('without NewImage') } }],
        sequenceNumber: '11',
      }),
    );
    expect(lines.at(-1)).toMatchObject({ message: 'batch failed in part', failed: 1, setAside: 0 });
    await handle(insert('good', '900'));
    expect(await failureOf(handle(...many(11, 1)))).toBeUndefined();
    expect(texts.size).toBe(11);
  });

  it.each([1, 3, 4, 10, 11, 1_000])('sets ten records aside in batches of %d, and fails the next one', async (size) => {
    const { store, texts, calls } = letterBox();
    const { handle, lines } = handlerOf({ letters: store });
    const records = many(1, 2_000);
    let failed: string | undefined;
    for (let at = 0; failed === undefined && at < records.length; at += size)
      failed = await failureOf(handle(...records.slice(at, at + size)));
    expect([texts.size, failed]).toEqual([10, '11']);
    const rest = size - (10 % size);
    const withheld = lines.filter(({ message }) => message === 'poison is not set aside');
    expect(withheld).toMatchObject([{ poison: rest, sequenceNumber: '11' }]);
    expect(lines.at(-1)).toMatchObject({
      message: 'batch failed in part',
      failed: rest,
      error: { message: expect.stringContaining('nothing but poison') },
    });
    // The mapping may halve a failed batch down to single records. Nothing more is set aside.
    for (let part = size; part >= 1; part = Math.floor(part / 2))
      expect(await failureOf(handle(...records.slice(10, 10 + part)))).toBe('11');
    expect([texts.size, calls()]).toEqual([10, 10]);
  });

  it('sets further records aside in each new environment, up to the limit', async () => {
    const { store, texts, calls } = letterBox();
    const records = many(1, 25);
    for (const failed of ['11', '21', undefined]) {
      const { handle } = handlerOf({ letters: store });
      expect(await failureOf(handle(...records.slice(texts.size)))).toBe(failed);
    }
    expect([texts.size, calls()]).toEqual([25, 25]);
  });

  it.each(['letters', 'cache'])(
    'does not withhold the poison of a batch with a sound record when the poison is retried alone after a fault of the %s',
    async (what) => {
      const bad = Array.from({ length: 11 }, (_, i) => unprojectable(`p${i}`, String(i + 2)));
      const world = () => {
        const { store, texts } = letterBox(what === 'letters' ? 11 : 0);
        const sound = memoryCache();
        let calls = 0;
        const apply: CacheClient['apply'] = async (mutations) => {
          calls += 1;
          if (what === 'cache' && calls > 1 && calls <= 12) throw new CacheUnavailableError('one blip');
          return sound.apply(mutations);
        };
        return { letters: store, texts, cache: { ...sound, apply } };
      };
      const { texts, ...same } = world();
      const { handle } = handlerOf(same);
      expect(await failureOf(handle(insert('good', '1'), ...bad))).toBe('2');
      // The function serves other shards too: one is sound, and one starts a run of its own.
      expect(await failureOf(handle(insert('other', '500')))).toBeUndefined();
      expect(await failureOf(handle(...many(600, 11)))).toBe('610');
      expect(texts.size).toBe(10);
      expect(await failureOf(handle(...bad))).toBeUndefined();
      expect(texts.size).toBe(21);
      // A new environment does not remember them, so it admits up to the limit.
      const { texts: others, ...another } = world();
      expect(await failureOf(handlerOf(another).handle(insert('good', '1'), ...bad))).toBe('2');
      expect(await failureOf(handlerOf(another).handle(...bad))).toBe('12');
      expect(await failureOf(handlerOf(another).handle(...bad.slice(10)))).toBeUndefined();
      expect(others.size).toBe(11);
    },
  );

  it('writes at most as many letters as the limit, whatever is retried and whatever fails how often', async () => {
    const place = fc.integer({ min: 0, max: 29 });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 5 }),
        fc.array(fc.uniqueArray(place, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 12 }),
        fc.array(fc.boolean(), { maxLength: 60 }),
        async (poisonRunLimit, batches, outages) => {
          const { store, texts } = letterBox();
          const { handle } = handlerOf({ poisonRunLimit, ...failing(outages, memoryCache(), store) });
          for (const unsorted of batches) {
            const batch = unsorted.toSorted((a, b) => a - b);
            const failure = await failureOf(handle(...batch.map(poisonOf)));
            expect(texts.size).toBeLessThanOrEqual(poisonRunLimit);
            // The records before the failed one are safe.
            for (const n of batch) if (failure === undefined || n < Number(failure)) expect(texts.has(letterName(poisonOf(n)))).toBe(true);
          }
        },
      ),
    );
  });

  it('sets all poison aside that has a sound record in its batch, whatever fails how often', async () => {
    const batch = fc.record({ size: fc.integer({ min: 1, max: 8 }), sound: fc.nat() });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 3 }),
        fc.array(batch, { minLength: 1, maxLength: 6 }),
        fc.array(fc.boolean(), { maxLength: 60 }),
        async (poisonRunLimit, batches, outages) => {
          const { store, texts } = letterBox();
          const { handle } = handlerOf({ poisonRunLimit, ...failing(outages, memoryCache(), store) });
          let [n, dead] = [1, 0];
          for (const { size, sound } of batches) {
            let left = Array.from({ length: size }, (_, i) => {
              n += 1;
              if (i === sound % size) return insert(`good${n}`, String(n));
              dead += 1;
              return poisonOf(n);
            });
            for (let attempts = 0; left.length > 0; attempts += 1) {
              if (attempts > 100) throw new Error(`record ${left[0]?.dynamodb?.SequenceNumber} is never done`);
              const failure = await failureOf(handle(...left));
              left = failure === undefined ? [] : left.slice(left.findIndex(({ dynamodb }) => dynamodb?.SequenceNumber === failure));
            }
          }
          expect(texts.size).toBe(dead);
        },
      ),
    );
  });

  it('sets all poison of a batch aside that has one sound record, wherever that record stands', async () => {
    for (const at of [0, 50, 100]) {
      const { store, texts } = letterBox();
      const { handle } = handlerOf({ letters: store });
      const batch: StreamRecord[] = many(1, 100);
      batch.splice(at, 0, insert('good', '900'));
      expect(await handle(...batch)).toEqual({ batchItemFailures: [] });
      expect(texts.size).toBe(100);
    }
  });

  it('counts poison of views too, and does not end a run at a record that no view projects', async () => {
    const { store, texts } = letterBox();
    const { handle } = handlerOf({ letters: store, poisonRunLimit: 2 });
    const stranger = insert('x', '500');
    const unknown = { ...stranger, dynamodb: { ...stranger.dynamodb, NewImage: { pk: { S: 'note#x' }, sk: { S: 'note' } } } };
    const bad = (n: number) => insert(`b${n}`, String(n), { numItems: { S: 'plenty' } });
    expect(await failureOf(handle(bad(1), unknown, bad(2)))).toBeUndefined();
    expect(await failureOf(handle(unknown))).toBeUndefined();
    expect(await failureOf(handle(unknown, bad(3)))).toBe('3');
    expect(texts.size).toBe(2);
  });

  it('does not count rejected values, nor records for which the cache gives no answer', async () => {
    const large = (n: number) => insert(`l${n}`, String(n), { status: { S: 'x'.repeat(100) } });
    const { store, texts } = letterBox();
    const { handle } = handlerOf({ letters: store, poisonRunLimit: 1, cache: memoryCache({ maxValueBytes: 100 }) });
    for (let n = 1; n <= 20; n += 1) expect(await failureOf(handle(large(n)))).toBeUndefined();
    expect(texts.size).toBe(20);
    const down = handlerOf({ letters: letterBox().store, poisonRunLimit: 1, cache: downFor('a') });
    for (let n = 1; n <= 5; n += 1) {
      expect(await failureOf(down.handle(insert('a', '1')))).toBe('1');
      expect(await failureOf(down.handle(bare(`p${n}`, '2')))).toBeUndefined();
    }
  });

  it('does not count a record again whose letter could not be written at first', async () => {
    const { store, texts } = letterBox(30);
    const { handle } = handlerOf({ letters: store, poisonRunLimit: 5 });
    for (let i = 0; i < 6; i += 1) expect(await failureOf(handle(...many(1, 5)))).toBe('1');
    expect(await failureOf(handle(...many(1, 5)))).toBeUndefined();
    expect(texts.size).toBe(5);
  });

  it('starts at 0 in a new environment, and sets everything aside without a limit', async () => {
    const { store, texts } = letterBox();
    for (const from of [1, 11, 21]) expect(await failureOf(handlerOf({ letters: store }).handle(...many(from, 10)))).toBeUndefined();
    expect(await failureOf(handlerOf({ letters: store, poisonRunLimit: 0 }).handle(...many(31, 500)))).toBeUndefined();
    expect(texts.size).toBe(530);
  });

  it('throws when withheld records have no sequence numbers', async () => {
    const { handle } = handlerOf({ letters: letterBox().store, poisonRunLimit: 1 });
    await expect(handle(bare('a', undefined), bare('b', undefined))).rejects.toThrow(
      'there is nothing but poison, and more of it in a row than may be set aside',
    );
  });
});
