import { describe, expect, it } from 'vitest';
import { type Codec, cells, type Edit, NONCE_LENGTH, newNonce, type Snapshot } from '../../../src/caches/momento/cell.ts';
import { deadlineIn } from '../../../src/caches/momento/deadline.ts';
import { memoOf } from '../../../src/caches/momento/memo.ts';
import type { Store } from '../../../src/caches/momento/store.ts';
import { CacheUnavailableError } from '../../../src/errors.ts';

/** A text that is stored behind its nonce. */
const codec: Codec<string> = {
  encode: (state, nonce) => ({ bytes: Buffer.from(nonce + state), weight: state.length }),
  decode(bytes) {
    const text = Buffer.from(bytes).toString();
    if (text.length < NONCE_LENGTH) return undefined;
    return { state: text.slice(NONCE_LENGTH), nonce: text.slice(0, NONCE_LENGTH), weight: text.length };
  },
  blank: () => '',
  ttlMs: (state) => state.length * 1_000 + 1,
};

/** Appends a letter; results in the text before it. */
const append =
  (letter: string): Edit<string, string | undefined> =>
  (state) => ({ result: state, next: (state ?? '') + letter });
/** Results in the text, and changes nothing. */
const look: Edit<string, string | undefined> = (state) => ({ result: state });

/** A store in memory. A hash is the text itself. */
class FakeStore {
  readonly values = new Map<string, string>();
  readonly calls: string[] = [];
  readonly ttls: number[] = [];
  /** Runs before each write, for example to write first. */
  beforeWrite = (_key: string): void => {};
  /** Runs after each write that was stored, for example to lose the reply. */
  afterWrite = (_key: string): void => {};
  returnsHashes = true;
  /** Lets a write that was sent arrive again; returns whether it was stored. */
  readonly sent: (() => boolean)[] = [];

  readonly store: Store = {
    get: () => Promise.reject(new Error('cells read with hashes')),
    getMany: () => Promise.reject(new Error('cells read with hashes')),
    read: async (key) => {
      this.calls.push('read');
      const text = this.values.get(key);
      return text === undefined ? undefined : { bytes: Buffer.from(text), hash: Buffer.from(text) };
    },
    write: async (key, makeBytes, ttlSeconds, expected) => {
      this.calls.push('write');
      this.beforeWrite(key);
      const bytes = makeBytes();
      const arrive = () => {
        if (this.values.get(key) !== (expected && Buffer.from(expected).toString())) return false;
        this.values.set(key, Buffer.from(bytes).toString());
        return true;
      };
      this.sent.push(arrive);
      if (!arrive()) return { stored: false };
      this.ttls.push(ttlSeconds);
      this.afterWrite(key);
      return { stored: true, ...(this.returnsHashes && { hash: bytes }) };
    },
  };

  text(key: string): string | undefined {
    return this.values.get(key)?.slice(NONCE_LENGTH);
  }

  /** Writes as another client would. */
  meddle(key: string, text: string): void {
    this.values.set(key, newNonce() + text);
  }
}

function start(memoBytes = 1_000) {
  const fake = new FakeStore();
  const cell = cells(fake.store, codec, memoOf<Snapshot<string>>(memoBytes));
  return { fake, update: <Result>(edit: Edit<string, Result>, key = 'k') => cell.update(key, deadlineIn(1_000), edit) };
}

describe('cells', () => {
  it('reads and writes at the first edit, and only writes at the next ones', async () => {
    const { fake, update } = start();
    fake.meddle('k', '');
    expect([await update(append('a')), await update(append('b')), await update(append('c'))]).toEqual(['', 'a', 'ab']);
    expect(fake.calls).toEqual(['read', 'write', 'write', 'write']);
    expect([fake.text('k'), fake.ttls]).toEqual(['abc', [2, 3, 4]]);
  });

  it('writes a blank state into an empty cell before it writes an edit', async () => {
    const { fake, update } = start();
    const texts: unknown[] = [];
    fake.afterWrite = () => texts.push(fake.text('k'));
    expect(await update(append('a'))).toBe('');
    expect(fake.calls).toEqual(['read', 'write', 'write']);
    expect([texts, fake.ttls]).toEqual([
      ['', 'a'],
      [1, 2],
    ]);
  });

  it('reads a blank state again when the store did not return its hash', async () => {
    const { fake, update } = start();
    fake.returnsHashes = false;
    expect(await update(append('a'))).toBe('');
    expect([fake.text('k'), fake.calls]).toEqual(['a', ['read', 'write', 'read', 'write']]);
  });

  it('writes nothing into an empty cell for an edit without a next state', async () => {
    const { fake, update } = start();
    expect(await update(look)).toBeUndefined();
    expect(fake.calls).toEqual(['read']);
  });

  it('needs no write beyond the blank state for an edit that does not change that', async () => {
    const { fake, update } = start();
    expect(await update((state) => (state === undefined ? { result: 'empty', next: '' } : { result: 'blank' }))).toBe('blank');
    expect(fake.calls).toEqual(['read', 'write']);
  });

  it('lets no write arrive late in a cell that was evicted, except for a blank state', async () => {
    const { fake, update } = start();
    for (const letter of ['a', 'b', 'c']) await update(append(letter));
    const late = fake.sent.map((arrive) => {
      fake.values.clear();
      return arrive() && fake.text('k');
    });
    expect(late).toEqual(['', false, false, false]);
  });

  it('never sends the same bytes into an empty cell twice', async () => {
    const fake = new FakeStore();
    const { write } = fake.store;
    const blanks: string[] = [];
    const repeating: Store = {
      ...fake.store,
      write: (key, makeBytes, ttlSeconds, expected, deadline) => {
        if (expected === undefined) blanks.push(...[0, 1].map(() => Buffer.from(makeBytes()).toString()));
        return write(key, makeBytes, ttlSeconds, expected, deadline);
      },
    };
    await cells(repeating, codec, memoOf<Snapshot<string>>(1_000)).update('k', deadlineIn(1_000), append('a'));
    expect(new Set(blanks).size).toBe(2);
    expect(fake.text('k')).toBe('a');
  });

  it('writes nothing for an edit without a next state, and decides it by a fresh read', async () => {
    const { fake, update } = start();
    await update(append('a'));
    fake.meddle('k', 'other');
    expect(await update(look)).toBe('other');
    expect(fake.calls).toEqual(['read', 'write', 'write', 'read']);
  });

  it('repeats an edit on a fresh read when its snapshot is out of date', async () => {
    const { fake, update } = start();
    await update(append('a'));
    fake.meddle('k', 'x');
    expect(await update(append('b'))).toBe('x');
    expect(fake.text('k')).toBe('xb');
    expect(fake.calls).toEqual(['read', 'write', 'write', 'write', 'read', 'write']);
  });

  it('reads again when the store did not return the hash of the last write', async () => {
    const { fake, update } = start();
    fake.meddle('k', '');
    fake.returnsHashes = false;
    await update(append('a'));
    await update(append('b'));
    expect(fake.calls).toEqual(['read', 'write', 'read', 'write']);
  });

  it('forgets snapshots that are over the weight of its memo', async () => {
    const { fake, update } = start(3);
    await update(append('aaa'), 'k1');
    await update(append('b'), 'k1');
    expect(fake.calls).toEqual(['read', 'write', 'write', 'read', 'write']);
  });

  it('writes edits together that come in one turn of the event loop', async () => {
    const { fake, update } = start();
    expect(await Promise.all(['a', 'b', 'c'].map((letter) => update(append(letter))))).toEqual(['', 'a', 'ab']);
    expect(fake.calls).toEqual(['read', 'write', 'write']);
    expect(fake.text('k')).toBe('abc');
  });

  it('writes edits of different cells apart', async () => {
    const { fake, update } = start();
    await Promise.all([update(append('a'), 'k1'), update(append('b'), 'k2')]);
    expect([fake.text('k1'), fake.text('k2')]).toEqual(['a', 'b']);
  });

  it('writes edits together that come while a write of their cell is under way', async () => {
    const { fake, update } = start();
    const later: Promise<unknown>[] = [];
    fake.beforeWrite = () => {
      if (later.length === 0) later.push(update(append('b')), update(append('c')));
    };
    await update(append('a'));
    await Promise.all(later);
    expect(fake.text('k')).toBe('abc');
    expect(fake.calls).toEqual(['read', 'write', 'write', 'write']);
  });

  it('recognizes its own write after the reply was lost and the write was sent again', async () => {
    const fake = new FakeStore();
    // The connection repeats a write without an answer: the first one was stored, so the second one finds another hash.
    const { write } = fake.store;
    const repeating: Store = {
      ...fake.store,
      write: async (...call) => {
        await write(...call);
        return write(...call);
      },
    };
    const cell = cells(repeating, codec, memoOf<Snapshot<string>>(1_000));
    expect(await cell.update('k', deadlineIn(1_000), append('a'))).toBe('');
    expect(fake.text('k')).toBe('a');
    expect(fake.calls).toEqual(['read', 'write', 'write', 'read', 'write', 'write', 'read']);
  });

  it('overwrites bytes that the codec does not know, if nothing newer replaced them', async () => {
    const { fake, update } = start();
    fake.values.set('k', 'foreign');
    expect(await update(append('a'))).toBe('');
    expect(fake.text('k')).toBe('a');
  });

  it('throws CacheUnavailableError when other writers are faster until the deadline', async () => {
    const fake = new FakeStore();
    const cell = cells(fake.store, codec, memoOf<Snapshot<string>>(1_000));
    let others = 0;
    fake.beforeWrite = (key) => {
      others += 1;
      fake.meddle(key, String(others));
    };
    const error = await cell.update('k', deadlineIn(60), append('a')).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(CacheUnavailableError);
    expect((error as Error).message).toMatch(/^other writers of one key were faster in each of \d+ attempts: try again$/);
  });

  it('rejects all edits of a write that fails, and works again afterwards', async () => {
    const { fake, update } = start();
    fake.meddle('k', '');
    fake.afterWrite = () => {
      throw new CacheUnavailableError('no answer');
    };
    const edits = await Promise.allSettled([update(append('a')), update(append('b'))]);
    expect(edits.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    fake.afterWrite = () => {};
    expect(await update(look)).toBe('ab');
  });

  it('gives each write a nonce of its own', () => {
    const nonces = Array.from({ length: 100 }, newNonce);
    expect(new Set(nonces).size).toBe(100);
    for (const nonce of nonces) expect(nonce).toMatch(/^\w{16}$/);
  });
});
