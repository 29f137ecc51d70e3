import { type CacheClient, cursorOf, type Lookup } from '../cache.ts';
import { type Claim, type MemberSubject, NO_CLAIM, type Subject } from './observation.ts';

/** Asks the cache for addresses, in one round trip of most backends. One claim per subject, in their order. */
export async function claimsOf(cache: Pick<CacheClient, 'getMany' | 'list'>, subjects: readonly Subject[]): Promise<readonly Claim[]> {
  const keys = subjects.flatMap((subject) => (subject.kind === 'document' ? subject.key : []));
  const [lookups, members] = await Promise.all([
    keys.length > 0 ? cache.getMany(keys) : [],
    Promise.all(subjects.map((subject) => (subject.kind === 'member' ? memberClaim(cache, subject) : undefined))),
  ]);
  const documents = lookups.values();
  return subjects.map((_, i) => members[i] ?? documentClaim(documents.next().value));
}

function documentClaim(lookup: Lookup | undefined): Claim {
  if (!lookup || lookup.type === 'miss') return NO_CLAIM;
  return lookup.type === 'gone' ? lookup : { type: 'value', value: lookup.value, version: lookup.version };
}

/** A page that begins at the place of the member, and has one member. It says whether the list has this member there, if the page is complete. */
async function memberClaim(cache: Pick<CacheClient, 'list'>, { list, member, score }: MemberSubject): Promise<Claim> {
  // No name lies between these two, so on a descending page the member itself comes next.
  const after = cursorOf({ score, member: `${member}\0` });
  const { members, complete } = await cache.list(list, { limit: 1, after });
  if (!complete) return NO_CLAIM;
  const [found] = members;
  if (found?.member !== member || found.score !== score) return { type: 'gone' };
  return { type: 'value', value: found.value, version: found.version };
}
