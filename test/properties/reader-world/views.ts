import { type DocumentView, documentView, entity, type ListView, listView, type View } from '../../../src/view.ts';
import { buggyViews } from '../world/views.ts';

export const TABLE = 'things';
export const KEYS = ['pk', 'sk'] as const;
/** The longest lag of the global index, ms. */
export const LAG_MS = 100;

export type Thing = {
  readonly pk: string;
  readonly sk: string;
  /** The number of the change that wrote it. */
  readonly n: number;
  readonly rank: number;
  /** Only listed things are in lists. */
  readonly listed: boolean;
  /** Key of the local index: `r#` and the rank of a listed thing, `x#` of another. */
  readonly slot: string;
  /** Key of the global index; absent if the thing is not listed. */
  readonly team?: string;
  /** Names of the views that throw on it until they are mended, see `curse`. */
  readonly note: string;
};

export const INDEXES = {
  bySlot: { partition: 'pk', sort: 'slot' },
  byTeam: { partition: 'team', sort: 'rank', isGlobal: true },
};

const thing = entity<Thing>({ name: 'thing', owns: () => true, schema: { parse: (item) => item as Thing } });

/** Two documents of a thing, one of them only if it is listed. */
export const detail = documentView({
  name: 'detail',
  revision: 1,
  entity: thing,
  project: ({ pk, sk, n, listed }): { key: string; value: { n: number; extra?: boolean } }[] => [
    { key: `${pk}.${sk}`, value: { n } },
    ...(listed ? [{ key: `${pk}.${sk}.extra`, value: { n, extra: true } }] : []),
  ],
  from(key) {
    const [, pk, sk] = /^(\w+)\.(\w+)(?:\.extra)?$/.exec(key) ?? [];
    return pk === undefined || sk === undefined ? undefined : { pk, sk };
  },
});

const membersOf = (list: string | undefined, { n, rank, listed }: Thing) =>
  listed && list !== undefined ? [{ list, score: rank, value: { n } }] : [];

/** A query of a local index, in the order of the scores. */
export const ranked = listView({
  name: 'ranked',
  revision: 1,
  keep: 2,
  entity: thing,
  project: (it) => membersOf(it.pk, it),
  from: (pk) => ({
    partition: { name: 'pk', value: pk },
    sort: { name: 'slot', beginsWith: 'r#', valueAt: (score) => `r#${String(score).padStart(3, '0')}` },
    index: 'bySlot',
  }),
});

/** A query of the table, in no order of scores. */
export const shelf = listView({
  name: 'shelf',
  revision: 1,
  keep: 3,
  entity: thing,
  project: (it) => membersOf(it.pk, it),
  from: (pk) => ({ partition: { name: 'pk', value: pk }, sort: { name: 'sk', beginsWith: 'i' } }),
});

/** A query of a global index. */
export const team = listView({
  name: 'team',
  revision: 1,
  keep: 3,
  entity: thing,
  project: (it) => membersOf(it.team, it),
  from: (name) => ({
    partition: { name: 'team', value: name },
    sort: { name: 'rank', valueAt: (score) => score },
    index: 'byTeam',
    trust: 'index',
    lagMs: LAG_MS,
  }),
});

/** A list that no query answers. */
const all = listView({
  name: 'all',
  revision: 1,
  keep: 5,
  entity: thing,
  project: (it) => membersOf('all', it),
  from: () => undefined,
});

/** The attributes of a thing, with those of its indexes. */
export function imageOf({ team, ...thing }: Omit<Thing, 'slot' | 'team'> & { readonly team: string }): Thing {
  const slot = thing.listed ? `r#${String(thing.rank).padStart(3, '0')}` : 'x#';
  return { ...thing, slot, ...(thing.listed && { team }) };
}

export interface NamedList {
  readonly view: ListView<Thing, { readonly n: number }>;
  readonly list: string;
  readonly by: 'table' | 'index' | 'nothing';
}

const LISTS: readonly NamedList[] = [
  { view: ranked, list: 'g0', by: 'table' },
  { view: ranked, list: 'g1', by: 'table' },
  { view: shelf, list: 'g0', by: 'table' },
  { view: team, list: 'a', by: 'index' },
  { view: team, list: 'b', by: 'index' },
  { view: all, list: 'all', by: 'nothing' },
];

export const VIEWS: readonly (DocumentView<Thing, unknown> | ListView<Thing, unknown>)[] = [detail, ranked, shelf, team, all];

/** The views of one world. They throw on cursed things until the bug is mended. */
export interface WorldViews {
  readonly all: readonly View[];
  readonly detail: typeof detail;
  readonly lists: readonly NamedList[];
}

export function worldViewsOf(bug: { readonly mended: boolean }): WorldViews {
  const all = buggyViews(VIEWS as never, bug);
  const buggy = <V extends { readonly name: string }>({ name }: V) => all.find((view) => view.name === name) as unknown as V;
  return { all, detail: buggy(detail), lists: LISTS.map((named) => ({ ...named, view: buggy(named.view) })) };
}
