import type { CacheClient } from '../../src/cache.ts';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import type { Mutation } from '../../src/mutation.ts';
import type { Fault } from '../../src/verify/observation.ts';
import { type Version, versionOf } from '../../src/version.ts';
import type { World, WorldOptions } from './world.ts';

/** Something that is broken, and what it does to the cache. */
export interface Broken {
  readonly name: string;
  readonly options?: Omit<WorldOptions, 'seed'>;
  /** What breaks the cache at one moment, after the load. */
  readonly strike?: (world: World) => Promise<void>;
  /** How long it may break the cache before anybody looks, ms. */
  readonly loadMs?: number;
  /** Kinds of violation that it must show. */
  readonly shows: readonly Fault[];
}

/** Versions that are newer than all before, as if versions did not count. */
function newest(): () => Version {
  let n = 0;
  return () => {
    n += 1;
    return versionOf('2027-01-01T00:00:00.000', String(n));
  };
}

function ignoringVersions(cache: CacheClient, next: () => Version): CacheClient {
  return { ...cache, apply: (mutations) => cache.apply(mutations.map((mutation) => ({ ...mutation, version: next() }))) };
}

function isOf(record: StreamRecord, name: 'INSERT' | 'MODIFY' | 'REMOVE'): boolean {
  return record.eventName === name;
}

/** Drops one in `oneIn` records, the same ones at each delivery, and applies all others. */
function dropping(oneIn: number): Omit<WorldOptions, 'seed'> {
  return {
    spoil: (record, world) =>
      world.isLoaded && Number(BigInt(record.dynamodb?.SequenceNumber ?? 0) % BigInt(oneIn)) === 0 ? [] : [record],
  };
}

const ofWorkshop = newest();
const ofNobody = newest();

export const BROKEN: readonly Broken[] = [
  {
    name: 'one record in a hundred is dropped',
    options: { ...dropping(100), things: 1_500 },
    shows: ['old-value'],
  },
  {
    name: 'one record in a thousand is dropped',
    options: { ...dropping(1_000), things: 3_000 },
    loadMs: 600_000,
    // So few records are dropped that they may be of any kind.
    shows: [],
  },
  {
    name: 'versions are ignored, and records come late',
    options: { workerCache: (cache) => ignoringVersions(cache, ofNobody), stragglers: true },
    shows: ['old-value', 'extra-member'],
  },
  {
    name: 'the old image is ignored',
    options: {
      spoil: (record) => {
        const { dynamodb } = record;
        return [isOf(record, 'MODIFY') ? { ...record, dynamodb: { ...dynamodb, OldImage: dynamodb?.NewImage } } : record];
      },
    },
    shows: ['extra-member'],
  },
  {
    name: 'lists are sealed without their mark',
    async strike({ cache, lists }) {
      for (const list of [...lists].slice(0, 10)) {
        const page = await cache.list(list, { limit: 1_000 });
        cache.evict({ kind: 'list', list, keep: 60 });
        // Half of its members were read by the scan before the eviction.
        const half = page.members.filter((_, i) => i % 2 === 0);
        await cache.mark([{ list, keep: 60 }], 'again');
        await cache.fill(
          [{ list, keep: 60, members: half.map(({ member, score, value }) => ({ member, score, json: JSON.stringify(value) })) }],
          'again',
        );
        await cache.seal([list], 'again');
      }
    },
    shows: ['missing-member'],
  },
  {
    name: 'readers take the lease after they have read',
    options: { lateLeases: true, things: 1_500 },
    shows: ['old-value'],
  },
  {
    name: "the workshop's algorithm",
    options: {
      stragglers: true,
      // Deletes from another list than it writes to, never cleans the list of an earlier owner, and takes errors for answers.
      workerCache: (cache) => ({
        ...cache,
        async apply(mutations) {
          const kept = mutations.filter((mutation) => {
            if (mutation.type !== 'delete' || mutation.kind !== 'member') return true;
            const isRemoval = mutations.some(({ kind, type }) => kind === 'document' && type === 'delete');
            return isRemoval && mutation.list !== 'ranking@1:all';
          });
          await cache.apply(kept.map((mutation) => ({ ...mutation, version: ofWorkshop() }) as Mutation)).catch(() => {});
          return mutations.map(() => ({ type: 'applied' }) as const);
        },
      }),
    },
    shows: ['extra-member', 'old-value'],
  },
  {
    name: 'keys are written by hand',
    async strike({ cache, documents, upTo }) {
      const version = versionOf('2026-06-01T00:00:00.000', '1');
      const keys = [...documents].filter(() => upTo(10) === 0);
      await cache.apply(
        keys.map((key, i) =>
          i % 3 === 0
            ? { kind: 'document', type: 'delete', key, version }
            : { kind: 'document', type: 'put', key, version, json: JSON.stringify({ by: 'hand' }) },
        ),
      );
    },
    shows: ['old-value', 'hidden-item'],
  },
  {
    name: 'acknowledged writes of ten seconds are lost',
    options: {
      workerCache: (cache, world) => ({
        ...cache,
        apply: async (mutations) => {
          // As a primary that dies before it has replicated: each minute, what ten seconds brought.
          const isLost = world.isLoaded && world.clock.now() % 60_000 < 10_000;
          return isLost ? mutations.map(() => ({ type: 'applied' }) as const) : await cache.apply(mutations);
        },
      }),
    },
    shows: ['old-value'],
  },
];
