import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { idMap } from '../../src/shop/ids.ts';
import { type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { ShopDatabase } from './shop.ts';
import { Process } from './shop-process.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('idMap', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  let shop: ShopDatabase;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
    shop = await ShopDatabase.create(local);
  });
  afterAll(async () => {
    shop?.client.destroy();
    await local?.close();
  });

  describe.each(['put', 'transaction'] as const)('by a %s', (by) => {
    const command = { put: 'PutItemCommand', transaction: 'TransactWriteItemsCommand' }[by];

    it('returns the same id to 200 concurrent callers, by one call each', async () => {
      const process = new Process();
      const mapId = idMap(shop, { by });
      const ids = await process.run(() => Promise.all(Array.from({ length: 200 }, () => mapId(`${by}-1`))));
      expect(ids).toHaveLength(200);
      expect(new Set(ids).size).toBe(1);
      expect(process.calls).toEqual(Array.from({ length: 200 }, () => command));
      expect(await shop.lines(`legacy#${by}-1`)).toEqual([{ pk: `legacy#${by}-1`, sk: 'id', newId: ids?.[0] }]);
    });

    it('returns the same id later, by either kind of call', async () => {
      const first = await idMap(shop, { by })(`${by}-2`);
      const process = new Process();
      const other = by === 'put' ? 'transaction' : 'put';
      expect(await process.run(() => idMap(shop, { by })(`${by}-2`))).toBe(first);
      expect(process.calls).toEqual([command]);
      expect(await idMap(shop, { by: other })(`${by}-2`)).toBe(first);
    });

    it('creates ids that are UUIDv7, differ, and sort by their creation', async () => {
      const mapId = idMap(shop, { by });
      const ids: string[] = [];
      for (let n = 0; n < 20; n += 1) ids.push(await mapId(`${by}-sorted-${n}`));
      for (const id of ids) expect(id).toMatch(UUID_V7);
      expect([...new Set(ids)].sort()).toEqual(ids);
    });

    it('returns the id of an earlier call whose answer was lost', async () => {
      const process = new Process((_, call) => (call === 1 ? 'lost' : undefined));
      const mapId = idMap(shop, { by });
      await expect(process.run(() => mapId(`${by}-3`))).rejects.toThrow('TimeoutError');
      const [row] = await shop.lines(`legacy#${by}-3`);
      expect(await mapId(`${by}-3`)).toBe(row?.newId);
    });

    it('refuses an empty legacy id', async () => {
      await expect(idMap(shop, { by })('')).rejects.toThrow(RangeError);
    });
  });

  it('repeats a transaction after a conflict', async () => {
    const process = new Process((_, call) => (call <= 3 ? 'conflict' : undefined));
    expect(await process.run(() => idMap(shop, { by: 'transaction' })('t-conflict'))).toMatch(UUID_V7);
    expect(process.calls).toHaveLength(4);
  });

  it('throws if the endpoint does not return the existing item', async () => {
    await shop.put({ pk: 'legacy#bare', sk: 'id' });
    await expect(idMap(shop)('bare')).rejects.toThrow('the refusal contains no newId');
  });
});
