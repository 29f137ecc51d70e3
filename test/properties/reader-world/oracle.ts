import type { Look, ReadPage } from '../../../src/fill/reader.ts';
import { keyOf } from '../../../src/view.ts';
import {
  addressOf,
  documentsIn,
  inOrder,
  type Log,
  leastDelivered,
  membersAt,
  membersIn,
  type Past,
  type Shown,
  type Span,
  stateAt,
  stateInIndex,
} from './log.ts';
import { detail, type NamedList } from './views.ts';

/** A read that has ended. */
export interface ReadFacts {
  /** From the moment when it began, or that of an earlier read of the same reader that it joined, to the moment when it ended. */
  readonly span: Span;
  /** When it began, by `performance.now`. */
  readonly beganAt: number;
  /** The moment of the caller's write, if the read has a ticket of it. Then it joins no other read. */
  readonly wrote: number | undefined;
}

/**
 * What may be wrong with the answer for a document:
 *
 * 1. It is no state of the item.
 * 2. It is older than what the stream had delivered when the read began. It may be older than the table.
 * 3. An answer of the table is older than the beginning of the read.
 * 4. With a ticket: it is older than the beginning of the read. With `fresh`: it is older than that state.
 *
 * In a state on which its view throws, a document is absent. The record of that state is set aside. A value of an earlier state is a fault, too:
 * the worker forgets it.
 */
export function documentFaults(
  log: Log,
  key: string,
  look: Omit<Look<unknown>, 'by'> & { by?: string },
  facts: ReadFacts,
  fresh: number,
): string[] {
  const past = log.pastOf(keyInTable(key));
  const { span, wrote } = facts;
  const isOfTable = look.by === 'table' || wrote !== undefined;
  const oldest = Math.max(isOfTable ? stateAt(past, span.from) : leastDelivered(past, span), fresh);
  const json = look.type === 'found' ? JSON.stringify((look as { value?: unknown }).value) : undefined;
  const full = keyOf(detail, key) as string;
  const states = past.states.slice(oldest, stateAt(past, span.to) + 1);
  const wanted = states.flatMap((state) => documentsIn(log, state, full, span.to));
  if (wanted.includes(json)) return [];
  return [
    `document ${key} is ${json ?? 'none'} by ${look.by ?? 'somebody'}, and should be one of ${wanted.map((it) => it ?? 'none').join(', ')}`,
  ];
}

function keyInTable(key: string) {
  return detail.from?.(key) ?? { pk: key, sk: 'none' };
}

export interface PageFacts extends ReadFacts {
  readonly limit: number;
  readonly after: { readonly score: number; readonly member: string } | undefined;
}

type AnyPage = ReadPage<unknown>;

/**
 * What may be wrong with a page:
 *
 * 1. It is out of order, begins before its cursor, has a member twice, or too many.
 * 2. A member is no state of its item; or one older than what the stream had delivered (by the cache), than the beginning of the read (by the
 *    table), or than that minus the lag (by an index).
 * 3. It is complete by the table, and differs from the table at each moment of the read.
 * 4. It is complete by the cache, and lacks an item that was in its range in each of the states that may be shown.
 *
 * A list may have been filled by several queries. A member that moved between them, from where the query had not been to where it had, is on no page
 * until the stream brings the move.
 *
 * A state on which the view throws is in no list, so that a complete page may lack the item until its letter is redriven.
 */
export function pageFaults(log: Log, { view, list, by }: NamedList, page: AnyPage, facts: PageFacts): string[] {
  const full = addressOf({ view, list, by });
  const shown = page.members.map(({ member, score, value }) => ({ member, score, json: JSON.stringify(value) }));
  const faults = formFaults(shown, page, facts);
  const { span, after } = facts;
  const last = page.cursor === undefined ? undefined : shown.at(-1);
  const isWithin = (place: Shown) => !(after && inOrder(place, after) <= 0) && !(last && inOrder(place, last) > 0);
  if (page.complete && page.by === 'table') {
    const moments = momentsOf(log, span);
    const wanted = moments.flatMap((tick) => {
      const isMended = [...(span.from < log.mendedAt ? [false] : []), ...(span.to >= log.mendedAt ? [true] : [])];
      return isMended.map((it) => {
        const rest = membersAt(log.pasts.values(), full, tick, it).filter((place) => !(after && inOrder(place, after) <= 0));
        return JSON.stringify([rest.slice(0, facts.limit), rest.length > facts.limit]);
      });
    });
    const has = JSON.stringify([shown, page.cursor !== undefined]);
    if (!wanted.includes(has))
      faults.push(`it is complete by the table: ${has}, and should be one of ${[...new Set(wanted)].join(' or ')}`);
    return faults;
  }
  const unknown = shown.filter(({ member }) => !log.pasts.has(member));
  for (const { member } of unknown) faults.push(`it shows ${member}, which never was`);
  for (const past of log.pasts.values()) {
    const states = past.states.slice(oldestOn(past, page.by, facts), stateAt(past, span.to) + 1);
    const places = states.flatMap((state) => membersIn(log, state, full, span.to));
    const place = shown.find(({ member }) => member === past.item);
    const allowed = places.map((it) => (it && isWithin(it) ? JSON.stringify(it) : 'none'));
    const hasMoved = page.by === 'cache' && new Set(places.map((it) => it?.score)).size > 1;
    if (place ? allowed.includes(JSON.stringify(place)) : !page.complete || hasMoved || allowed.includes('none')) continue;
    faults.push(`it shows ${past.item} as ${JSON.stringify(place) ?? 'none'}, and should show one of ${allowed.join(', ')}`);
  }
  return faults;
}

function oldestOn(past: Past, by: AnyPage['by'], { span, beganAt, wrote }: PageFacts): number {
  switch (by) {
    case 'cache':
      return leastDelivered(past, span);
    case 'table':
      return stateAt(past, span.from);
    case 'index': {
      const seen = stateInIndex(past, beganAt);
      return wrote === undefined ? seen : Math.max(seen, stateAt(past, wrote));
    }
  }
}

function formFaults(shown: readonly Shown[], page: AnyPage, { limit, after }: PageFacts): string[] {
  const faults: string[] = [];
  if (shown.length > limit) faults.push(`it has ${shown.length} members, not ${limit}`);
  if (page.complete && page.cursor !== undefined && shown.length < limit) faults.push(`it has a cursor, and ${shown.length} members only`);
  if (page.complete && page.by === 'index') faults.push('it is complete by an index');
  if (new Set(shown.map(({ member }) => member)).size < shown.length) faults.push('it has a member twice');
  for (const [i, place] of shown.entries()) {
    const before = i === 0 ? after : shown[i - 1];
    if (before && inOrder(place, before) <= 0) faults.push(`${place.member} at ${place.score} is out of order`);
  }
  return faults;
}

/** The moments of a time between which the table changed. */
function momentsOf(log: Log, { from, to }: Span): readonly number[] {
  const changes = [...log.pasts.values()].flatMap(({ states }) => states.map(({ tick }) => tick));
  return [from, ...changes.filter((tick) => tick > from && tick <= to)];
}
