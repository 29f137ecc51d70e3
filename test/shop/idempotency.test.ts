import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type IdempotencyOptions, type IdempotentResult, idempotent } from '../../src/shop/idempotency.ts';
import { type DynamoDbLocal, HOW_TO_GET_JAVA, javaAvailable, startDynamoDbLocal } from '../servers/dynamodb-local.ts';
import { missing } from '../servers/requires.ts';
import { IDEMPOTENCY, invocation, ShopDatabase } from './shop.ts';
import { Process } from './shop-process.ts';

const SORTED: IdempotencyOptions = {
  tableName: 'sorted-records',
  keyAttribute: 'pk',
  sortKeyAttribute: 'sk',
  expiryAttribute: 'ends',
  inProgressExpiryAttribute: 'progressEnds',
  statusAttribute: 'state',
  dataAttribute: 'answer',
  validationAttribute: 'check',
  expiresAfterSeconds: 60,
};

describe.skipIf(missing(javaAvailable(), HOW_TO_GET_JAVA))('idempotency', { timeout: 60_000 }, () => {
  let local: DynamoDbLocal;
  let shop: ShopDatabase;
  beforeAll(async () => {
    local = await startDynamoDbLocal();
    shop = await ShopDatabase.create(local);
    await shop.createRecords(IDEMPOTENCY);
    await shop.createRecords(SORTED);
  });
  afterAll(async () => {
    shop?.client.destroy();
    await local?.close();
  });

  describe.each([
    ['a table with a key', IDEMPOTENCY],
    ['a table with a sort key, and attributes of other names', SORTED],
  ])('on %s', (_, options) => {
    let tests = 0;
    let key: { caller: string };
    let works: number;
    beforeEach(() => {
      tests += 1;
      works = 0;
      key = { caller: `ann-${tests}` };
    });
    const work = async () => {
      works += 1;
      return `answer ${works}`;
    };
    const once = (more: Partial<IdempotencyOptions> = {}) => idempotent(shop.client, 'test', { ...options, ...more });
    const send = (payload = 'p', doWork: () => Promise<string> = work): Promise<IdempotentResult> =>
      once()({ key, payload }, invocation(), doWork);
    const record = async () => {
      const records = await shop.records(options.tableName);
      return records.filter((found) => found[options.statusAttribute] !== undefined);
    };
    /** Changes the record of the test's only request, as if time had passed. */
    const age = async (before: readonly Record<string, unknown>[], changes: Record<string, unknown>): Promise<void> => {
      const known = new Set(before.map((found) => JSON.stringify([found[options.keyAttribute], found[options.sortKeyAttribute ?? '']])));
      const mine = (await record()).filter(
        (found) => !known.has(JSON.stringify([found[options.keyAttribute], found[options.sortKeyAttribute ?? '']])),
      );
      expect(mine).toHaveLength(1);
      const Item = marshall({ ...mine[0], ...changes });
      await shop.client.send(new PutItemCommand({ TableName: options.tableName, Item }));
    };

    it('returns the stored answer to a repeated request', async () => {
      expect(await send()).toEqual({ text: 'answer 1', replayed: false });
      expect(await send()).toEqual({ text: 'answer 1', replayed: true });
      expect(works).toBe(1);
    });

    it('stores only hashes of the request, under the configured attribute names', async () => {
      const before = await record();
      await send('a secret payload');
      const kept = (await record()).find((found) => !before.some((other) => JSON.stringify(other) === JSON.stringify(found)));
      expect(kept).toMatchObject({
        [options.statusAttribute]: 'COMPLETED',
        [options.dataAttribute]: 'answer 1',
        [options.expiryAttribute]: expect.closeTo(Date.now() / 1_000 + options.expiresAfterSeconds, -1),
        [options.inProgressExpiryAttribute]: expect.closeTo(Date.now() + 29_000, -4),
        [options.validationAttribute]: expect.stringMatching(/^[\w+/]{43}=$/),
        [options.sortKeyAttribute ?? options.keyAttribute]: expect.stringMatching(/^test#[\w+/]{43}=$/),
      });
      expect(JSON.stringify(kept)).not.toMatch(/secret|ann-/);
    });

    it('does the work again after the record has expired', async () => {
      const before = await record();
      await send();
      await age(before, { [options.expiryAttribute]: Math.floor(Date.now() / 1_000) - 1 });
      expect(await send()).toEqual({ text: 'answer 2', replayed: false });
      expect(await send()).toEqual({ text: 'answer 2', replayed: true });
    });

    it('refuses a request that is in progress, and does its work once', async () => {
      let go = () => {};
      const gate = new Promise<void>((resolve) => {
        go = resolve;
      });
      let begun = () => {};
      const started = new Promise<void>((resolve) => {
        begun = resolve;
      });
      const first = send('p', async () => {
        begun();
        await gate;
        return work();
      });
      await started;
      await expect(send()).rejects.toMatchObject({ name: 'IdempotencyAlreadyInProgressError' });
      go();
      expect(await first).toEqual({ text: 'answer 1', replayed: false });
      expect(await send()).toEqual({ text: 'answer 1', replayed: true });
    });

    it("repeats a dead process's request only after the time of that process is over", async () => {
      const mortal = new Process((_, call) => (call === 2 ? 'dies before' : undefined));
      const died = Date.now();
      expect(await mortal.run(() => once()({ key, payload: 'p' }, invocation(400), work))).toBeUndefined();
      await expect(send()).rejects.toMatchObject({ name: 'IdempotencyAlreadyInProgressError' });
      expect(Date.now() - died).toBeLessThan(400);
      await new Promise((resolve) => setTimeout(resolve, 450));
      expect(await send()).toEqual({ text: 'answer 2', replayed: false });
    });

    it('refuses another payload for the same key, after the first request and during it', async () => {
      await send();
      await expect(send('tampered')).rejects.toMatchObject({ name: 'IdempotencyValidationError' });
      expect(works).toBe(1);

      key = { caller: `${key.caller}-again` };
      const inner = send('p', async () => {
        await expect(send('tampered')).rejects.toMatchObject({ name: 'IdempotencyValidationError' });
        return work();
      });
      expect(await inner).toEqual({ text: 'answer 2', replayed: false });
    });

    it('deletes the record if the work throws, and rethrows', async () => {
      const before = (await record()).length;
      await expect(
        send('p', async () => {
          throw new Error('the oven is cold');
        }),
      ).rejects.toThrow('the oven is cold');
      expect(await record()).toHaveLength(before);
      expect(await send()).toEqual({ text: 'answer 1', replayed: false });
    });

    it('does the work again if the stored answer is not current', async () => {
      await send();
      let current = false;
      const asked = () => once()({ key, payload: 'p' }, invocation(), work, async () => current);
      expect(await asked()).toEqual({ text: 'answer 2', replayed: false });
      current = true;
      expect(await asked()).toEqual({ text: 'answer 2', replayed: true });
    });

    it('keeps a stored answer that has replaced the outdated one', async () => {
      const before = await record();
      await send();
      let asked = 0;
      const outcome = await once()({ key, payload: 'p' }, invocation(), work, async () => {
        asked += 1;
        // Another process has replaced the record.
        if (asked === 1) await age(before, { [options.dataAttribute]: 'of another', [options.expiryAttribute]: 4_000_000_000 });
        return asked > 1;
      });
      expect(outcome).toEqual({ text: 'of another', replayed: true });
      expect(works).toBe(1);
    });

    it('fails if the stored answer is never current', async () => {
      await send();
      await expect(
        once()({ key, payload: 'p' }, invocation(), work, async () => {
          await send('p');
          return false;
        }),
      ).resolves.toMatchObject({ replayed: false });
    });

    it('stores an answer that is larger than an item', async () => {
      const large = JSON.stringify(Array.from({ length: 60_000 }, (_, n) => ({ product: n % 977 })));
      expect(large.length).toBeGreaterThan(900_000);
      await send('p', async () => large);
      expect(await send()).toEqual({ text: large, replayed: true });
    });
  });

  it('separates the records of works with different names', async () => {
    const request = { key: { caller: 'bob' }, payload: '' };
    await idempotent(shop.client, 'one', IDEMPOTENCY)(request, invocation(), async () => 'first');
    const other = await idempotent(shop.client, 'two', IDEMPOTENCY)(request, invocation(), async () => 'second');
    expect(other).toEqual({ text: 'second', replayed: false });
  });
});
