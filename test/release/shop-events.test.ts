import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, describe, expect, it } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import { parseReadConfig } from '../../src/config/read.ts';
import { parseShopConfig } from '../../src/config/shop.ts';
import { importOrdersApi } from '../../src/shop/import-orders-api.ts';
import { migrateCartApi } from '../../src/shop/migrate-cart-api.ts';
import { readApi } from '../../src/shop/read-api.ts';
import { invocation, watched, witness } from '../shop/shop.ts';

const EVENTS = join(import.meta.dirname, '../../events/api');
const namesIn = (folder: string) => readdirSync(folder).filter((name) => name.endsWith('.json'));
const read = (...path: string[]) => JSON.parse(readFileSync(join(EVENTS, ...path), 'utf8'));

describe('events/api/', () => {
  const names = namesIn(EVENTS);
  const client = new DynamoDBClient({ endpoint: 'http://127.0.0.1:1', region: 'eu-west-1' });
  const options = { ...parseShopConfig({ TABLE_NAME: 'shop', IDEMPOTENCY_TABLE_NAME: 'records' }), ...watched(witness()), client };
  const functions = {
    MigrateCartFunction: migrateCartApi(options),
    ImportOrdersFunction: importOrdersApi(options),
    ReadFunction: readApi({ ...parseReadConfig({ TABLE_NAME: 'shop' }), ...watched(witness()), client, cache: memoryCache() }),
  };
  afterAll(() => client.destroy());

  it('has one expectation an event, and tells of each in its README', () => {
    expect(namesIn(join(EVENTS, 'expected'))).toEqual(names);
    const rows = readFileSync(join(EVENTS, 'README.md'), 'utf8').matchAll(/^\| `([^`]+\.json)` \|/gm);
    expect([...rows].map(([, name]) => name).sort()).toEqual(names);
  });

  it.each(names.filter((name) => read('expected', name).response))('%s is answered as recorded', async (name) => {
    const { function: of, response } = read('expected', name) as { function: keyof typeof functions; response: unknown };
    expect(await functions[of](read(name), invocation())).toEqual(response);
  });
});
