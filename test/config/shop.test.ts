import { join } from 'node:path';
import { build } from 'esbuild';
import { describe, expect, it } from 'vitest';
import { parseShopConfig } from '../../src/config/shop.ts';
import { ConfigurationError } from '../../src/errors.ts';

const ROOT = join(import.meta.dirname, '../..');
const NAMES = { TABLE_NAME: 'shop', IDEMPOTENCY_TABLE_NAME: 'records' };

function faultsOf(env: Parameters<typeof parseShopConfig>[0]): readonly string[] {
  try {
    parseShopConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message
      .split('\n')
      .slice(1)
      .map((fault) => fault.trim());
  }
  throw new Error('no fault was found');
}

describe('parseShopConfig', () => {
  it("needs the names of two tables, and has the idempotency library's defaults", () => {
    expect(parseShopConfig(NAMES)).toEqual({
      tableName: 'shop',
      idempotency: {
        tableName: 'records',
        keyAttribute: 'id',
        sortKeyAttribute: undefined,
        expiryAttribute: 'expiration',
        inProgressExpiryAttribute: 'in_progress_expiration',
        statusAttribute: 'status',
        dataAttribute: 'data',
        validationAttribute: 'validation',
        expiresAfterSeconds: 3_600,
      },
      allowedOrigins: [],
      cookie: { maxAgeSeconds: 2_592_000, sameSite: 'None' },
      linesAtOnce: 8,
    });
    expect(parseShopConfig({ ...NAMES, IDEMPOTENCY_SORT_KEY_ATTRIBUTE: '', CORS_ALLOWED_ORIGINS: ' ' })).toEqual(parseShopConfig(NAMES));
  });

  it('reads every variable of the write side', () => {
    const env = {
      ...NAMES,
      IDEMPOTENCY_KEY_ATTRIBUTE: 'pk',
      IDEMPOTENCY_SORT_KEY_ATTRIBUTE: 'sk',
      IDEMPOTENCY_EXPIRY_ATTRIBUTE: 'a',
      IDEMPOTENCY_IN_PROGRESS_EXPIRY_ATTRIBUTE: 'b',
      IDEMPOTENCY_STATUS_ATTRIBUTE: 'c',
      IDEMPOTENCY_DATA_ATTRIBUTE: 'd',
      IDEMPOTENCY_VALIDATION_ATTRIBUTE: 'e',
      IDEMPOTENCY_EXPIRES_AFTER_SECONDS: '60',
      CORS_ALLOWED_ORIGINS: 'https://shop.example, http://localhost:3000',
      CART_COOKIE_MAX_AGE_SECONDS: '0',
      CART_COOKIE_SAME_SITE: 'Lax',
      CART_LINES_AT_ONCE: '1',
    };
    expect(parseShopConfig(env)).toEqual({
      tableName: 'shop',
      idempotency: {
        tableName: 'records',
        keyAttribute: 'pk',
        sortKeyAttribute: 'sk',
        expiryAttribute: 'a',
        inProgressExpiryAttribute: 'b',
        statusAttribute: 'c',
        dataAttribute: 'd',
        validationAttribute: 'e',
        expiresAfterSeconds: 60,
      },
      allowedOrigins: ['https://shop.example', 'http://localhost:3000'],
      cookie: { maxAgeSeconds: 0, sameSite: 'Lax' },
      linesAtOnce: 1,
    });
  });

  it('lists every fault of the write side, each with the allowed values', () => {
    const faults = faultsOf({
      IDEMPOTENCY_KEY_ATTRIBUTE: 'id',
      IDEMPOTENCY_DATA_ATTRIBUTE: 'id',
      IDEMPOTENCY_TABLE_NAME: 'records',
      CORS_ALLOWED_ORIGINS: '*,https://shop.example/cart',
    });
    expect(faults).toEqual([
      'TABLE_NAME is absent: give the name of a DynamoDB table',
      expect.stringMatching(/^CORS_ALLOWED_ORIGINS has "\*": give origins/),
      expect.stringMatching(/^CORS_ALLOWED_ORIGINS has "https:\/\/shop\.example\/cart": give origins/),
      'IDEMPOTENCY_DATA_ATTRIBUTE is "id", like IDEMPOTENCY_KEY_ATTRIBUTE: give each attribute its own name',
    ]);
    const numbers = { IDEMPOTENCY_EXPIRES_AFTER_SECONDS: '0', CART_LINES_AT_ONCE: 'all', CART_COOKIE_SAME_SITE: 'none' };
    expect(faultsOf({ ...NAMES, ...numbers })).toEqual([
      'IDEMPOTENCY_EXPIRES_AFTER_SECONDS is "0": give 1 or more',
      'CART_COOKIE_SAME_SITE is "none": use Strict or Lax or None',
      'CART_LINES_AT_ONCE is "all": give a whole number',
    ]);
  });
});

describe('the bundle of a function', () => {
  const texts = async (name: string) => {
    const { outputFiles } = await build({
      absWorkingDir: ROOT,
      entryPoints: [`src/lambdas/${name}.ts`],
      bundle: true,
      write: false,
      splitting: true,
      format: 'esm',
      platform: 'node',
      outdir: 'out',
      logLevel: 'error',
    });
    return outputFiles.map(({ text }) => text).join('\n');
  };

  it.each([
    ['stream', ['CACHE_BACKEND'], ['IDEMPOTENCY_TABLE_NAME', 'CART_COOKIE', 'READ_UNITS_PER_SECOND', 'client-dynamodb']],
    ['redrive', ['CACHE_BACKEND', 'READ_UNITS_PER_SECOND'], ['IDEMPOTENCY_TABLE_NAME', 'CART_COOKIE']],
    ['backfill', ['CACHE_BACKEND', 'READ_UNITS_PER_SECOND', 'BACKFILL_CHECKPOINTS'], ['IDEMPOTENCY_TABLE_NAME', 'CART_COOKIE']],
    ['migrate-cart', ['IDEMPOTENCY_TABLE_NAME', 'CART_COOKIE'], ['CACHE_BACKEND', 'READ_UNITS_PER_SECOND', 'ADMIN_SCOPE']],
    ['import-orders', ['IDEMPOTENCY_TABLE_NAME'], ['CACHE_BACKEND', 'READ_UNITS_PER_SECOND', 'ADMIN_SCOPE']],
    ['read', ['CACHE_BACKEND', 'READ_UNITS_PER_SECOND', 'ADMIN_SCOPE'], ['IDEMPOTENCY_TABLE_NAME', 'CART_COOKIE']],
  ])('contains the variables that %s reads, and no others', async (name, present, absent) => {
    const bundle = await texts(name);
    for (const text of present) expect(bundle, text).toContain(text);
    for (const text of absent) expect(bundle, text).not.toContain(text);
  });
});
