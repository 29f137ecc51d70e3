import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { appViews, openCache, openLetters, openStore } from '../app.ts';
import { cacheId, parseBackfillFunctionConfig } from '../config/backfill.ts';
import { backfillHandler } from '../handlers/backfill-handler.ts';

const config = parseBackfillFunctionConfig();
// A scan of 1 MB takes longer than a read by key.
const client = new DynamoDBClient({ requestHandler: { connectionTimeout: 1_000, requestTimeout: 10_000, throwOnRequestTimeout: true } });

export const handler = backfillHandler({
  views: appViews,
  cache: await openCache(config.cache, { waitMs: config.cache.lifeWaitMs }),
  table: { client, name: config.tableName },
  checkpoints: await openStore(config.checkpoints),
  letters: await openLetters(config.cache),
  cacheId: cacheId(config.cache),
  readUnitsPerSecond: config.readUnitsPerSecond,
  segmentsAtOnce: config.segmentsAtOnce,
  metrics: config.cache.metrics ? (await import('../handlers/metrics.ts')).backfillMetrics() : undefined,
  marginMs: config.cache.deadlineMs + 15_000,
  lateCallsMs: config.cache.deadlineMs,
});
