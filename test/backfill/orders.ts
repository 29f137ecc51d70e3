import { setTimeout as sleep } from 'node:timers/promises';
import { BatchWriteItemCommand, DeleteItemCommand, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { marshall } from '@aws-sdk/util-dynamodb';
import type { CacheClient, Lease } from '../../src/cache.ts';
import { itemOf } from '../../src/change.ts';
import { attributesOf } from '../../src/dynamodb/record.ts';
import { streamHandler } from '../../src/handlers/stream-handler.ts';
import { REGISTER_KEY, registerIn, registerText } from '../../src/lives/register.ts';
import { type EventSourceMapping, eventSourceMapping, type LambdaHandler, sdkStreamReader } from '../../src/testing/index.ts';
import type { View } from '../../src/view.ts';
import { project } from '../properties/world/table.ts';
import type { DynamoDbLocal } from '../servers/dynamodb-local.ts';

/** A table of orders in DynamoDB Local, and a cache that a worker keeps. */
export interface Orders {
  readonly local: DynamoDbLocal;
  readonly tableName: string;
  readonly streamArn: string;
  readonly cache: CacheClient;
  readonly views: readonly View[];
}

export async function fillTable({ local, tableName }: Orders, items: readonly Readonly<Record<string, unknown>>[]): Promise<void> {
  for (let i = 0; i < items.length; i += 25) {
    const requests = items.slice(i, i + 25).map((item) => ({ PutRequest: { Item: marshall(item) } }));
    await local.client.send(new BatchWriteItemCommand({ RequestItems: { [tableName]: requests } }));
  }
}

async function itemsOfTable({ local, tableName }: Orders): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const items: Readonly<Record<string, unknown>>[] = [];
  let after: Record<string, never> | undefined;
  do {
    const { Items = [], LastEvaluatedKey } = await local.client.send(
      new ScanCommand({ TableName: tableName, ConsistentRead: true, ExclusiveStartKey: after }),
    );
    items.push(...Items.map((item) => attributesOf(item)));
    after = LastEvaluatedKey as Record<string, never> | undefined;
  } while (after);
  return items;
}

/** Where the cache differs from the table, and where it does not know. */
export async function faultsOf(orders: Orders): Promise<readonly string[]> {
  const { cache, views } = orders;
  const found: string[] = [];
  const lists = new Map<string, { readonly member: string; readonly score: number; readonly json: string }[]>();
  const documents: { readonly key: string; readonly json: string }[] = [];
  for (const item of await itemsOfTable(orders)) {
    for (const entry of project(views, itemOf({ pk: item.pk, sk: item.sk }), item)) {
      if (entry.kind === 'document') documents.push(entry);
      else lists.set(entry.list, [...(lists.get(entry.list) ?? []), entry]);
    }
  }
  const lookups = await cache.getMany(documents.map(({ key }) => key));
  for (const [i, { key, json }] of documents.entries()) {
    const lookup = lookups[i];
    if (lookup?.type !== 'hit' || JSON.stringify(lookup.value) !== json) found.push(`${key} is a ${lookup?.type}`);
  }
  for (const [list, members] of lists) {
    members.sort((a, b) => b.score - a.score || Buffer.compare(Buffer.from(b.member), Buffer.from(a.member)));
    // Of a list that was longer than it is, the bottom may have risen.
    const page = await cache.list(list, { limit: 20 });
    if (!page.complete) found.push(`${list} is not complete`);
    const wanted = members.slice(0, 20).map(({ json }) => json);
    if (JSON.stringify(page.members.map(({ value }) => JSON.stringify(value))) !== JSON.stringify(wanted)) found.push(`${list} differs`);
  }
  return found;
}

/** Lets all lives begin now: no other worker is slow. @param cache without lives */
export async function beginNow(cache: CacheClient): Promise<void> {
  const [lease] = await cache.lease([{ kind: 'document', key: REGISTER_KEY }]);
  const lookup = await cache.get(REGISTER_KEY);
  const { lives, written } = registerIn(lookup.type === 'hit' ? lookup.value : undefined);
  const begun = new Map([...lives].map(([view, { life }]) => [view, { life, from: Date.now() }]));
  const json = registerText({ lives: begun, written });
  await cache.settle([{ lease: lease as Lease, found: { kind: 'document', json } }]);
}

/** The key of an item of no view. */
const CANARY = { pk: 'canary', sk: 'canary' };

/**
 * Waits until what is written reaches a handler: LATEST is where the first poll finds it, and not where the mapping starts.
 *
 * @param spy tells whether the handler has had the canary
 */
export async function untilFollowed({ local, tableName }: Orders, spy: { readonly hasCanary: boolean }): Promise<void> {
  for (let n = 0; !spy.hasCanary; n += 1) {
    await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall({ ...CANARY, n }) }));
    await sleep(50);
  }
  await local.client.send(new DeleteItemCommand({ TableName: tableName, Key: marshall(CANARY) }));
}

/** Passes records on, and notices the canary. */
export function spiedOn(handler: LambdaHandler): { readonly handler: LambdaHandler; readonly hasCanary: boolean } {
  const spy = {
    hasCanary: false,
    handler: (async (...args) => {
      const keys = args[0].Records.map(({ dynamodb }) => dynamodb?.Keys?.pk as { readonly S?: string } | undefined);
      if (keys.some((pk) => pk?.S === CANARY.pk)) spy.hasCanary = true;
      return await handler(...args);
    }) as LambdaHandler,
  };
  return spy;
}

/** Follows what is written from here on. */
export async function follow(orders: Orders): Promise<EventSourceMapping> {
  const { local, streamArn, cache, views } = orders;
  const spy = spiedOn(streamHandler({ views, cache, logger: { info() {}, warn() {}, error() {} } }) as LambdaHandler);
  const mapping = eventSourceMapping({
    reader: sdkStreamReader({ client: local.streams, streamArn }),
    handler: spy.handler,
    startingPosition: 'LATEST',
    batchSize: 100,
    functionResponseTypes: ['ReportBatchItemFailures'],
    functionTimeoutMs: 30_000,
  });
  await mapping.start();
  await untilFollowed(orders, spy);
  return mapping;
}

/**
 * Writes orders until it is stopped: new ones, changed ones, moved ones and deletes.
 *
 * @returns what stops it
 */
export function write({ local, tableName }: Orders, count: number, upTo: (n: number) => number): () => Promise<void> {
  let stopped = false;
  const writing = (async () => {
    for (let n = 0; !stopped; n += 1) {
      const id = upTo(count + 50);
      const key = { pk: `order#${id}`, sk: 'order' };
      const item = order(id, upTo(20), `s${n}`, upTo(1_000), 4_000);
      if (upTo(5) === 0) await local.client.send(new DeleteItemCommand({ TableName: tableName, Key: marshall(key) }));
      else await local.client.send(new PutItemCommand({ TableName: tableName, Item: marshall(item) }));
      await sleep(2);
    }
  })();
  return async () => {
    stopped = true;
    await writing;
  };
}

export function order(id: number, creator: number, status: string, minute: number, bytes = 1_500) {
  return {
    pk: `order#${id}`,
    sk: 'order',
    id: String(id),
    createdAt: new Date(1_700_000_000_000 + minute * 60_000).toISOString(),
    status,
    numItems: id,
    items: [{ size: 'L', crust: 'thin', sauce: 'bbq', toppings: ['x'.repeat(bytes)] }],
    creator: `creator${creator}`,
  };
}

/** A seeded generator of numbers from 0 to below 1. */
export function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
