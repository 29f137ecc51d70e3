import { documentView } from '../view.ts';
import { order } from './order.ts';

/** What the staff sees of an order: all of it. */
export const admin = documentView({
  name: 'admin',
  revision: 1,
  entity: order,
  project: (order) => [{ key: order.id, value: order }],
});
