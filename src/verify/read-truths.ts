import { itemOf } from '../change.ts';
import { attributesOf, type Marshalled } from '../dynamodb/record.ts';
import { listQueryOf } from '../fill/from.ts';
import type { TableAnswer } from '../table.ts';
import { keyOf, type ListQuery, type View } from '../view.ts';
import { ABSENT, type Subject, type Truth, UNKNOWN } from './observation.ts';
import type { VerifiedTable } from './table.ts';
import { truthInAnswer, truthInItems } from './truth.ts';

/** The most keys of one read. */
const KEYS_AT_ONCE = 100;

/** What the table says of the subjects, in their order, and the read units that this took. */
interface Truths {
  readonly truths: readonly Truth[];
  readonly units: number;
}

/**
 * Reads the items of subjects, consistently. Each item is read once, and each list without keys by one query.
 *
 * @param viewOf the view of a subject
 * @throws as `VerifiedTable` does
 */
export async function readTruths(
  table: VerifiedTable,
  viewOf: (subject: Subject) => View,
  subjects: readonly Subject[],
  signal: AbortSignal,
): Promise<Truths> {
  let units = 0;
  const keys = new Map<string, Marshalled>();
  for (const { item } of subjects) if (item) keys.set(itemOf(attributesOf(item)), item);
  const answers = new Map<string, TableAnswer>();
  const wanted = [...keys];
  for (let i = 0; i < wanted.length; i += KEYS_AT_ONCE) {
    const some = wanted.slice(i, i + KEYS_AT_ONCE);
    const read = await table.reading(signal);
    const result = await read(some.map(([, key]) => key));
    units += result.units;
    for (const [n, [name]] of some.entries()) answers.set(name, result.answers[n] ?? { error: new Error('the table gave fewer answers') });
  }
  const lists = new Map<string, Awaited<ReturnType<VerifiedTable['query']>>['items']>();
  const truths: Truth[] = [];
  for (const subject of subjects) {
    const view = viewOf(subject);
    if (subject.item) truths.push(truthInAnswer(view, subject, answers.get(itemOf(attributesOf(subject.item)))));
    else if (subject.kind === 'document') truths.push(ABSENT);
    else {
      const query = exactQuery(view, subject.list);
      if (query && !lists.has(subject.list)) {
        const read = await table.query(query, signal);
        units += read.units;
        lists.set(subject.list, read.items);
      }
      const items = lists.get(subject.list);
      truths.push(items ? truthInItems(view, subject, items, table.keys) : UNKNOWN);
    }
  }
  return { truths, units };
}

/** The query that gives all items of a list by a consistent read; `undefined` if there is none. @param list as `keyOf` makes it */
export function exactQuery(view: View, list: string): ListQuery | undefined {
  if (view.kind !== 'list' || !view.from) return undefined;
  try {
    const query = listQueryOf(view, list.slice(keyOf(view, '').length));
    return query && query.trust !== 'index' ? query : undefined;
  } catch {
    return undefined;
  }
}
