import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { openCache, openLetters, views } from '../app.ts';
import { parseRedriveConfig } from '../config.ts';
import type { LetterStore } from '../letter-store.ts';
import { tableReader } from '../sources/table.ts';
import { redriveHandler } from './redrive-handler.ts';

const config = parseRedriveConfig();
// A call must end before the function does.
const client = new DynamoDBClient({ requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true } });

export const handler = redriveHandler({
  views,
  cache: await openCache(config.cache),
  letters: (await openLetters(config.cache)) as LetterStore,
  table: tableReader({ client, readUnitsPerSecond: config.readUnitsPerSecond }),
  tableName: config.tableName,
  metrics: config.cache.metrics ? (await import('./redrive-emf.ts')).redriveMetrics() : undefined,
  marginMs: config.cache.deadlineMs + 10_000,
});
