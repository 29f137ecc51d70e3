import type { CacheClient, Fill, Lease } from '../cache.ts';
import type { ScannedTable } from '../dynamodb/scanned-table.ts';
import { asError } from '../errors.ts';
import { jsonOf } from '../plan/projection.ts';
import type { Tally } from './counts.ts';
import { ended } from './ended.ts';
import { type Groups, type PageItem, type ProjectedItem, projected } from './project.ts';

/** Items of one step: the keys of one BatchGetItem. */
const ITEMS_AT_ONCE = 100;
/** Steps of one page that run at the same time. */
const STEPS_AT_ONCE = 4;

export interface DocumentsInput {
  readonly table: ScannedTable;
  readonly cache: Pick<CacheClient, 'getOrLease' | 'settle'>;
  readonly groups: Groups;
  readonly signal: AbortSignal;
  /** Called for an item on which a view throws. */
  readonly setAside: (item: PageItem, projected: ProjectedItem) => Promise<void>;
}

/** An item as the scan found it, and the keys of its documents, each with its view. */
export interface ItemDocuments {
  readonly item: PageItem;
  readonly keys: ReadonlyMap<string, string>;
}

/**
 * Fills the documents of a page as a reader does. Those that the cache does not know are leased, their items are read again, consistently and after the
 * lease, and what the views make of them then is settled. So nothing is written that a change since the scan has outdated.
 */
export async function fillDocuments(input: DocumentsInput, items: readonly ItemDocuments[], tally: Tally): Promise<void> {
  const steps: (readonly ItemDocuments[])[] = [];
  for (let i = 0; i < items.length; i += ITEMS_AT_ONCE) steps.push(items.slice(i, i + ITEMS_AT_ONCE));
  const next = steps.values();
  const lane = async (): Promise<void> => {
    for (const step of next) await fillSome(input, step, tally);
  };
  await ended(Array.from({ length: Math.min(STEPS_AT_ONCE, steps.length) }, lane));
}

async function fillSome(input: DocumentsInput, items: readonly ItemDocuments[], tally: Tally): Promise<void> {
  const { table, cache, signal } = input;
  const read = await table.reading(signal);
  const missing = await leased(cache, items, tally).catch(async (thrown) => {
    await read([]);
    throw asError(thrown);
  });
  const { answers, units } = await read(missing.map(({ item }) => item.key));
  tally.add('units', units);
  const fills: Fill[] = [];
  const views: string[] = [];
  for (const [i, { item, leases }] of missing.entries()) {
    const answer = answers[i] ?? { error: new Error('the table gave fewer answers than keys') };
    const decoded = 'error' in answer ? answer.error : answer.item;
    const now = decoded && projected(input.groups, table.keys, { ...item, decoded }, jsonOf);
    if (now && now.causes.length > 0) await input.setAside(item, now);
    for (const [key, { lease, view }] of leases) {
      // Of an item on which the view throws, or that is not worth filling any more, nothing is known.
      if (now?.skipped.includes(view) || now?.causes.some((cause) => cause.view === view)) continue;
      const entries = now?.projections.find((projection) => projection.view.name === view)?.entries ?? [];
      const json = entries.find((entry) => entry.kind === 'document' && entry.key === key)?.json;
      fills.push({ lease, found: json === undefined ? { kind: 'document' } : { kind: 'document', json } });
      views.push(view);
    }
  }
  if (fills.length === 0) return;
  const settled = await cache.settle(fills);
  for (const [i, view] of views.entries()) tally.of(view, settled[i] === 'settled' ? 'filled' : 'lost');
}

interface MissingDocuments {
  readonly item: PageItem;
  /** By the key of the document. */
  readonly leases: ReadonlyMap<string, { readonly lease: Lease; readonly view: string }>;
}

/** The documents that the cache does not know. */
async function leased(cache: DocumentsInput['cache'], items: readonly ItemDocuments[], tally: Tally): Promise<readonly MissingDocuments[]> {
  const keys = items.flatMap((item) => [...item.keys.keys()]);
  const lookups = (await cache.getOrLease(keys)).values();
  const missing: MissingDocuments[] = [];
  for (const { item, keys } of items) {
    const leases = new Map<string, { readonly lease: Lease; readonly view: string }>();
    for (const [key, view] of keys) {
      const lookup = lookups.next().value;
      if (lookup?.type === 'miss') leases.set(key, { lease: lookup.lease, view });
      else tally.of(view, 'held');
    }
    if (leases.size > 0) missing.push({ item, leases });
  }
  return missing;
}
