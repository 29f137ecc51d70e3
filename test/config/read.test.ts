import { describe, expect, it } from 'vitest';
import { parseReadConfig } from '../../src/config/read.ts';
import { parseConfig } from '../../src/config/worker.ts';
import { ConfigurationError } from '../../src/errors.ts';

const VALKEY = { CACHE_BACKEND: 'valkey', CACHE_URL: 'valkey://localhost:6379' };

function faultsOf(env: Parameters<typeof parseReadConfig>[0]): readonly string[] {
  try {
    parseReadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message
      .split('\n')
      .slice(1)
      .map((fault) => fault.trim());
  }
  throw new Error('no fault was found');
}

describe('parseReadConfig', () => {
  it('needs only the name of the table', () => {
    expect(parseReadConfig({ TABLE_NAME: 'shop' })).toEqual({
      // No worker keeps the memory of the function up to date.
      cache: { ...parseConfig({}), entryTtlMs: 10_000, tombstoneTtlMs: 10_000 },
      tableName: 'shop',
      adminScope: 'orders/admin',
      readUnitsPerSecond: 500,
      allowedOrigins: [],
    });
  });

  it("reads every variable, and those of the worker's cache", () => {
    const env = {
      ...VALKEY,
      TABLE_NAME: 'shop',
      ADMIN_SCOPE: 'staff',
      READ_UNITS_PER_SECOND: '25',
      CORS_ALLOWED_ORIGINS: 'https://a.example',
    };
    expect(parseReadConfig(env)).toEqual({
      cache: parseConfig(VALKEY),
      tableName: 'shop',
      adminScope: 'staff',
      readUnitsPerSecond: 25,
      allowedOrigins: ['https://a.example'],
    });
  });

  it('lists every fault, those of the cache too, each with the allowed values', () => {
    expect(faultsOf({ CACHE_BACKEND: 'valkey', ADMIN_SCOPE: 'two scopes', READ_UNITS_PER_SECOND: '0', CORS_ALLOWED_ORIGINS: '*' })).toEqual(
      [
        'ADMIN_SCOPE is "two scopes": give one scope, without spaces',
        'READ_UNITS_PER_SECOND is "0": give 1 or more',
        'TABLE_NAME is absent: give the name of a DynamoDB table',
        'CORS_ALLOWED_ORIGINS has "*": give origins such as https://shop.example, separated by commas',
        expect.stringMatching(/^CACHE_URL is absent/),
      ],
    );
  });
});
