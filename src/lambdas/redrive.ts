import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { appViews, openCache, openLetters } from '../app.ts';
import { parseRedriveConfig } from '../config/redrive.ts';
import { tableReader } from '../dynamodb/table-reader.ts';
import { redriveHandler } from '../handlers/redrive-handler.ts';
import type { LetterStore } from '../letters/store.ts';

const config = parseRedriveConfig();
// A call must end before the function's time is over.
const client = new DynamoDBClient({ requestHandler: { connectionTimeout: 1_000, requestTimeout: 3_000, throwOnRequestTimeout: true } });

export const handler = redriveHandler({
  views: appViews,
  cache: await openCache(config.cache),
  letters: (await openLetters(config.cache)) as LetterStore,
  table: tableReader({ client, readUnitsPerSecond: config.readUnitsPerSecond }),
  tableName: config.tableName,
  metrics: config.cache.metrics ? (await import('../handlers/metrics.ts')).redriveMetrics() : undefined,
  marginMs: config.cache.deadlineMs + 10_000,
});
