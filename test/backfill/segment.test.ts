import { beforeEach, describe, expect, it, vi } from 'vitest';
import { countsOf } from '../../src/backfill/counts.ts';
import { itemLetters } from '../../src/backfill/item-letters.ts';
import { ListNames } from '../../src/backfill/list-names.ts';
import { type Pass, runSegment, type SegmentCheckpoint, type SegmentInput, segmentStart, unsealable } from '../../src/backfill/segment.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { CacheUnavailableError, TableUnavailableError } from '../../src/errors.ts';
import { parseLetter } from '../../src/letters/letter.ts';
import { putOf } from '../../src/mutation.ts';
import { FLOOR, versionOf } from '../../src/version.ts';
import { documentView, entity, listView } from '../../src/view.ts';
import { memoryStore } from '../letters/letters.ts';
import { type Source, sourceOf } from './source.ts';

vi.mock('node:timers/promises', async (original) => ({ ...(await original<object>()), setTimeout: async () => {} }));

interface Thing {
  readonly pk: string;
  readonly color: string;
  readonly at: number;
}

const thing = entity<Thing>({
  name: 'thing',
  owns: ({ sk }) => sk === 'thing',
  schema: { parse: (item) => item as Thing },
  secretKeys: ['pk'],
});
const check = ({ color }: Thing) => {
  if (color === 'bad') throw new Error('stumbles');
};
const byId = documentView<Thing, unknown>({
  name: 'byId',
  revision: 1,
  entity: thing,
  project: (item) => {
    check(item);
    return [{ key: item.pk, value: item.color }];
  },
});
const RED = { list: 'byColor@1:red', keep: 3 };
const BLUE = { list: 'byColor@1:blue', keep: 3 };
const byColor = listView<Thing, unknown>({
  name: 'byColor',
  revision: 1,
  keep: 3,
  entity: thing,
  project: (item) => {
    check(item);
    return [{ list: item.color, score: item.at, value: item.pk, member: item.pk }];
  },
});
const VIEWS = [byId, byColor];

function item(pk: string, color: string, at = 0) {
  return { pk, sk: 'thing', color, at };
}

const VERSION = versionOf('2026-11-22T03:01:52.091', '7');

let source: Source;
let cache: MemoryCache;
beforeEach(() => {
  source = sourceOf([item('a', 'red', 1), item('b', 'blue', 2), item('c', 'red', 3), { pk: 'x', sk: 'other' }, item('d', 'red', 4)]);
  cache = memoryCache();
});

function run(pass: Pass, more: Partial<SegmentInput> = {}): Promise<SegmentCheckpoint> {
  const signal = new AbortController().signal;
  return runSegment({ table: source, cache, views: VIEWS, survey: 's1', from: segmentStart(pass, 0, 1), signal, ...more });
}

describe('the pass mark', () => {
  it('fills documents at the version of their lease, and marks lists without their members', async () => {
    const done = await run('mark');
    expect(done).toMatchObject({ pass: 'mark', isDone: true });
    expect(done.counts).toMatchObject({ items: 5, strange: 1, units: 3 + 4 });
    expect(countsOf(done.counts, 'byId@1')).toMatchObject({ entries: 4, filled: 4, held: 0, lost: 0 });
    expect(await cache.get('byId@1:a')).toEqual({ type: 'hit', value: 'red', version: FLOOR });
    expect(await cache.list('byColor@1:red', { limit: 3 })).toEqual({ members: [], complete: false });
    expect(await cache.seal(['byColor@1:red', 'byColor@1:green'], 's1')).toEqual(['settled', 'lost']);
    expect(source.scans.map(({ consistent }) => consistent)).toEqual([false, false, false]);
  });

  it('reads nothing by key that the cache knows', async () => {
    await cache.apply([
      putOf({ kind: 'document', key: 'byId@1:a', json: '"stream"' }, VERSION),
      { kind: 'document', type: 'delete', key: 'byId@1:b', version: VERSION },
    ]);
    const { counts } = await run('mark');
    expect(countsOf(counts, 'byId@1')).toMatchObject({ filled: 2, held: 2 });
    expect(source.reads).toEqual([0, 1, 1]);
    expect(await cache.get('byId@1:a')).toMatchObject({ value: 'stream' });
    expect(await cache.get('byId@1:b')).toMatchObject({ type: 'gone' });
  });

  it('fills what the item is after the lease, not what the scan found', async () => {
    const { getOrLease } = cache;
    cache.getOrLease = async (keys) => {
      const answers = await getOrLease(keys);
      source.put(item('a', 'green'));
      source.items.delete('["b","thing"]');
      return answers;
    };
    await run('mark');
    expect(await cache.get('byId@1:a')).toMatchObject({ value: 'green' });
    expect(await cache.get('byId@1:b')).toEqual({ type: 'gone', version: FLOOR });
  });

  it('leaves a document to the stream that writes it after the lease', async () => {
    const { settle } = cache;
    cache.settle = async (fills) => {
      await cache.apply([putOf({ kind: 'document', key: 'byId@1:a', json: '"stream"' }, VERSION)]);
      return await settle(fills);
    };
    expect(countsOf((await run('mark')).counts, 'byId@1')).toMatchObject({ filled: 3, lost: 1 });
    expect(await cache.get('byId@1:a')).toMatchObject({ value: 'stream' });
  });

  it('leaves out documents that are not worth filling, also when only the second read shows it', async () => {
    const young = { ...byId, worthFilling: ({ at }: Thing) => at > 1 };
    const { getOrLease } = cache;
    cache.getOrLease = async (keys) => {
      const answers = await getOrLease(keys);
      source.put(item('c', 'red', 0));
      return answers;
    };
    const { counts } = await run('mark', { views: [young] });
    expect(countsOf(counts, 'byId@1')).toMatchObject({ skipped: 1, filled: 2, lost: 0 });
    expect(await cache.get('byId@1:a')).toEqual({ type: 'miss' });
    expect(await cache.get('byId@1:c')).toEqual({ type: 'miss' });
  });

  it('counts and names an item on which a view throws, and writes its letter', async () => {
    source.put(item('secret', 'bad'));
    const store = memoryStore();
    const streamArn = 'arn:aws:dynamodb:eu-west-1:123456789012:table/shop/stream/2026-11-22T03:01:52.091';
    const letters = itemLetters({ store, streamArn, at: new Date('2026-11-29T00:00:00.700Z') });
    const done = await run('mark', { letters });
    expect(countsOf(done.counts, 'byId@1')).toMatchObject({ threw: 1, filled: 4 });
    expect(done.examples).toEqual([
      { view: 'byId@1', message: 'view byId cannot project ["#2bb80d53","thing"]: it threw Error' },
      { view: 'byColor@1', message: 'view byColor cannot project ["#2bb80d53","thing"]: it threw Error' },
    ]);
    await run('fill', { letters });
    const [[name, text] = ['', '']] = store.texts;
    expect(store.texts.size).toBe(1);
    expect(name).toMatch(/^millrace\/shop\/2026\/11\/29\/2026-11-29T00\.00\.00-0-[\da-f]{16}\.json$/);
    const { event, causes, condition } = parseLetter(text);
    expect(condition).toBe('Poison');
    expect(causes.map(({ view }) => view)).toEqual(['byId@1', 'byColor@1']);
    expect(event.Records).toEqual([expect.objectContaining({ eventName: 'INSERT', eventSourceARN: streamArn })]);
    expect(event.Records[0]?.dynamodb).toMatchObject({ SequenceNumber: '0', NewImage: { color: { S: 'bad' } } });
  });

  it('counts an item that cannot be decoded for every view', async () => {
    source.items.set('odd', { pk: { S: 'odd' }, sk: { S: 'thing' }, color: { NO: 'type' } });
    const { counts, examples } = await run('mark');
    expect([countsOf(counts, 'byId@1').threw, countsOf(counts, 'byColor@1').threw]).toEqual([1, 1]);
    expect(examples[0]?.message).toMatch(/^\["#[\da-f]{8}","#[\da-f]{8}"\] cannot be decoded|^\["#[\da-f]{8}","thing"\] cannot be decoded/);
  });

  it('fails if a letter cannot be written', async () => {
    source.put(item('e', 'bad'));
    const letters = { put: async () => Promise.reject(new Error('the store is away')) };
    await expect(run('mark', { letters })).rejects.toThrow('the store is away');
  });
});

describe('the pass fill', () => {
  it('puts members into marked lists only, and reads consistently', async () => {
    await cache.mark([RED], 's1');
    const done = await run('fill');
    expect(countsOf(done.counts, 'byColor@1').entries).toBe(4);
    const { members } = await cache.list('byColor@1:red', { limit: 3 });
    expect(members.map(({ value, version }) => [value, version])).toEqual([
      ['d', FLOOR],
      ['c', FLOOR],
      ['a', FLOOR],
    ]);
    expect((await cache.list('byColor@1:blue', { limit: 3 })).members).toEqual([]);
    expect(source.scans.every(({ consistent }) => consistent)).toBe(true);
    expect(source.reads).toEqual([]);
  });

  it('reads a page again before it repeats a fill without an answer', async () => {
    await cache.mark([RED, BLUE], 's1');
    const { fill } = cache;
    let calls = 0;
    cache.fill = async (lists, survey) => {
      calls += 1;
      if (calls > 1) return await fill(lists, survey);
      source.put(item('a', 'red', 9));
      throw new CacheUnavailableError('away');
    };
    const done = await run('fill');
    expect(done.counts.items).toBe(5);
    // The page that was read ahead is dropped.
    expect(source.scans.map(({ after }) => (after?.pk as { S: string })?.S)).toEqual([undefined, 'b', undefined, 'b', 'x']);
    expect((await cache.list('byColor@1:red', { limit: 1 })).members).toMatchObject([{ value: 'a', score: 9 }]);
  });

  it('reads a page again that has become old', async () => {
    await cache.mark([RED, BLUE], 's1');
    const { fill } = cache;
    let fills = 0;
    cache.fill = async (lists, survey) => {
      fills += 1;
      // The machine sleeps when the next page has been read already.
      await new Promise((resolve) => setImmediate(resolve));
      if (fills === 1) vi.setSystemTime(Date.now() + 700_000);
      return await fill(lists, survey);
    };
    vi.useFakeTimers({ toFake: ['Date'] });
    try {
      await run('fill');
    } finally {
      vi.useRealTimers();
    }
    expect(source.scans.map(({ after }) => (after?.pk as { S: string })?.S)).toEqual([undefined, 'b', 'b', 'x']);
  });

  it('gives up when the cache gives no answer for too long', async () => {
    cache.fill = async () => Promise.reject(new CacheUnavailableError('away'));
    await expect(run('fill', { retryForMs: 20 })).rejects.toThrow('away');
  });

  it('repeats a page when the table gives no answer to reads by key', async () => {
    let calls = 0;
    const table = {
      ...source,
      reading: async (signal: AbortSignal) => {
        const read = await source.reading(signal);
        return async (keys: Parameters<typeof read>[0]) => {
          calls += 1;
          if (calls === 1) throw new TableUnavailableError('busy');
          return await read(keys);
        };
      },
    };
    expect(countsOf((await run('mark', { table })).counts, 'byId@1')).toMatchObject({ filled: 4 });
  });
});

describe('the pass seal', () => {
  it('seals each list once, and counts those that lost their mark by what became of them', async () => {
    await run('mark');
    await run('fill');
    cache.evict({ kind: 'list', list: 'byColor@1:blue', keep: 3 });
    source.put(item('e', 'green'));
    const [lease] = await cache.lease([{ kind: 'list', list: 'byColor@1:green', keep: 3 }]);
    if (lease) await cache.settle([{ lease, found: { kind: 'list', newest: [{ member: 'e', score: 0, json: '"e"' }] } }]);
    const done = await run('seal');
    expect(countsOf(done.counts, 'byColor@1')).toMatchObject({ sealed: 1, unsealed: 1, settled: 1 });
    expect(await cache.list('byColor@1:red', { limit: 10 })).toMatchObject({ complete: true });
  });

  it('seals no list of a view that threw', async () => {
    source.put(item('e', 'bad'));
    await run('mark');
    const filled = await run('fill');
    expect(unsealable([filled])).toEqual(new Set(['byColor@1']));
    const { counts } = await run('seal', { unsealable: unsealable([filled]) });
    expect(counts.views).toEqual({});
    expect(await cache.list('byColor@1:red', { limit: 10 })).toMatchObject({ complete: false });
  });
});

describe('a worker', () => {
  it('is stopped by its signal after the page that it writes, and goes on from its checkpoint', async () => {
    const stop = new AbortController();
    const pages: SegmentCheckpoint[] = [];
    const first = await run('mark', {
      signal: stop.signal,
      onPage(checkpoint) {
        pages.push(checkpoint);
        stop.abort();
      },
    });
    expect(first).toMatchObject({ isDone: false, after: { pk: { S: 'b' }, sk: { S: 'thing' } }, counts: { items: 2 } });
    expect(pages).toEqual([first]);
    const rest = await run('mark', { from: JSON.parse(JSON.stringify(first)) });
    expect(rest).toMatchObject({ isDone: true, counts: { items: 5 } });
    expect(countsOf(rest.counts, 'byId@1').filled).toBe(4);
  });

  it('reads the next page while it writes one', async () => {
    const { mark } = cache;
    const scansAtMark: number[] = [];
    cache.mark = async (lists, survey) => {
      scansAtMark.push(source.scans.length);
      await mark(lists, survey);
    };
    await run('mark');
    expect(scansAtMark[0]).toBe(2);
  });

  it('does nothing in a segment that is done', async () => {
    const from: SegmentCheckpoint = { ...segmentStart('fill', 0, 1), isDone: true };
    expect(await run('fill', { from })).toEqual(from);
    expect(source.scans).toEqual([]);
  });
});

describe('ListNames', () => {
  it('forgets its names when there are too many, and says so', () => {
    const names = new ListNames(2);
    names.add(['a', 'b', 'a']);
    expect(names.all).toEqual(['a', 'b']);
    names.add(['c']);
    expect([names.all, names.has('a'), names.has('c')]).toEqual([undefined, false, true]);
  });
});
