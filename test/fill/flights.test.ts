import { describe, expect, it } from 'vitest';
import { flights } from '../../src/fill/flights.ts';

/** A read whose answers come when the test says so. */
function slowRead() {
  const reads: string[][] = [];
  const signals: (() => AbortSignal)[] = [];
  const resolvers = new Map<string, { resolve(answer: string): void; reject(error: Error): void }>();
  const open = (address: string) =>
    new Promise<string>((resolve, reject) => {
      resolvers.set(address, { resolve, reject });
    });
  return {
    reads,
    signals,
    many(addresses: readonly string[], signal: () => AbortSignal) {
      reads.push([...addresses]);
      signals.push(signal);
      return addresses.map(open);
    },
    one(address: string) {
      return (signal: () => AbortSignal) => {
        reads.push([address]);
        signals.push(signal);
        return open(address);
      };
    },
    answer: (address: string) => resolvers.get(address)?.resolve(`${address}!`),
    fail: (address: string) => resolvers.get(address)?.reject(new Error(`no ${address}`)),
  };
}

describe('flights', () => {
  it('reads an address once for callers of one and of several addresses', async () => {
    const { get, one } = flights<string>();
    const read = slowRead();
    const answers = [one('a', undefined, read.one('a')), get(['b', 'a', 'b'], undefined, read.many), one('b', undefined, read.one('b'))];
    expect(read.reads).toEqual([['a'], ['b']]);
    read.answer('a');
    read.answer('b');
    expect(await Promise.all(answers)).toEqual(['a!', ['b!', 'a!', 'b!'], 'b!']);
  });

  it('reads again once an answer has come', async () => {
    const { one } = flights<string>();
    const read = slowRead();
    const first = one('a', undefined, read.one('a'));
    read.answer('a');
    await first;
    void one('a', undefined, read.one('a'));
    expect(read.reads).toHaveLength(2);
  });

  it('rejects only the caller whose signal ends, and does not abort a read that others wait for', async () => {
    const { one } = flights<string>();
    const read = slowRead();
    const caller = new AbortController();
    const leaver = one('a', caller.signal, read.one('a'));
    const stayer = one('a', undefined, read.one('a'));
    const signal = read.signals[0]?.();
    caller.abort(new Error('gone'));
    await expect(leaver).rejects.toThrow('gone');
    expect(signal?.aborted).toBe(false);
    read.answer('a');
    expect(await stayer).toBe('a!');
    expect(signal?.aborted).toBe(false);
  });

  it.each(['before', 'after'])('aborts a read that nobody waits for, if the read asks for its signal %s that', async (when) => {
    const { one } = flights<string>();
    const read = slowRead();
    const caller = new AbortController();
    const only = one('a', caller.signal, read.one('a'));
    const early = when === 'before' ? read.signals[0]?.() : undefined;
    caller.abort(new Error('gone'));
    await expect(only).rejects.toThrow('gone');
    expect((early ?? read.signals[0]?.())?.aborted).toBe(true);
    void one('a', undefined, read.one('a'));
    expect(read.reads).toHaveLength(2);
  });

  it('aborts no read whose answers have all come', async () => {
    const { get } = flights<string>();
    const read = slowRead();
    const all = get(['a', 'b'], undefined, read.many);
    read.answer('a');
    read.answer('b');
    await all;
    expect(read.signals[0]?.().aborted).toBe(false);
  });

  it('gives each address its own result, where settled is asked for', async () => {
    const { settled } = flights<string>();
    const read = slowRead();
    const results = settled(['a', 'b'], undefined, read.many);
    read.fail('a');
    read.answer('b');
    expect(await results).toEqual([
      { status: 'rejected', reason: new Error('no a') },
      { status: 'fulfilled', value: 'b!' },
    ]);
  });

  it('is idle when the last read has ended', async () => {
    const { one, idle } = flights<string>();
    const read = slowRead();
    let isIdle = false;
    const failed = one('a', undefined, read.one('a'));
    const ended = idle().then(() => {
      isIdle = true;
    });
    await Promise.resolve();
    expect(isIdle).toBe(false);
    read.fail('a');
    await expect(failed).rejects.toThrow('no a');
    await ended;
    expect(isIdle).toBe(true);
  });
});
