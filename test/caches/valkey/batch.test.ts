import { describe, expect, it } from 'vitest';
import { type BatchOptions, batcher } from '../../../src/caches/valkey/batch.ts';
import type { ValkeyConnection } from '../../../src/caches/valkey/client.ts';
import { keysIn } from '../../../src/caches/valkey/layout.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';
import { APPLIED, type Mutation, STALE } from '../../../src/mutation.ts';
import { versionOf } from '../../../src/version.ts';

const VERSION = versionOf('2026-11-22T03:01:52.091', '7');
const BLANK = ' '.repeat(15);
const document = (key: string, json = '1'): Mutation => ({ kind: 'document', type: 'put', key, version: VERSION, json });
const remove = (key: string): Mutation => ({ kind: 'document', type: 'delete', key, version: VERSION });
const member = (list: string, name: string, more: { keep?: number; from?: number } = {}): Mutation => {
  const { keep = 9, from } = more;
  return { kind: 'member', type: 'put', list, member: name, score: 1, keep, from, version: VERSION, json: '1' };
};
const leave = (list: string, name: string): Mutation => ({
  kind: 'member',
  type: 'delete',
  list,
  member: name,
  score: 2,
  keep: 9,
  version: VERSION,
});

interface Sent {
  readonly keys: readonly string[];
  readonly args: readonly string[];
  answer(outcomes: string): void;
  fail(error: Error): void;
}

function unpack(packed: Buffer): string[] {
  let at = 5;
  return Array.from({ length: packed.readUInt32BE(1) }, () => {
    const length = packed.readUInt32BE(at + 1);
    at += 5 + length;
    return packed.subarray(at - length, at).toString();
  });
}

/** A batcher whose script calls wait in `sent` for an answer. */
function start(options: Partial<BatchOptions> = {}) {
  const sent: Sent[] = [];
  const millraceApply = (count: number, ...rest: (string | number | Buffer)[]) =>
    new Promise((resolve, reject) => {
      const keys = rest.slice(0, count) as string[];
      sent.push({ keys, args: unpack(rest[count] as Buffer), answer: resolve, fail: reject });
    });
  const connection = { call: (send: (commands: unknown) => unknown) => send({ millraceApply }) } as unknown as ValkeyConnection;
  const batches = batcher(connection, keysIn('n'), {
    entryTtlMs: 0,
    tombstoneTtlMs: 5,
    maxValueBytes: 1_000_000,
    cluster: false,
    ...options,
  });
  return { sent, ...batches, turn: () => new Promise((done) => setImmediate(done)) };
}

describe('batcher', () => {
  it('sends documents and lists of one turn in one script call', async () => {
    const { apply, sent, turn } = start();
    const outcomes = apply([member('l', 'a', { from: 3 }), document('d'), leave('l', 'b'), remove('e')]);
    await turn();
    expect(sent).toHaveLength(1);
    expect(sent[0]?.keys).toEqual(['n:doc:d', 'n:doc:e', 'n:list:{l}:members', 'n:list:{l}:scores', 'n:list:{l}:peaks']);
    expect(sent[0]?.args).toEqual([
      ...['0', '5', '2', `${VERSION}p${BLANK}1`, `${VERSION}d${BLANK}`],
      ...['9', '2', `${VERSION}p1`, 'a', '1', '3', `${VERSION}d`, 'b', '2', ''],
    ]);
    // The script answers documents first.
    sent[0]?.answer('1001');
    expect(await outcomes).toEqual([STALE, APPLIED, APPLIED, STALE]);
  });

  it('gathers the calls of one turn, and answers each with its own outcomes', async () => {
    const { apply, sent, turn } = start();
    const calls = [apply([document('a')]), apply([]), apply([document('b'), document('c')])];
    await turn();
    expect(sent).toHaveLength(1);
    sent[0]?.answer('010');
    expect(await Promise.all(calls)).toEqual([[STALE], [], [APPLIED, STALE]]);
  });

  it('rejects a value that is too large and sends a forget instead', async () => {
    const { apply, sent, turn } = start({ maxValueBytes: 4 });
    const outcomes = apply([document('a', '12345'), document('b', '12345'), document('c', '1234')]);
    await turn();
    expect(sent[0]?.args.slice(3)).toEqual([`${VERSION}f${BLANK}`, `${VERSION}f${BLANK}`, `${VERSION}p${BLANK}1234`]);
    sent[0]?.answer('101');
    expect(await outcomes).toEqual([{ type: 'rejected', reason: 'value of 5 bytes is over the limit of 4' }, STALE, APPLIED]);
  });

  it('sends large batches in script calls that grow with what is under way, from 64 to 256 mutations', async () => {
    const { apply, sent, turn } = start();
    void apply(Array.from({ length: 3_000 }, (_, i) => document(`d${i}`)));
    await turn();
    const sizes = sent.map(({ keys }) => keys.length);
    expect(sizes.slice(0, 5)).toEqual([64, 64, 64, 64, 64]);
    expect(Math.max(...sizes)).toBe(256);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(3_000);
    for (let i = 1; i < sizes.length - 1; i += 1) expect(sizes[i]).toBeGreaterThanOrEqual(sizes[i - 1] as number);
  });

  it('sends large values in script calls of their own', async () => {
    const { apply, sent, turn } = start();
    void apply(['a', 'b'].map((key) => document(key, `"${'x'.repeat(262_144)}"`)));
    await turn();
    expect(sent.map(({ keys }) => keys)).toEqual([['n:doc:a'], ['n:doc:b']]);
  });

  it('sends mutations of one list with different `keep` in order, in several script calls', async () => {
    const { apply, sent, turn } = start();
    void apply([member('l', 'a'), member('l', 'b', { keep: 1 }), member('l', 'c')]);
    await turn();
    expect(sent.map(({ args }) => [args[3], args[6]])).toEqual([
      ['9', 'a'],
      ['1', 'b'],
      ['9', 'c'],
    ]);
  });

  it('sends each document and each list of a cluster in its own script call', async () => {
    const { apply, sent, turn } = start({ cluster: true });
    const outcomes = apply([document('x'), member('x', 'a'), document('y'), member('x', 'b')]);
    await turn();
    expect(sent.map(({ keys }) => keys[0])).toEqual(['n:doc:x', 'n:list:{x}:members', 'n:doc:y']);
    for (const [i, digits] of ['1', '01', '0'].entries()) sent[i]?.answer(digits);
    expect(await outcomes).toEqual([APPLIED, STALE, STALE, APPLIED]);
  });

  it('sends what is gathered when it is flushed', async () => {
    const { apply, sent, flush } = start();
    void apply([document('a')]);
    expect(sent).toHaveLength(0);
    flush();
    await Promise.resolve();
    expect(sent).toHaveLength(1);
  });

  it('rejects all calls that have a mutation in a failed script call', async () => {
    const { apply, sent, turn } = start();
    const calls = [apply([document('a')]), apply([document('b')])];
    await turn();
    sent[0]?.fail(new CacheUnavailableError('no answer'));
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  });

  it('rejects a call once none of its script calls is under way', async () => {
    const { apply, sent, turn } = start({ cluster: true });
    let settled = false;
    const call = apply([document('a'), document('b'), document('c')]).finally(() => {
      settled = true;
    });
    call.catch(() => {});
    await turn();
    sent[0]?.fail(new CacheUnavailableError('no answer'));
    sent[1]?.answer('1');
    await turn();
    expect(settled).toBe(false);
    sent[2]?.fail(new CacheUnavailableError('another reason'));
    await expect(call).rejects.toThrow('no answer');
  });
});
