import { parseShopConfig } from '../config/shop.ts';
import { UnfilteredMetrics } from '../handlers/unfiltered-metrics.ts';
import { migrateCartApi } from '../shop/migrate-cart-api.ts';
import { dynamoDb } from '../shop/table.ts';

/** `POST /cart/migrate` */
export const handler = migrateCartApi({ ...parseShopConfig(), client: dynamoDb(), metrics: new UnfilteredMetrics() });
