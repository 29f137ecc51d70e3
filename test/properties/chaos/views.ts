import type { View } from '../../../src/view.ts';
import { worldViews } from '../world/views.ts';

/**
 * `endless`: the views without lists that become full. A full list cannot tell old from new when the changes of an item come out of order, as from two
 * streams of one table: its bottom is the tombstone of everything below, and an earlier change may not have been below.
 */
export const viewSets = {
  ...worldViews,
  endless: worldViews.all.filter((view: View) => view.name !== 'latest'),
} satisfies Record<string, readonly View[]>;

export type ViewSet = keyof typeof viewSets;
