import {
  type AttributeValue,
  BatchGetItemCommand,
  type BatchGetItemCommandOutput,
  type DynamoDBClient,
  type KeysAndAttributes,
} from '@aws-sdk/client-dynamodb';
import { fullJitter } from '../backoff.ts';
import { itemOf } from '../change.ts';
import type { TableAnswer, TableReader } from '../table.ts';
import { attributesOf, type Marshalled } from './record.ts';

export type { TableAnswer, TableReader };

export interface TableReaderOptions {
  readonly client: Pick<DynamoDBClient, 'send'>;
  /** The read units that it may take a second, on average. Default: 500. */
  readonly readUnitsPerSecond?: number;
  /** How often it asks again for keys that DynamoDB left unprocessed, without any progress. Default: 8. */
  readonly retries?: number;
  sleep?(ms: number): Promise<void>;
  readonly now?: () => number;
  /** Returns a number from 0 to below 1. Default: `Math.random`. */
  random?(): number;
}

/** BatchGetItem takes 100 keys (DynamoDB API Reference). */
const KEYS_A_CALL = 100;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 5_000;

/** Reads items of DynamoDB tables with `BatchGetItem`, within a budget of read units. */
export function tableReader(options: TableReaderOptions): TableReader {
  const { client, readUnitsPerSecond = 500, retries = 8, sleep = wait, now = Date.now, random = Math.random } = options;
  /** When the read units that were taken are paid for, ms since the epoch. */
  let free = 0;

  const call = async (tableArn: string, request: KeysAndAttributes, signal?: AbortSignal): Promise<BatchGetItemCommandOutput> => {
    for (let pauseMs = free - now(); pauseMs > 0; pauseMs -= LONGEST_PAUSE_MS) {
      await sleep(Math.min(pauseMs, LONGEST_PAUSE_MS));
      signal?.throwIfAborted();
    }
    const command = new BatchGetItemCommand({ RequestItems: { [tableArn]: request }, ReturnConsumedCapacity: 'TOTAL' });
    const answer = await client.send(command);
    const units = answer.ConsumedCapacity?.reduce((sum, { CapacityUnits = 0 }) => sum + CapacityUnits, 0) ?? 0;
    free = Math.max(free, now()) + (units * 1_000) / readUnitsPerSecond;
    return answer;
  };

  /** The items of these keys, with further calls for the keys that DynamoDB left unprocessed. */
  const itemsOf = async (
    tableArn: string,
    keys: readonly Marshalled[],
    signal?: AbortSignal,
  ): Promise<Record<string, AttributeValue>[]> => {
    const items: Record<string, AttributeValue>[] = [];
    let rest: KeysAndAttributes | undefined = { Keys: keys.map(sdkKey), ConsistentRead: true };
    let inVain = 0;
    for (let tries = 0; rest; tries += 1) {
      if (inVain > retries) throw new Error(`table ${nameOf(tableArn)} is too busy to be read: give it more read capacity, or try later`);
      if (tries > 0) await sleep(fullJitter(tries, FIRST_PAUSE_MS, LONGEST_PAUSE_MS, random));
      const { Responses, UnprocessedKeys }: BatchGetItemCommandOutput = await call(tableArn, rest, signal);
      // The answer may name the table in another form than the request.
      for (const some of Object.values(Responses ?? {})) items.push(...some);
      const left: KeysAndAttributes | undefined = Object.values(UnprocessedKeys ?? {})[0];
      inVain = (left?.Keys?.length ?? 0) < (rest.Keys?.length ?? 0) ? 0 : inVain + 1;
      rest = left;
    }
    return items;
  };

  const readSome = async (tableArn: string, keys: readonly Marshalled[], signal?: AbortSignal): Promise<readonly TableAnswer[]> => {
    let items: Record<string, AttributeValue>[];
    try {
      items = await itemsOf(tableArn, keys, signal);
    } catch (error) {
      if (!(error instanceof Error) || !FINAL.has(error.name)) throw error;
      if (error.name !== 'ValidationException' || keys.length === 1) return keys.map((key) => ({ error: explained(error, tableArn, key) }));
      // One invalid key must not hide the items of the others.
      const half = Math.ceil(keys.length / 2);
      return [...(await readSome(tableArn, keys.slice(0, half), signal)), ...(await readSome(tableArn, keys.slice(half), signal))];
    }
    return answersOf(keys, items, tableArn);
  };

  return {
    async read(tableArn, keys, signal) {
      const answers: TableAnswer[] = [];
      for (let i = 0; i < keys.length; i += KEYS_A_CALL) {
        answers.push(...(await readSome(tableArn, keys.slice(i, i + KEYS_A_CALL), signal)));
      }
      return answers;
    },
  };
}

function answersOf(keys: readonly Marshalled[], items: readonly Marshalled[], tableArn: string): readonly TableAnswer[] {
  const names = keys.map((key) => itemOf(attributesOf(key)));
  const found = new Map<string, TableAnswer>();
  for (const item of items) {
    const name = itemOf(attributesOf(Object.fromEntries(Object.keys(keys[0] ?? {}).map((attribute) => [attribute, item[attribute]]))));
    found.set(name, decoded(item, tableArn));
  }
  // Otherwise the item of a key would look absent.
  const strange = [...found.keys()].some((name) => !names.includes(name));
  if (strange) return names.map(() => ({ error: new Error(`table ${nameOf(tableArn)} answered with items that it was not asked for`) }));
  return names.map((name) => found.get(name) ?? {});
}

function decoded(item: Marshalled, tableArn: string): TableAnswer {
  try {
    return { item: attributesOf(item) };
  } catch (error) {
    return { error: new Error(`table ${nameOf(tableArn)} has an item that cannot be read: ${(error as Error).message}`) };
  }
}

/** A key as the SDK takes it: binary as bytes, where an event has base64. */
export function sdkKey(key: Marshalled): Record<string, AttributeValue> {
  const entries = Object.entries(key as Record<string, { readonly B?: unknown }>);
  return Object.fromEntries(
    entries.map(([name, value]) => [name, typeof value?.B === 'string' ? { B: Buffer.from(value.B, 'base64') } : value]),
  ) as Record<string, AttributeValue>;
}

const FINAL = new Set(['AccessDeniedException', 'ResourceNotFoundException', 'ValidationException']);

function explained({ name, message }: Error, tableArn: string, key: Marshalled): Error {
  const table = `table ${nameOf(tableArn)} (${tableArn})`;
  switch (name) {
    case 'AccessDeniedException':
      return new Error(`${table} may not be read: allow dynamodb:BatchGetItem on it`);
    case 'ResourceNotFoundException':
      return new Error(`${table} is not there: see that account and Region are those of its stream, and that the table still exists`);
    default:
      return new Error(
        `${table} refuses the key: ${withoutValues(message, key)}; the table may have been recreated with other key attributes`,
      );
  }
}

/** DynamoDB may quote a value of the key, which may be secret. */
function withoutValues(message: string, key: Marshalled): string {
  const values = Object.values(attributesOf(key)).map(String);
  // A very short value would be found in any sentence, and is no secret.
  return values.filter(({ length }) => length > 2).reduce((text, value) => text.replaceAll(value, '…'), message);
}

function nameOf(tableArn: string): string {
  return tableArn.slice(tableArn.lastIndexOf('/') + 1);
}

function wait(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
