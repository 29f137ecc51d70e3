import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { idMap } from '../../src/shop/ids.ts';
import { type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { ShopDatabase } from './shop.ts';
import { Process } from './shop-process.ts';

const UUID_V7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('the new id of a legacy id', { timeout: 60_000 }, () => {
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

    it('is one, in one call each, for 200 callers at once', async () => {
      const process = new Process();
      const mapId = idMap(shop, { by });
      const ids = await process.run(() => Promise.all(Array.from({ length: 200 }, () => mapId(`${by}-1`))));
      expect(ids).toHaveLength(200);
      expect(new Set(ids).size).toBe(1);
      expect(process.calls).toEqual(Array.from({ length: 200 }, () => command));
      expect(await shop.lines(`legacy#${by}-1`)).toEqual([{ pk: `legacy#${by}-1`, sk: 'id', newId: ids?.[0] }]);
    });

    it('stays the same for ever, whoever asks', async () => {
      const first = await idMap(shop, { by })(`${by}-2`);
      const process = new Process();
      const other = by === 'put' ? 'transaction' : 'put';
      expect(await process.run(() => idMap(shop, { by })(`${by}-2`))).toBe(first);
      expect(process.calls).toEqual([command]);
      expect(await idMap(shop, { by: other })(`${by}-2`)).toBe(first);
    });

    it('is a UUIDv7, and another for each legacy id, later ones greater', async () => {
      const mapId = idMap(shop, { by });
      const ids: string[] = [];
      for (let n = 0; n < 20; n += 1) ids.push(await mapId(`${by}-sorted-${n}`));
      for (const id of ids) expect(id).toMatch(UUID_V7);
      expect([...new Set(ids)].sort()).toEqual(ids);
    });

    it('is what was mapped when an answer was lost', async () => {
      const process = new Process((_, call) => (call === 1 ? 'lost' : undefined));
      const mapId = idMap(shop, { by });
      await expect(process.run(() => mapId(`${by}-3`))).rejects.toThrow('TimeoutError');
      const [row] = await shop.lines(`legacy#${by}-3`);
      expect(await mapId(`${by}-3`)).toBe(row?.newId);
    });

    it('does not exist for an empty legacy id', async () => {
      await expect(idMap(shop, { by })('')).rejects.toThrow(RangeError);
    });
  });

  it('outlasts a conflict of transactions', async () => {
    const process = new Process((_, call) => (call <= 3 ? 'conflict' : undefined));
    expect(await process.run(() => idMap(shop, { by: 'transaction' })('t-conflict'))).toMatch(UUID_V7);
    expect(process.calls).toHaveLength(4);
  });

  it('says so when the endpoint does not tell the row', async () => {
    await shop.put({ pk: 'legacy#bare', sk: 'id' });
    await expect(idMap(shop)('bare')).rejects.toThrow('no newId came with the refusal');
  });
});
