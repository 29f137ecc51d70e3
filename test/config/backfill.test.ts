import { describe, expect, it } from 'vitest';
import { cacheId, parseBackfillFunctionConfig } from '../../src/config/backfill.ts';

const ENV = {
  TABLE_NAME: 'orders',
  BACKFILL_CHECKPOINTS: 's3://checkpoints/orders',
  CACHE_BACKEND: 'valkey',
  CACHE_URL: 'valkey://:word@cache:6379',
};

describe('parseBackfillFunctionConfig', () => {
  it('has defaults for all but the table, the checkpoints and the cache', () => {
    expect(parseBackfillFunctionConfig(ENV)).toMatchObject({
      tableName: 'orders',
      checkpoints: { kind: 's3', bucket: 'checkpoints', prefix: 'orders/' },
      readUnitsPerSecond: 500,
      segmentsAtOnce: 10,
      cache: { backend: 'valkey', deadlineMs: 5_000 },
    });
  });

  it.each([
    [{ TABLE_NAME: '' }, 'TABLE_NAME is absent: give the name of a DynamoDB table'],
    [{ BACKFILL_CHECKPOINTS: '' }, 'BACKFILL_CHECKPOINTS is absent: give s3://BUCKET or a folder'],
    [{ BACKFILL_CHECKPOINTS: 'ftp://x' }, 'BACKFILL_CHECKPOINTS is "ftp://x": give s3://BUCKET'],
    [{ BACKFILL_CHECKPOINTS_BUCKET_OWNER: '12' }, 'BACKFILL_CHECKPOINTS_BUCKET_OWNER is "12": give the 12 digits of an AWS account'],
    [{ SEGMENTS_AT_ONCE: '0' }, 'SEGMENTS_AT_ONCE is "0": give 1 or more'],
    [{ READ_UNITS_PER_SECOND: 'all' }, 'READ_UNITS_PER_SECOND is "all": give a whole number'],
    [{ CACHE_BACKEND: 'memory' }, 'CACHE_BACKEND is "memory": that cache ends with this process'],
    [{ CACHE_BACKEND: '' }, 'CACHE_BACKEND is absent, so the cache is memory: that cache ends with this process'],
  ])('names the fault of %j', (env, message) => {
    expect(() => parseBackfillFunctionConfig({ ...ENV, ...env })).toThrow(message);
  });

  it('lists all faults', () => {
    expect(() => parseBackfillFunctionConfig({})).toThrow(
      /TABLE_NAME is absent[\s\S]*BACKFILL_CHECKPOINTS is absent[\s\S]*CACHE_BACKEND is absent/,
    );
  });

  it('tells caches apart without showing a password', () => {
    const { cache } = parseBackfillFunctionConfig(ENV);
    const other = parseBackfillFunctionConfig({ ...ENV, CACHE_NAMESPACE: 'other' }).cache;
    expect(cacheId(cache)).toMatch(/^[\da-f]{16}$/);
    expect(cacheId(other)).not.toBe(cacheId(cache));
  });
});
