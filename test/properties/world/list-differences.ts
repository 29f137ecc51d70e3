import type { CacheClient, PageMember, PageQuery } from '../../../src/cache.ts';
import type { Member } from './table.ts';

/** What the pages of a list should show. */
export interface WantedList {
  readonly members: readonly Member[];
  /** The greatest number of members that the list may show. */
  readonly keep: number;
  /** Whether a shown member is wrong. `wanted`: the member in the table. `isEqual`: the cache shows it with its score and its value. */
  isWrong(member: string, wanted: Member | undefined, isEqual: boolean): boolean;
  /** Whether a complete page may lack this member. */
  mayLack(wanted: Member): boolean;
  onPage(isComplete: boolean): void;
}

/** Walks through a list page by page. Returns where the pages differ from what they should show. */
export async function listDifferences(cache: CacheClient, list: string, query: PageQuery, wanted: WantedList): Promise<string[]> {
  const found: string[] = [];
  const sign = query.order === 'asc' ? 1 : -1;
  let after: Position | undefined;
  let cursor: string | undefined;
  let length = 0;
  do {
    const page = await cache.list(list, { ...query, after: cursor });
    wanted.onPage(page.complete);
    const start = after;
    length += page.members.length;
    for (const { member, score, value, version } of page.members) {
      if (after && sign * compare({ member, score }, after) <= 0) found.push(`${list} shows ${member} out of order, or twice`);
      after = { member, score };
      const inTable = wanted.members.find((it) => it.member === member);
      if (!wanted.isWrong(member, inTable, inTable?.score === score && inTable.json === JSON.stringify(value))) continue;
      const now = inTable ? `${inTable.json} at ${inTable.score}` : 'none';
      found.push(`${list} shows ${member} as ${JSON.stringify(value)} at ${score}, ${version}; the table has ${now}`);
    }
    const last = page.cursor === undefined ? undefined : after;
    const within = (position: Position) =>
      !(start && sign * compare(position, start) <= 0) && !(last && sign * compare(position, last) > 0);
    for (const member of page.complete ? wanted.members : []) {
      if (wanted.mayLack(member) || !within(member) || page.members.some((it) => it.member === member.member)) continue;
      found.push(`${list} calls a page of ${JSON.stringify(query)} complete, and it lacks ${member.member} at ${member.score}`);
    }
    cursor = page.cursor;
  } while (cursor !== undefined);
  if (length > wanted.keep) found.push(`${list} has ${length} members, and is to keep ${wanted.keep}`);
  return found;
}

type Position = Pick<PageMember, 'member' | 'score'>;

/** The order of every backend: by score, then by the bytes of the names. */
function compare(a: Position, b: Position): number {
  return a.score - b.score || Buffer.compare(Buffer.from(a.member), Buffer.from(b.member));
}
