import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { appViews, openCache, openKeys } from '../app.ts';
import { parseVerifyFunctionConfig } from '../config/verify.ts';
import { sqsQueue, verifyHandler } from '../handlers/verify-handler.ts';

const config = parseVerifyFunctionConfig();
// A scan of 1 MB takes longer than a read by key.
const client = new DynamoDBClient({ requestHandler: { connectionTimeout: 1_000, requestTimeout: 10_000, throwOnRequestTimeout: true } });
const cache = await openCache(config.cache);

export const handler = verifyHandler({
  views: appViews,
  cache,
  table: { client, name: config.tableName },
  queue: sqsQueue({ url: config.queueUrl }),
  keys: openKeys(config.cache, cache, 'random'),
  boundMs: config.boundMs,
  readUnitsPerSecond: config.readUnitsPerSecond,
  probeReadUnits: config.probeReadUnits,
  metrics: config.cache.metrics ? (await import('../handlers/metrics.ts')).verifyMetrics() : undefined,
  marginMs: config.cache.deadlineMs + 15_000,
});
