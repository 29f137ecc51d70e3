import { openCache } from '../app.ts';
import { parseReadConfig } from '../config/read.ts';
import { UnfilteredMetrics } from '../handlers/unfiltered-metrics.ts';
import { readApi } from '../shop/read-api.ts';
import { dynamoDb } from '../shop/table.ts';

const config = parseReadConfig();

/** The routes of `GET`: orders and carts. */
export const handler = readApi({ ...config, cache: await openCache(config.cache), client: dynamoDb(), metrics: new UnfilteredMetrics() });
