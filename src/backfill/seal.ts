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
  const pages = await Promise.all(lists.map((list) => cache.list(list, { limit: 1 })));
  for (const [i, list] of lists.entries()) {
    // A list that lost its mark, and is complete in one place, was settled by a reader since it was marked.
    const [ifComplete, otherwise] = sealed[i] === 'settled' ? (['sealed', 'incomplete'] as const) : (['settled', 'unsealed'] as const);
    tally.of(viewOf(list), pages[i]?.complete ? ifComplete : otherwise);
  }
}

/** The name of the view to which a list belongs. */
export function viewOf(list: string): string {
  return list.slice(0, list.indexOf(':'));
}
