import { parseShopConfig } from '../config/shop.ts';
import { importOrdersApi } from '../shop/import-orders-api.ts';
import { dynamoDb } from '../shop/table.ts';

/** `POST /orders/import` */
export const handler = importOrdersApi({ ...parseShopConfig(), client: dynamoDb() });
