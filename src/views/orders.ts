import { listView } from '../view.ts';
import { order } from './order.ts';

/** The newest orders, without their items: of all creators in the list `all`, and of each in `creator:<creator>`. */
export const orders = listView({
  name: 'orders',
  revision: 1,
  keep: 150,
  entity: order,
  project: ({ creator, items: _, ...summary }) => {
    const score = Date.parse(summary.createdAt);
    return [
      { list: 'all', score, value: summary },
      { list: `creator:${creator}`, score, value: summary },
    ];
  },
});
