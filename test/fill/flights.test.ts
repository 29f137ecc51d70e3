import { describe, expect, it } from 'vitest';
import { flights } from '../../src/fill/flights.ts';

/** A read that ends when the test says so. */
function controlled() {
  const reads: {
    readonly addresses: readonly string[];
    readonly signal: AbortSignal;
    answer(address: string): void;
    fail(address: string): void;
  }[] = [];
  const read = (addresses: readonly string[], signal: () => AbortSignal): readonly Promise<string>[] => {
    const ends = new Map<string, { resolve(answer: string): void; reject(error: Error): void }>();
    const answers = addresses.map((address) => new Promise<string>((resolve, reject) => ends.set(address, { resolve, reject })));
    reads.push({
      addresses,
      signal: signal(),
      answer: (address) => ends.get(address)?.resolve(`answer ${address}`),
      fail: (address) => ends.get(address)?.reject(new Error(`fault ${address}`)),
    });
    return answers;
  };
  return { reads, read };
}

describe('single flight', () => {
  it('reads only what is not being read, and answers in order', async () => {
    const { get } = flights<string>();
    const { reads, read } = controlled();
    const first = get(['a', 'b', 'a'], undefined, read);
    const second = get(['c', 'b'], undefined, read);
    expect(reads.map(({ addresses }) => addresses)).toEqual([['a', 'b'], ['c']]);
    for (const [i, address] of [
      [0, 'b'],
      [0, 'a'],
      [1, 'c'],
    ] as const)
      reads[i]?.answer(address);
    expect(await first).toEqual(['answer a', 'answer b', 'answer a']);
    expect(await second).toEqual(['answer c', 'answer b']);
    const third = get(['a'], undefined, read);
    expect(reads[2]?.addresses).toEqual(['a']);
    reads[2]?.answer('a');
    await third;
  });

  it('rejects after all reads of the call have ended, and only the calls of the address', async () => {
    const { get } = flights<string>();
    const { reads, read } = controlled();
    let ended = false;
    const both = get(['a', 'b'], undefined, read).finally(() => {
      ended = true;
    });
    const other = get(['b'], undefined, read);
    reads[0]?.fail('a');
    await new Promise((resolve) => setImmediate(resolve));
    expect([ended, reads[0]?.signal.aborted]).toEqual([false, false]);
    reads[0]?.answer('b');
    await expect(both).rejects.toThrow('fault a');
    expect(await other).toEqual(['answer b']);
  });

  it('aborts a read when its last caller has gone, and reads again for later callers', async () => {
    const { get } = flights<string>();
    const { reads, read } = controlled();
    const [one, two] = [new AbortController(), new AbortController()];
    const first = get(['a'], one.signal, read);
    const second = get(['a', 'b'], two.signal, read);
    one.abort(new Error('one'));
    await expect(first).rejects.toThrow('one');
    expect(reads[0]?.signal.aborted).toBe(false);
    two.abort(new Error('two'));
    await expect(second).rejects.toThrow('two');
    expect(reads.map(({ signal }) => signal.aborted)).toEqual([true, true]);
    const later = get(['a'], undefined, read);
    expect(reads[2]?.addresses).toEqual(['a']);
    reads[0]?.answer('a');
    reads[2]?.answer('a');
    expect(await later).toEqual(['answer a']);
  });

  it('starts no read for a signal that has ended', async () => {
    const { get, idle } = flights<string>();
    const { reads, read } = controlled();
    await expect(get(['a'], AbortSignal.abort(new Error('gone')), read)).rejects.toThrow('gone');
    expect(reads).toEqual([]);
    await idle();
  });

  it('is idle when all reads have ended', async () => {
    const { get, idle } = flights<string>();
    const { reads, read } = controlled();
    const call = get(['a'], undefined, read);
    let isIdle = false;
    const waiting = idle().then(() => {
      isIdle = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isIdle).toBe(false);
    reads[0]?.answer('a');
    await Promise.all([call, waiting]);
  });
});
