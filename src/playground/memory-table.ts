import {
  type AttributeValue,
  BatchGetItemCommand,
  DeleteItemCommand,
  type DynamoDBClient,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import type { StreamRecord } from '../dynamodb/record.ts';
import { type MemoryStream, memoryStream } from '../event-source-mapping/index.ts';

type Item = Record<string, AttributeValue>;

/** A table in this process, with a stream. One call is one moment of the table. */
export interface MemoryTable {
  /** Takes `PutItem`, `DeleteItem`, `BatchGetItem`, `Query` and `Scan`, without conditions and filters. An index shows a write at once. */
  readonly client: Pick<DynamoDBClient, 'send'>;
  readonly stream: MemoryStream;
  readonly name: string;
  readonly keys: readonly string[];
  /** Calls the listener with each record as it is written. */
  watch(listener: (record: StreamRecord) => void): void;
}

export interface MemoryTableOptions {
  readonly name: string;
  /** Names of the key attributes. */
  readonly keys: readonly string[];
  /** The most records that the stream keeps, approximately. Default: 20,000. */
  readonly keepRecords?: number;
}

/** The stream drops old records by whole shards. It has this number of them. */
const SHARDS = 4;
const CAPACITY_UNITS = 0.5;

export function memoryTable({ name, keys, keepRecords = 20_000 }: MemoryTableOptions): MemoryTable {
  const items = new Map<string, Item>();
  const stream = memoryStream({ table: name, label: new Date().toISOString().slice(0, -1) });
  const keyOf = (item: Item): Item => Object.fromEntries(keys.map((key) => [key, item[key] as AttributeValue]));
  const nameOf = (item: Item): string => JSON.stringify(keyOf(item));
  let inShard = 0;
  const ends: string[] = [];
  const listeners: ((record: StreamRecord) => void)[] = [];

  const emit = (eventName: string, before: Item | undefined, after: Item | undefined): void => {
    const dynamodb = {
      Keys: keyOf((after ?? before) as Item),
      ...(before && { OldImage: before }),
      ...(after && { NewImage: after }),
      StreamViewType: 'NEW_AND_OLD_IMAGES',
    };
    const [record] = stream.append({ eventName, dynamodb });
    inShard += 1;
    if (inShard >= keepRecords / SHARDS) {
      for (const shard of stream.open) stream.roll(shard);
      ends.push(record?.dynamodb?.SequenceNumber ?? '0');
      inShard = 0;
      // The shard's end is numbered after its last record.
      if (ends.length > SHARDS) stream.trim(String(BigInt(ends.shift() as string) + 1n));
    }
    if (record) for (const listener of listeners) listener(record);
  };
  const write = (key: string, after: Item | undefined): Item | undefined => {
    const before = items.get(key);
    // Last, because the order of a scan is the order of the writes.
    items.delete(key);
    if (after) items.set(key, after);
    if (JSON.stringify(before) !== JSON.stringify(after)) emit(before ? (after ? 'MODIFY' : 'REMOVE') : 'INSERT', before, after);
    return before;
  };
  const paged = (
    found: readonly Item[],
    { Limit, ExclusiveStartKey }: { Limit?: number | undefined; ExclusiveStartKey?: Item | undefined },
  ) => {
    const after = ExclusiveStartKey ? found.findIndex((item) => nameOf(item) === nameOf(ExclusiveStartKey)) + 1 : 0;
    const Items = found.slice(after, Limit === undefined ? undefined : after + Limit);
    const last = Items.at(-1);
    const hasMore = last !== undefined && after + Items.length < found.length;
    return {
      Items,
      Count: Items.length,
      ConsumedCapacity: { CapacityUnits: CAPACITY_UNITS },
      ...(hasMore && { LastEvaluatedKey: keyOf(last) }),
    };
  };

  const send = async (command: unknown): Promise<unknown> => {
    if (command instanceof PutItemCommand) {
      const item = structuredClone(command.input.Item ?? {});
      const missing = keys.filter((key) => textOf(item[key]) === undefined);
      if (missing.length > 0) throw refusal(`the item lacks the key attribute ${missing.join(', ')}`);
      return { Attributes: write(nameOf(item), item) };
    }
    if (command instanceof DeleteItemCommand) {
      const key = nameOf(command.input.Key ?? {});
      return { Attributes: items.has(key) ? write(key, undefined) : undefined };
    }
    if (command instanceof BatchGetItemCommand) {
      const [[table, { Keys = [] }] = ['', {}]] = Object.entries(command.input.RequestItems ?? {});
      const found = Keys.map((key) => items.get(nameOf(key))).filter((item) => item !== undefined);
      return { Responses: { [table]: found }, ConsumedCapacity: [{ CapacityUnits: CAPACITY_UNITS * Keys.length }] };
    }
    if (command instanceof QueryCommand) return paged(queried([...items.values()], command.input), command.input);
    if (command instanceof ScanCommand) {
      // All items are in the first segment.
      return paged(command.input.Segment ? [] : [...items.values()], command.input);
    }
    throw refusal('the table in memory does not know this command');
  };
  return {
    client: { send } as unknown as Pick<DynamoDBClient, 'send'>,
    stream,
    name,
    keys,
    watch: (listener) => void listeners.push(listener),
  };
}

/** Items of a query as `meteredTable` writes queries: a partition, and a range of the sort key; greatest sort key first. */
function queried(
  items: readonly Item[],
  { ExpressionAttributeNames: names = {}, ExpressionAttributeValues: values = {} }: QueryCommandInput,
) {
  const [partition = '', sort] = [names['#p'], names['#s']];
  const [begin, from] = [textOf(values[':begin']), values[':from']];
  const sortOf = (item: Item): string | number => rankOf(sort === undefined ? undefined : item[sort]) ?? '';
  return items
    .filter((item) => textOf(item[partition]) === textOf(values[':p']) && textOf(item[partition]) !== undefined)
    .filter((item) => sort === undefined || (rankOf(item[sort]) !== undefined && isInRange(item[sort], begin, from)))
    .sort((a, b) => (sortOf(a) < sortOf(b) ? 1 : -1));
}

function isInRange(value: AttributeValue | undefined, begin: string | undefined, from: AttributeValue | undefined): boolean {
  const rank = rankOf(value);
  const most = rankOf(from);
  if (rank === undefined || (most !== undefined && rank > most)) return false;
  return begin === undefined || (most === undefined ? String(rank).startsWith(begin) : String(rank) >= begin);
}

/** A key as text; undefined if it is no key. */
function textOf(value: AttributeValue | undefined): string | undefined {
  return value?.S || value?.N || undefined;
}

/** Orders sort keys: numbers by value, texts by their characters. */
function rankOf(value: AttributeValue | undefined): string | number | undefined {
  return value?.N === undefined ? value?.S : Number(value.N);
}

function refusal(message: string): Error {
  return Object.assign(new Error(message), { name: 'ValidationException' });
}
