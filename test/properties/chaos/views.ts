import type { View } from '../../../src/view.ts';
import { worldViews } from '../world/views.ts';

/**
 * `endless`: without lists that are full. Such a list cannot tell old from new where an item's changes come in another order than they happened, as from two
 * streams of one table at once: the bottom is the tombstone of what lies below it, and what came first may not have lain there.
 */
export const viewSets = {
  ...worldViews,
  endless: worldViews.all.filter((view: View) => view.name !== 'latest'),
} satisfies Record<string, readonly View[]>;

export type ViewSet = keyof typeof viewSets;
