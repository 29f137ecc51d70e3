import { documentView } from '../view.ts';
import { order, orderKey } from './order.ts';

/** The order as a customer sees it: without its creator. */
export const detail = documentView({
  name: 'detail',
  revision: 1,
  entity: order,
  project: ({ creator: _, ...visible }) => [{ key: visible.id, value: visible }],
  from: orderKey,
});
