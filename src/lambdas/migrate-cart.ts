import { parseShopConfig } from '../config/shop.ts';
import { UnfilteredMetrics } from '../handlers/unfiltered-metrics.ts';
import { migrateCartApi } from '../shop/migrate-cart-api.ts';
import { dynamoDb } from '../shop/table.ts';

const config = parseShopConfig();

/** `POST /cart/migrate` */
export const handler = migrateCartApi({ ...config, client: dynamoDb(), metrics: new UnfilteredMetrics(config) });
