import { listView } from '../view.ts';
import { order } from './order.ts';

const OF_CREATOR = 'creator:';

/**
 * The newest orders, without their items: of all creators in the list `all`, which no query answers, and of each in `creator:<creator>`.
 *
 * The query has no `valueAt`, because the schema takes times of any precision, and as text these do not sort by time: `…00.500Z` comes before
 * `…00Z`. A schema that demands one precision would set aside every order that was written otherwise, such as those of the saved events. So a reader
 * reads all orders of the creator, which are few.
 */
export const orders = listView({
  name: 'orders',
  revision: 1,
  keep: 150,
  entity: order,
  project: ({ creator, items: _, ...summary }) => {
    const score = Date.parse(summary.createdAt);
    return [
      { list: 'all', score, value: summary },
      { list: `${OF_CREATOR}${creator}`, score, value: summary },
    ];
  },
  from: (list) => {
    if (!list.startsWith(OF_CREATOR)) return undefined;
    return {
      partition: { name: 'creator', value: list.slice(OF_CREATOR.length) },
      sort: { name: 'createdAt' },
      index: 'byCreator',
      trust: 'index',
      // AWS says that an index shows a write within 1 s, and promises nothing. Twice of that is a wait that a reader can bear.
      lagMs: 2_000,
    };
  },
});
