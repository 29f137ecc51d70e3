import type { CacheClient } from '../cache.ts';
import type { Tally } from './counts.ts';

/** Seals lists, and counts by view what became of them. */
export async function sealLists(
  cache: Pick<CacheClient, 'seal' | 'list'>,
  lists: readonly string[],
  survey: string,
  tally: Tally,
): Promise<void> {
  const sealed = await cache.seal(lists, survey);
  const lost = lists.filter((_, i) => sealed[i] !== 'settled');
  // A list that is complete in one place was settled: by a reader, since it was marked.
  const pages = await Promise.all(lost.map((list) => cache.list(list, { limit: 1 })));
  for (const [i, list] of lists.entries()) if (sealed[i] === 'settled') tally.of(viewOf(list), 'sealed');
  for (const [i, list] of lost.entries()) tally.of(viewOf(list), pages[i]?.complete ? 'settled' : 'unsealed');
}

/** The name of the view to which a list belongs. */
export function viewOf(list: string): string {
  return list.slice(0, list.indexOf(':'));
}
