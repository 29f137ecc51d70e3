import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CacheClient, Fill, Lease } from '../../src/cache.ts';
import { type MemoryCache, memoryCache } from '../../src/caches/memory.ts';
import { CacheUnavailableError } from '../../src/errors.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { REGISTER_KEY } from '../../src/lives/register.ts';
import { type LivesOptions, type LivingCache, withLives } from '../../src/lives/with-lives.ts';
import { MAX_KEY_BYTES, type Mutation } from '../../src/mutation.ts';
import { insert, streamEvent } from '../../src/testing/index.ts';
import { type Version, versionOf } from '../../src/version.ts';
import { views as shop } from '../../src/views/index.ts';
import { order } from '../backfill/orders.ts';

const ASK_MS = 60_000;
const WAIT_MS = 90_000;
const detail = { name: 'detail', revision: 1 };
const orders = { name: 'orders', revision: 2 };

let time: number;
let cache: MemoryCache;
/** Names of the calls of the inner cache. */
let calls: string[];
let opened: LivingCache[];

beforeEach(() => {
  time = Date.parse('2026-11-29T12:00:00Z');
  cache = memoryCache({ now: () => time });
  calls = [];
  opened = [];
});

afterEach(async () => {
  await Promise.all(opened.map((one) => one.close()));
});

/** The inner cache, which notes its calls. */
function watched(): CacheClient {
  return new Proxy(cache, {
    get(target, name: keyof CacheClient) {
      const verb = target[name];
      if (typeof verb !== 'function' || name === 'close') return name === 'close' ? async () => {} : verb;
      return (...args: unknown[]) => {
        calls.push(name);
        return (verb as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  });
}

function open(options: LivesOptions = {}, inner: CacheClient = watched()): LivingCache {
  const living = withLives(inner, { now: () => time, ...options });
  opened.push(living);
  return living;
}

const worker = (...views: NonNullable<LivesOptions['views']>) => open({ views });

async function register(): Promise<Record<string, { life: string; from: number }>> {
  const lookup = await cache.get(REGISTER_KEY);
  const { written: _, ...lives } = lookup.type === 'hit' ? (lookup.value as Record<string, never>) : ({} as never);
  return lives;
}

async function write(value: unknown): Promise<void> {
  const [lease] = await cache.lease([{ kind: 'document', key: REGISTER_KEY }]);
  await cache.settle([{ lease: lease as Lease, found: { kind: 'document', json: JSON.stringify(value) } }]);
}

const version = (n: number): Version => versionOf('2026-11-01T09:00:00.123', String(n));
const put = (key: string, n: number, value: unknown = n): Mutation => {
  return { kind: 'document', type: 'put', key, version: version(n), json: JSON.stringify(value) };
};
const add = (list: string, n: number): Mutation => {
  return { kind: 'member', type: 'put', list, member: `m${n}`, keep: 3, score: n, version: version(n), json: String(n) };
};
const typesOf = async (living: LivingCache, ...mutations: Mutation[]) => (await living.apply(mutations)).map(({ type }) => type);

describe('start', () => {
  it('starts lives for views that have none, and keeps all others', async () => {
    await worker(detail).apply([]);
    const before = await register();
    time += WAIT_MS * 2;
    const lives = await open().start([detail, orders]);
    expect([...lives.keys()]).toEqual(['detail@1', 'orders@2']);
    expect(lives.get('orders@2')).toEqual({ life: expect.stringMatching(/^[a-z0-9]{10}$/), from: time + WAIT_MS });
    expect(await register()).toEqual({ ...before, ...Object.fromEntries(lives) });
    expect(Object.fromEntries(await open().start([orders, detail]))).toEqual(await register());
  });

  it('with fresh, ends the lives of the given views, and starts new ones', async () => {
    await worker(detail, orders).apply([]);
    const before = await register();
    time += WAIT_MS;
    const lives = await open().start([detail], { fresh: true });
    const after = await register();
    expect(after['orders@2']).toEqual(before['orders@2']);
    expect(after['detail@1']?.life).not.toBe(before['detail@1']?.life);
    expect(lives).toEqual(new Map([['detail@1', { life: after['detail@1']?.life, from: time + WAIT_MS }]]));
  });

  it('with fresh, lets workers and readers know when they ask, so that nothing old is read', async () => {
    const [worked, reader] = [worker(detail), open()];
    await worked.apply([]);
    time += WAIT_MS;
    await worked.apply([put('detail@1:a', 1)]);
    expect(await reader.get('detail@1:a')).toMatchObject({ type: 'hit' });
    await open().start([detail], { fresh: true });
    time += 5_001;
    expect(await reader.get('detail@1:a')).toEqual({ type: 'miss' });
    time += ASK_MS;
    expect(await typesOf(worked, put('detail@1:a', 2))).toEqual(['skipped']);
    time += WAIT_MS;
    expect(await reader.get('detail@1:a')).toEqual({ type: 'miss' });
    expect(await typesOf(worked, put('detail@1:a', 3))).toEqual(['applied']);
    expect(await reader.get('detail@1:a')).toMatchObject({ type: 'hit', value: 3 });
  });

  it('announces a life before it gives its time', async () => {
    const written: unknown[] = [];
    const inner = watched();
    const noting = {
      ...inner,
      settle: async (fills: readonly Fill[]) => {
        for (const { found } of fills) if (found.kind === 'document') written.push(JSON.parse(found.json ?? ''));
        return await cache.settle(fills);
      },
      get: (key: string) => cache.get(key),
      lease: (targets: never) => cache.lease(targets),
      close: async () => {},
    } as unknown as CacheClient;
    await open({}, noting).start([detail], { fresh: true });
    expect(written).toEqual([
      { written: time, 'detail@1': { life: expect.any(String) } },
      { written: time, 'detail@1': { life: expect.any(String), from: time + WAIT_MS } },
    ]);
  });
});

describe('a worker', () => {
  it('starts the lives of its views, and each is usable 90 s later', async () => {
    await worker(detail, orders).apply([]);
    const lives = await register();
    expect(lives).toEqual({
      'detail@1': { life: expect.stringMatching(/^[a-z0-9]{10}$/), from: time + WAIT_MS },
      'orders@2': { life: expect.stringMatching(/^[a-z0-9]{10}$/), from: time + WAIT_MS },
    });
    expect(lives['detail@1']?.life).not.toBe(lives['orders@2']?.life);
  });

  it('skips its changes until then, and says until when', async () => {
    const living = worker(detail);
    const reason = `the life of the view begins at ${new Date(time + WAIT_MS).toISOString()}`;
    expect(await living.apply([put('detail@1:a', 1)])).toEqual([{ type: 'skipped', reason }]);
    time += WAIT_MS - 1;
    expect(await typesOf(living, put('detail@1:a', 2))).toEqual(['skipped']);
    time += 1;
    expect(await typesOf(living, put('detail@1:a', 3))).toEqual(['applied']);
    expect(await living.get('detail@1:a')).toEqual({ type: 'hit', value: 3, version: version(3) });
  });

  it('forgets what changes before its first use of a life, because a worker whose clock is ahead may have put what it had before', async () => {
    const [slow, fast] = [open({ views: [detail, orders] }), open({ views: [detail, orders], now: () => time + 20_000 })];
    await slow.apply([]);
    time += WAIT_MS - 10_000;
    expect(await typesOf(fast, put('detail@1:a', 1), put('detail@1:b', 1), add('orders@2:all', 1))).toEqual([
      'applied',
      'applied',
      'applied',
    ]);
    const leases = await fast.lease([
      { kind: 'document', key: 'detail@1:c' },
      { kind: 'list', list: 'orders@2:all', keep: 3 },
    ]);
    const gone: Mutation = { kind: 'document', type: 'delete', key: 'detail@1:b', version: version(2) };
    const moved: Mutation = { ...add('orders@2:all', 1), version: version(2) } as Mutation;
    expect(await typesOf(slow, put('detail@1:a', 2), gone, put('detail@1:c', 2), moved)).toEqual([
      'skipped',
      'skipped',
      'skipped',
      'skipped',
    ]);
    await fast.settle([{ lease: leases[0] as Lease, found: { kind: 'document', json: '"read before the change"' } }]);
    time += 10_000;
    expect(await slow.getMany(['detail@1:a', 'detail@1:b', 'detail@1:c'])).toEqual([{ type: 'miss' }, { type: 'miss' }, { type: 'miss' }]);
    expect(await slow.list('orders@2:all', { limit: 3 })).toEqual({ members: [], complete: false });
    expect(await typesOf(slow, put('detail@1:a', 3))).toEqual(['applied']);
    expect(await slow.get('detail@1:a')).toEqual({ type: 'hit', value: 3, version: version(3) });
  });

  it('stores entries under the life, and nothing under the key of the view', async () => {
    const living = worker(detail);
    await living.apply([]);
    time += WAIT_MS;
    await living.apply([put('detail@1:a:b', 1)]);
    const life = (await register())['detail@1']?.life;
    expect(await cache.get('detail@1:a:b')).toEqual({ type: 'miss' });
    expect(await cache.get(`detail@1.${life}:a:b`)).toEqual({ type: 'hit', value: 1, version: version(1) });
  });

  it('ends the lives of views that it does not contain, when it has nothing to apply', async () => {
    await worker(detail, orders).apply([]);
    const { 'detail@1': life } = await register();
    await worker(detail).apply([]);
    expect(await register()).toEqual({ 'detail@1': life });
  });

  it('starts a new life after an end, so that what was cached before is not read', async () => {
    const first = worker(detail);
    await first.apply([]);
    time += WAIT_MS;
    await first.apply([put('detail@1:a', 1)]);
    const before = await register();
    await worker().apply([]);
    const second = worker(detail);
    await second.apply([]);
    expect((await register())['detail@1']?.life).not.toBe(before['detail@1']?.life);
    time += WAIT_MS;
    expect(await second.get('detail@1:a')).toEqual({ type: 'miss' });
  });

  it('keeps the life of a view that another worker has started', async () => {
    await worker(detail).apply([]);
    const before = await register();
    time += WAIT_MS * 5;
    const other = worker(detail);
    expect(await typesOf(other, put('detail@1:a', 1))).toEqual(['applied']);
    expect(await register()).toEqual(before);
  });

  it('starts new lives when the register is evicted', async () => {
    const living = worker(detail);
    await living.apply([]);
    const before = await register();
    cache.evict({ kind: 'document', key: REGISTER_KEY });
    time += ASK_MS + 1;
    await living.apply([]);
    expect((await register())['detail@1']).toMatchObject({ from: time + WAIT_MS });
    expect((await register())['detail@1']?.life).not.toBe(before['detail@1']?.life);
  });

  it('asks again when its knowledge is older than 60 s, and not before', async () => {
    const living = worker(detail);
    await living.apply([]);
    time += WAIT_MS;
    await living.apply([]);
    calls = [];
    time += ASK_MS;
    await living.apply([put('detail@1:a', 1)]);
    expect(calls).toEqual(['apply']);
    time += 1;
    await living.apply([put('detail@1:a', 2)]);
    expect(calls.filter((call) => call === 'get').length).toBeGreaterThanOrEqual(1);
  });

  it('asks again when the clock was set back', async () => {
    const living = worker(detail);
    await living.apply([]);
    calls = [];
    time -= 1;
    await living.apply([]);
    expect(calls).toContain('get');
  });

  it('asks again when its clock stood still, as far as another clock of the process tells', async () => {
    const living = worker(detail);
    await living.apply([]);
    calls = [];
    const ahead = performance.now() + ASK_MS + 1;
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => ahead);
    await living.apply([]);
    clock.mockRestore();
    expect(calls).toContain('get');
  });

  it('asks once for calls that come together', async () => {
    const living = open();
    await Promise.all([living.get('detail@1:a'), living.get('detail@1:b'), living.list('orders@2:a', { limit: 1 })]);
    expect(calls).toEqual(['get']);
  });

  it('agrees with workers that start at the same time', async () => {
    const workers = Array.from({ length: 8 }, () => worker(detail, orders));
    await Promise.all(workers.map((one) => one.apply([])));
    const lives = await register();
    for (const one of workers) expect((await one.lives()).get('detail@1')).toEqual(lives['detail@1']);
  });

  it('announces a life before it says when the life begins, so that a worker that was stopped in between cannot date it back', async () => {
    // A lease on a register that is absent would expire.
    await worker(orders).apply([]);
    let stopped = false;
    const inner: CacheClient = {
      ...cache,
      close: async () => {},
      async settle(fills: readonly Fill[]) {
        // The process stands still for an hour, with the text of the register in its hands.
        if (!stopped) time += 3_600_000;
        stopped = true;
        return await cache.settle(fills);
      },
    };
    await open({ views: [orders, detail] }, inner).apply([]);
    expect((await register())['detail@1']?.from).toBe(time + WAIT_MS);
  });

  it('ends a life that begins in a future that no worker can mean', async () => {
    await write({ 'detail@1': { life: 'fromfuture', from: time + 10 * 365 * 86_400_000 } });
    await worker(detail).apply([]);
    expect(await register()).toEqual({ 'detail@1': { life: expect.not.stringContaining('fromfuture'), from: time + WAIT_MS } });
  });

  it.each([
    ['text', 'hello'],
    ['null', null],
    ['a list', [1]],
    [
      'entries of other forms',
      { 'detail@1': { life: '../x', from: 1 }, detail: { life: 'abc', from: 1 }, 'orders@2': { life: 'abc', from: 1e300 }, x: null },
    ],
  ])('counts a register that another program wrote as nothing: %s', async (_, value) => {
    await write(value);
    const reader = open();
    expect(await reader.get('detail@1:a')).toEqual({ type: 'miss' });
    await worker(detail).apply([]);
    expect(Object.keys(await register())).toEqual(['detail@1']);
  });

  it('writes the register again each minute, so that it does not expire', async () => {
    const expiring = memoryCache({ now: () => time, entryTtlMs: 130_000 });
    const living = open({ views: [detail] }, expiring);
    await living.apply([]);
    const { life } = (await living.lives()).get('detail@1') as { life: string };
    for (let minute = 0; minute < 20; minute += 1) {
      time += ASK_MS + 1;
      await living.apply([]);
      await sleep(80);
    }
    expect((await living.lives()).get('detail@1')).toMatchObject({ life });
  });

  it('waits for nothing with waitMs 0', async () => {
    const living = open({ views: [detail], waitMs: 0 });
    expect(await typesOf(living, put('detail@1:a', 1))).toEqual(['applied']);
  });

  it('fails its call with CacheUnavailableError when the register cannot be read or written', async () => {
    const away: CacheClient = { ...cache, get: () => Promise.reject(new CacheUnavailableError('away')) };
    await expect(open({ views: [detail] }, away).apply([])).rejects.toThrow(CacheUnavailableError);
    const full: CacheClient = { ...cache, settle: async (fills) => fills.map(() => 'lost') };
    await expect(open({ views: [detail] }, full).apply([])).rejects.toThrow('the register of lives, at the key "lives", cannot be written');
  });
});

describe('a process that is no worker', () => {
  it('starts and ends no life', async () => {
    const reader = open();
    expect(await typesOf(reader, put('detail@1:a', 1))).toEqual(['skipped']);
    expect(await register()).toEqual({});
    await worker(detail).apply([]);
    const before = await register();
    time += WAIT_MS;
    await reader.get('other@1:a');
    expect(await register()).toEqual(before);
  });

  it('says of a view without a life what to do', async () => {
    const [outcome] = await open().apply([put('detail@1:a', 1)]);
    expect(outcome).toEqual({ type: 'skipped', reason: 'the view has no life: deploy a worker that contains it' });
  });

  it('takes one call for a hit, and asks every 5 s', async () => {
    const living = worker(detail);
    await living.apply([]);
    time += WAIT_MS;
    await living.apply([put('detail@1:a', 1)]);
    const reader = open();
    await reader.get('detail@1:a');
    // Until the register is written again.
    await sleep(100);
    calls = [];
    time += 5_000;
    expect(await reader.get('detail@1:a')).toMatchObject({ type: 'hit' });
    expect(await reader.getOrLease(['detail@1:a'])).toMatchObject([{ type: 'hit' }]);
    expect(calls).toEqual(['get', 'getOrLease']);
    time += 1;
    await reader.get('detail@1:a');
    expect(calls.slice(2)).toEqual(['get', 'get']);
  });

  it('misses an ended life after 5 s', async () => {
    const living = worker(detail);
    await living.apply([]);
    time += WAIT_MS;
    await living.apply([put('detail@1:a', 1)]);
    const reader = open();
    expect(await reader.get('detail@1:a')).toMatchObject({ type: 'hit' });
    await worker().apply([]);
    time += 5_001;
    expect(await reader.get('detail@1:a')).toEqual({ type: 'miss' });
  });
});

describe('a view that is not usable', () => {
  it('reads as unknown, and is not filled', async () => {
    const reader = open();
    const [document, list] = [
      { kind: 'document', key: 'detail@1:a' },
      { kind: 'list', list: 'orders@2:all', keep: 3 },
    ] as const;
    expect(await reader.get('detail@1:a')).toEqual({ type: 'miss' });
    expect(await reader.getMany(['detail@1:a', 'detail@1:a'])).toEqual([{ type: 'miss' }, { type: 'miss' }]);
    expect(await reader.list('orders@2:all', { limit: 1 })).toEqual({ members: [], complete: false });
    expect(await reader.getOrLease(['detail@1:a'])).toEqual([{ type: 'miss', lease: { target: document } }]);
    const leases = await reader.lease([document, list]);
    expect(leases).toEqual([{ target: document }, { target: list }]);
    calls = [];
    const fills: Fill[] = [
      { lease: leases[0] as Lease, found: { kind: 'document', json: '1' } },
      { lease: leases[1] as Lease, found: { kind: 'list', newest: [] } },
    ];
    // The lease stays lost, even if the life begins before the table was read.
    await worker(detail, orders).apply([]);
    time += WAIT_MS;
    expect(await reader.settle(fills)).toEqual(['lost', 'lost']);
    expect(await reader.get('detail@1:a')).toEqual({ type: 'miss' });
  });

  it('takes no part in a survey', async () => {
    const reader = open();
    await reader.mark([{ list: 'orders@2:all', keep: 3 }], 'survey');
    expect(await reader.fill([{ list: 'orders@2:all', keep: 3, members: [] }], 'survey')).toEqual([false]);
    expect(await reader.seal(['orders@2:all'], 'survey')).toEqual(['lost']);
  });

  it('leaves the answers of other views in their places', async () => {
    const living = worker(detail);
    await living.apply([]);
    time += WAIT_MS;
    expect(await typesOf(living, put('a', 1), put('detail@1:a', 1), add('orders@2:all', 1), put('detail@1:b', 2))).toEqual([
      'skipped',
      'applied',
      'skipped',
      'applied',
    ]);
    expect(await living.getMany(['orders@2:x', 'detail@1:a', 'x', 'detail@1:b'])).toMatchObject([
      { type: 'miss' },
      { type: 'hit', value: 1 },
      { type: 'miss' },
      { type: 'hit', value: 2 },
    ]);
    const answers = await living.getOrLease(['orders@2:x', 'detail@1:a', 'detail@1:c']);
    expect(answers.map(({ type }) => type)).toEqual(['miss', 'hit', 'miss']);
    const leases = answers.flatMap((answer) => (answer.type === 'miss' ? answer.lease : []));
    expect(leases.map(({ target }) => target)).toEqual([
      { kind: 'document', key: 'orders@2:x' },
      { kind: 'document', key: 'detail@1:c' },
    ]);
    expect(await living.settle(leases.map((lease) => ({ lease, found: { kind: 'document', json: '"read"' } })))).toEqual([
      'lost',
      'settled',
    ]);
    expect(await living.get('detail@1:c')).toMatchObject({ type: 'hit', value: 'read' });
  });

  it('does not let a wrong argument pass', async () => {
    const reader = open();
    await expect(reader.get('')).rejects.toThrow(TypeError);
    await expect(reader.apply([{ ...put('detail@1:a', 1), json: 5 } as never])).rejects.toThrow(TypeError);
    await expect(reader.list('orders@2:all', { limit: 0 })).rejects.toThrow(RangeError);
    await expect(reader.seal(['orders@2:all'], 'no name')).rejects.toThrow(TypeError);
    await expect(
      reader.settle([{ lease: { target: { kind: 'document', key: 'a' } }, found: { kind: 'list', newest: [] } }]),
    ).rejects.toThrow(TypeError);
  });
});

describe('keys', () => {
  it('are refused by no inner cache for the letters of the life', async () => {
    const living = open({ views: [detail], waitMs: 0 });
    const longest = `detail@1:${'x'.repeat(MAX_KEY_BYTES - 'detail@1:'.length)}`;
    expect(await typesOf(living, put(longest, 1), put(`${longest}x`, 1))).toEqual(['applied', 'skipped']);
    expect(await living.getMany([longest, `${longest}x`])).toMatchObject([{ type: 'hit' }, { type: 'miss' }]);
  });

  it('cannot reach the register, or another life', async () => {
    const living = open({ views: [detail], waitMs: 0 });
    await living.apply([]);
    const life = (await register())['detail@1']?.life;
    await living.apply([put('detail@1:a', 1)]);
    expect(await living.getMany([REGISTER_KEY, `detail@1.${life}:a`, 'detail@1', ':a', 'constructor:a'])).toEqual(
      Array.from({ length: 5 }, () => ({ type: 'miss' })),
    );
  });
});

describe('a lease', () => {
  it('that was taken in one life fills that life', async () => {
    const living = worker(detail);
    await living.apply([]);
    time += WAIT_MS;
    const reader = open();
    const [lease] = await reader.lease([{ kind: 'document', key: 'detail@1:a' }]);
    await worker().apply([]);
    await worker(detail).apply([]);
    time += WAIT_MS;
    expect(await reader.get('detail@1:a')).toEqual({ type: 'miss' });
    // The memory cache keeps a lease for 60 s only.
    await reader.settle([{ lease: lease as Lease, found: { kind: 'document', json: '"old"' } }]);
    expect(await reader.get('detail@1:a')).toEqual({ type: 'miss' });
  });
});

describe('close', () => {
  it('lets calls come to their end that still ask for the lives, and rejects later ones', async () => {
    await open({ views: [detail], waitMs: 0 }).apply([put('detail@1:a', 1)]);
    const reader = withLives(cache, { now: () => time });
    const answer = reader.get('detail@1:a');
    const closings = [reader.close(), reader.close()];
    expect(await answer).toMatchObject({ type: 'hit', value: 1 });
    await Promise.all(closings);
    await expect(reader.get('detail@1:a')).rejects.toThrow(CacheUnavailableError);
  });
});

describe('options', () => {
  it.each([
    [{ waitMs: -1 }, 'waitMs is -1: give 0 to 3600000'],
    [{ waitMs: 3_600_001 }, 'waitMs is 3600001: give 0 to 3600000'],
    [{ askMs: 0 }, 'askMs is 0: give a number above 0'],
    [{ waitMs: Number.NaN }, 'waitMs is NaN'],
  ])('%j', (options, message) => {
    expect(() => withLives(cache, options)).toThrow(message);
  });
});

describe('a worker that has the cache without lives', () => {
  it('fails its records while the views have lives, and applies them otherwise', async () => {
    const cache = memoryCache();
    const event = streamEvent([insert(order(1, 1, 'new', 1))]);
    const answer = (of: Parameters<typeof streamHandler>[0]['cache']) => {
      const lines: string[] = [];
      const log = (_: string, fields: { readonly error?: Error }) => void (fields.error && lines.push(fields.error.message));
      const handler = streamHandler({ views: Object.values(shop), cache: of, logger: { info: log, warn: log, error: log } });
      return handler(event).then(({ batchItemFailures }) => ({ failed: batchItemFailures.length, lines }));
    };
    expect(await answer(cache)).toEqual({ failed: 0, lines: [] });
    const living = withLives(cache, { views: Object.values(shop), waitMs: 0 });
    await living.lives();
    const { failed, lines } = await answer(cache);
    expect({ failed, lines }).toEqual({
      failed: 1,
      lines: [expect.stringContaining('give it withLives(cache, { views }) of millrace/lives')],
    });
    expect(await answer(living)).toEqual({ failed: 0, lines: [] });
  });

  it('looks for lives once, whatever the number of records, and again if the cache gave no answer', async () => {
    const cache = memoryCache();
    let [looks, isDown] = [0, true];
    const get: typeof cache.get = async (key) => {
      looks += 1;
      if (isDown) throw new CacheUnavailableError('away');
      return (await cache.get(key)) as never;
    };
    const logger = { info() {}, warn() {}, error() {} };
    const handler = streamHandler({ views: Object.values(shop), cache: { apply: cache.apply, get }, logger, retries: { forMs: 0 } });
    const event = streamEvent(Array.from({ length: 50 }, (_, id) => insert(order(id, 1, 'new', id))));
    expect((await handler(event)).batchItemFailures).toHaveLength(1);
    isDown = false;
    looks = 0;
    for (let i = 0; i < 2; i += 1) expect((await handler(event)).batchItemFailures).toEqual([]);
    expect(looks).toBe(1);
  });
});
