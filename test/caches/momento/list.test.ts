import { deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { BoundedList, type ListContent } from '../../../src/caches/list/bounded-list.ts';
import { type ListCell, leaseList, listCodec, settleList } from '../../../src/caches/momento/list.ts';
import { packList } from '../../../src/caches/momento/list-text.ts';
import { FLOOR, versionOf } from '../../../src/version.ts';

const version = (n: number) => versionOf('2026-11-22T03:01:52.091', String(n));
const NONCE = 'abcdef0123456789';
const BIRTH = '0123456789abcdef';

/** A list as an earlier version wrote it. Its compressed part differs between versions of zlib, so only reading it is tested. */
const BYTES = Buffer.from(
  'TTFsYWJjZGVmMDEyMzQ1Njc4OTAxMjM0NTY3ODlhYmNkZWaNjjEOwjAQBHuesfUFbIckxO+gQylMMCjC2FHsIKQoT6CkpuYdfIgnIAOCltvmdvZWugFrF4I7QHKCcT5' +
    'AMoLXIRi9ecG209vmBAnBRJ5wngixZKlkXGZiyko+Y/8NCEfd+cZZD7myvTEEAUIKwhwVwaqDjlFGaVRF8EGFiGDMbgtCq9X+Wy6poEU8ql336eUV4ahM/7IFFTFtbK0hV7' +
    'z4fcmrcYL77XE9XzDAQmYj1HvLR6yBGk8=',
  'base64',
);
const CONTENT: ListContent = {
  bottom: 1,
  lost: 0,
  settled: 1,
  highest: 1,
  dropped: FLOOR,
  members: [
    { name: 'é🍕', state: 'live', version: FLOOR, peak: 5, score: 5, json: '{"n":5}' },
    { name: 'a', state: 'live', version: version(2), peak: 9, score: 6, json: '{"n":6}' },
    { name: 'b', state: 'gone', version: version(3), peak: 7, since: 1_700_000_000_001 },
    { name: 'c', state: 'forgotten', version: version(4), peak: 8 },
  ],
};

describe('the stored form of a list', () => {
  const codec = listCodec(1_000_000, { entryTtlMs: 2_000, tombstoneTtlMs: 3_000, absentTtlMs: 60_000 });

  it('reads a list that an earlier version wrote', () => {
    const decoded = codec.decode(BYTES);
    expect(decoded?.nonce).toBe(NONCE);
    expect(decoded?.state.birth).toBe(BIRTH);
    expect(decoded?.state.list.content).toEqual(CONTENT);
  });

  it('writes mark, nonce and birth before a list, and reads back the same list', () => {
    const list = BoundedList.of(CONTENT);
    const { bytes } = codec.encode({ birth: BIRTH, list }, NONCE);
    expect(Buffer.from(bytes).subarray(0, 35).toString()).toBe(`M1l${NONCE}${BIRTH}`);
    expect(codec.decode(bytes)).toMatchObject({ nonce: NONCE, state: { birth: BIRTH } });
    expect(codec.decode(bytes)?.state.list.content).toEqual(CONTENT);
  });

  it('gives a list that dropped versions, and that an earlier version wrote, a new birth', () => {
    const text = packList({ ...CONTENT, lost: 4 }).replace(/"highest":[^,]*,"dropped":[^,]*,/, '');
    const bytes = Buffer.concat([Buffer.from(`M1l${NONCE}${BIRTH}`), deflateRawSync(text)]);
    const state = codec.decode(bytes)?.state;
    expect(state?.birth).not.toBe(BIRTH);
    expect(state?.list.content).toEqual({ ...CONTENT, lost: 4, settled: 0 });
  });

  it('stores the new birth of a list with a lease, so that the lease can be settled', () => {
    const text = packList({ ...CONTENT, lost: 4 }).replace(/"highest":[^,]*,"dropped":[^,]*,/, '');
    const read = () => codec.decode(Buffer.concat([Buffer.from(`M1l${NONCE}${BIRTH}`), deflateRawSync(text)]))?.state;
    const { result: seen, next } = leaseList()(read());
    const stored = codec.decode(codec.encode(next as ListCell, NONCE).bytes)?.state;
    expect(stored?.birth).toBe(seen.birth);
    const settle = settleList(seen, { kind: 'list', newest: [] }, 3, () => false);
    expect(settle(read()).result).toBe(false);
    expect(settle(stored).result).toBe(true);
    expect(leaseList()(stored).next).toBeUndefined();
  });

  it('refuses bytes that are no list', () => {
    for (const text of ['', 'text', 'M1l', `M1l${'x'.repeat(40)}`]) expect(codec.decode(Buffer.from(text))).toBeUndefined();
  });

  it('gives an unknown list the TTL of absent items, one without live members the tombstone TTL, and others the longer of both TTLs', () => {
    const withMarker = new BoundedList();
    withMarker.apply({ kind: 'member', type: 'delete', list: 'l', member: 'm', score: 1, keep: 1, version: version(1) }, 0, 1);
    const withMember = BoundedList.of(CONTENT);
    const ttls = (entryTtlMs: number) => {
      const { ttlMs } = listCodec(1_000, { entryTtlMs, tombstoneTtlMs: 3_000, absentTtlMs: 60_000 });
      return [new BoundedList(), withMarker, withMember].map((list) => ttlMs({ birth: BIRTH, list }));
    };
    expect([ttls(2_000), ttls(4_000)]).toEqual([
      [60_000, 3_000, 3_000],
      [60_000, 3_000, 4_000],
    ]);
  });

  it('cuts a list that is too large to its newest members', () => {
    const list = new BoundedList();
    for (let n = 0; n < 50; n += 1) {
      const json = JSON.stringify(Array.from({ length: 40 }, (_, i) => (n * 7_919 + i * i * 104_729) % 99_991));
      list.apply({ kind: 'member', type: 'put', list: 'l', member: `m${n}`, score: n, keep: 100, version: version(n), json }, 0, 1);
    }
    const { bytes } = listCodec(3_000, { entryTtlMs: 1, tombstoneTtlMs: 1, absentTtlMs: 60_000 }).encode({ birth: BIRTH, list }, NONCE);
    expect(bytes.length).toBeLessThanOrEqual(3_000);
    expect(list.size).toBeGreaterThan(5);
    expect(list.size).toBeLessThan(50);
    expect(list.content.members.at(-1)?.name).toBe('m49');
  });
});
