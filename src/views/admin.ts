import { documentView } from '../view.ts';
import { order, orderKey } from './order.ts';

/** The order as the staff sees it: all its attributes. */
export const admin = documentView({
  name: 'admin',
  revision: 1,
  entity: order,
  project: (order) => [{ key: order.id, value: order }],
  from: orderKey,
});
