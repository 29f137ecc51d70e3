import type { CacheClient, PageMember } from '../cache.ts';
import { type View, viewName } from '../view.ts';
import { itemOfDocument, type KeyTypes, keyOfItem } from './keys.ts';
import type { Observer } from './look.ts';
import type { MemberNames } from './member-names.ts';
import type { Observed } from './observation.ts';
import { exactQuery } from './read-truths.ts';

export interface CacheProbeInput {
  readonly verifier: Observer;
  readonly cache: Pick<CacheClient, 'list'>;
  readonly views: readonly View[];
  readonly names: MemberNames;
  readonly keyTypes: KeyTypes;
}

/** The members of one page. */
const PAGE = 100;

/**
 * From the cache to the table: observes documents, and the members of lists as far as pages are complete, by their keys in the cache. So it finds what the
 * table has no longer.
 *
 * @param keys as `keyOf` makes them; those of other views are left out
 * @throws as `Observer.observe`
 */
export async function probeCache(input: CacheProbeInput, keys: readonly string[]): Promise<void> {
  const { verifier, views } = input;
  const observed: Observed[] = [];
  for (const key of keys) {
    const view = views.find((view) => key.startsWith(`${viewName(view)}:`));
    if (view?.kind === 'document') {
      const item = itemOfDocument(view, key);
      if (item === 'unknown') verifier.tally.of(viewName(view), 'cache').unfindable += 1;
      else observed.push({ subject: { kind: 'document', view: viewName(view), key, ...(item !== 'none' && { item }) } });
    } else if (view) observed.push(...(await membersOf(input, view, key)));
  }
  await verifier.observe('cache', observed);
}

async function membersOf({ verifier, cache, names, keyTypes }: CacheProbeInput, view: View, list: string): Promise<readonly Observed[]> {
  const name = viewName(view);
  const counts = verifier.tally.of(name, 'cache');
  const known = await completeMembers(cache, list);
  if (!known) {
    counts.misses += 1;
    return [];
  }
  const hasQuery = exactQuery(view, list) !== undefined;
  return known.members.flatMap(({ member, score }): readonly Observed[] => {
    const item = names.areItems(name) ? keyOfItem(member, keyTypes) : undefined;
    if (item || hasQuery) return [{ subject: { kind: 'member', view: name, list, member, score, ...(item && { item }) } }];
    counts.unfindable += 1;
    return [];
  });
}

/** What complete pages show of a list, from its newest member on. `isWhole`: these are all members of the list. */
interface KnownMembers {
  readonly members: readonly PageMember[];
  readonly isWhole: boolean;
}

/** Reads a list as far as its pages are complete; `undefined` if already the first one is not. */
export async function completeMembers(cache: Pick<CacheClient, 'list'>, list: string): Promise<KnownMembers | undefined> {
  const members: PageMember[] = [];
  let after: string | undefined;
  let limit = PAGE;
  for (;;) {
    const page = await cache.list(list, { limit, ...(after !== undefined && { after }) });
    if (page.complete) {
      members.push(...page.members);
      if (page.members.length < limit) return { members, isWhole: true };
      after = page.cursor;
      if (after === undefined) return { members, isWhole: false };
      if (limit === 1) limit = PAGE / 2;
    } else if (limit > 1) limit = members.length === 0 ? 1 : Math.floor(limit / 2);
    else return members.length === 0 ? undefined : { members, isWhole: false };
  }
}
