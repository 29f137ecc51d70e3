import { DeleteItemCommand, GetItemCommand, PutItemCommand, ScanCommand, type ScanCommandOutput } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import { expect, it } from 'vitest';
import { memoryCache } from '../../src/caches/memory.ts';
import type { StreamRecord } from '../../src/dynamodb/record.ts';
import { createReader } from '../../src/fill/reader.ts';
import { memoryTable } from '../../src/playground/memory-table.ts';
import { views } from '../../src/views/index.ts';

const line = (id: string, quantity: number) => ({ pk: 'cart#1', sk: `product#${id}`, quantity });

function tableOf(keepRecords?: number) {
  const table = memoryTable({ name: 'shop', keys: ['pk', 'sk'], ...(keepRecords !== undefined && { keepRecords }) });
  const put = (item: object) => table.client.send(new PutItemCommand({ TableName: 'shop', Item: marshall(item) }));
  const remove = (id: string) =>
    table.client.send(new DeleteItemCommand({ TableName: 'shop', Key: marshall({ pk: 'cart#1', sk: `product#${id}` }) }));
  return { table, put, remove };
}

it('writes one record a change, with both images, and none for a write that changes nothing', async () => {
  const { table, put, remove } = tableOf();
  const records: StreamRecord[] = [];
  table.watch((record) => records.push(record));
  await put(line('a', 1));
  await put(line('a', 1));
  await put(line('a', 2));
  await remove('a');
  await remove('a');
  const [one, two] = [marshall(line('a', 1)), marshall(line('a', 2))];
  expect(records.map(({ eventName, dynamodb }) => [eventName, dynamodb?.OldImage, dynamodb?.NewImage])).toEqual([
    ['INSERT', undefined, one],
    ['MODIFY', one, two],
    ['REMOVE', two, undefined],
  ]);
  await expect(put({ pk: 'cart#1' })).rejects.toThrow('the item lacks the key attribute sk');
});

it('answers the reads of a reader, page by page too', async () => {
  const { table, put } = tableOf();
  for (let i = 0; i < 25; i += 1) await put(line(String(i), i));
  await put({ pk: 'cart#2', sk: 'product#1', quantity: 1 });
  const reader = createReader({ cache: memoryCache(), table });
  const found = [];
  for await (const { productId } of reader.members(views.cart, 'cart#1', { limit: 10 })) found.push(productId);
  expect(found.toSorted()).toEqual(Array.from({ length: 25 }, (_, i) => String(i)).toSorted());
  const scanned: string[] = [];
  for (let after: ScanCommandOutput['LastEvaluatedKey'], more = true; more; more = after !== undefined) {
    const page = await table.client.send(new ScanCommand({ TableName: 'shop', Limit: 7, ...(after && { ExclusiveStartKey: after }) }));
    scanned.push(...(page.Items ?? []).map(({ pk, sk }) => `${pk?.S} ${sk?.S}`));
    after = page.LastEvaluatedKey;
  }
  expect(new Set(scanned).size).toBe(26);
  expect(scanned).toHaveLength(26);
  await expect(table.client.send(new GetItemCommand({ TableName: 'shop', Key: {} }))).rejects.toThrow('does not know this command');
});

it('drops old records, so that its memory is bounded', async () => {
  const { table, put } = tableOf(40);
  for (let i = 0; i < 500; i += 1) await put(line('a', i));
  let records = 0;
  for (const { id } of await table.stream.shards()) {
    for (let at: string | undefined = await table.stream.iterator(id, { type: 'TRIM_HORIZON' }); at !== undefined; ) {
      const page = await table.stream.records(at, 1_000);
      records += page.records.length;
      at = page.records.length === 0 ? undefined : page.next;
    }
  }
  expect(records).toBeGreaterThanOrEqual(40);
  expect(records).toBeLessThanOrEqual(60);
});
