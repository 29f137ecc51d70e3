import { documentView } from '../view.ts';
import { order } from './order.ts';

/** What a customer sees of an order. */
export const detail = documentView({
  name: 'detail',
  revision: 1,
  entity: order,
  project: ({ creator: _, ...visible }) => [{ key: visible.id, value: visible }],
});
