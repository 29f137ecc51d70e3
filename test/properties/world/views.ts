import { documentView, entity, listView, type View } from '../../../src/view.ts';
import { views as shop } from '../../../src/views/index.ts';

/** Attributes of an order that only the views of the world read. */
interface Extra {
  readonly rank: number;
  readonly listed: boolean;
}

interface RawOrder extends Extra {
  readonly id: string;
  readonly status: string;
  readonly creator: string;
}

const rawOrder = entity<RawOrder>({
  name: 'raw order',
  owns: ({ sk }) => sk === 'order',
  schema: { parse: (item) => item as RawOrder },
});

/** A list so short that members are trimmed, by scores that tie and move. */
const latest = listView({
  name: 'latest',
  revision: 2,
  keep: 3,
  entity: rawOrder,
  project: ({ id, status, creator, rank, listed }) =>
    listed ? ['all', creator].map((list) => ({ list, score: rank, value: { id, status } })) : [],
});

/** Documents that move when the creator changes, and are absent while the order is not listed. */
const badge = documentView({
  name: 'badge',
  revision: 1,
  entity: rawOrder,
  project: ({ id, status, creator, listed }) => (listed ? [{ key: `${creator}/${id}`, value: { status } }] : []),
});

/** `all`: the views of the shop and two more, so that an item can come to an address, leave it and come back in every way. */
export const worldViews = {
  all: [...Object.values<View>(shop), latest, badge],
  latest: [latest],
} satisfies Record<string, readonly View[]>;

export type ViewSet = keyof typeof worldViews;

/** A mark in an item at which this view throws. */
export function curse(view: string): string {
  return `!${view}!`;
}

export function isCursed(view: string, item: unknown): boolean {
  return JSON.stringify(item).includes(curse(view));
}

/** The same views with a bug: they throw on cursed items until the bug is mended. */
export function buggyViews(views: readonly View[], bug: { readonly mended: boolean }): readonly View[] {
  return views.map((view) => ({
    ...view,
    project(item: unknown) {
      if (!bug.mended && isCursed(view.name, item)) throw new Error(`${view.name} stumbles`);
      return view.project(item) as never;
    },
  }));
}
