import { hintOf, type StreamRecord } from '../dynamodb/record.ts';
import { type Entry, nameOf } from '../mutation.ts';
import type { View } from '../view.ts';
import type { Observed } from './observation.ts';
import { entriesIn, subjectOf } from './truth.ts';

/**
 * From a change to the cache: the addresses that a record of the stream writes, each with the version that the cache shall have. A record that names no
 * item gives none, nor does a view that throws on the item.
 *
 * @param streamArn for records that have none
 */
export function observedIn(views: readonly View[], record: StreamRecord, streamArn?: string): readonly Observed[] {
  let hint: ReturnType<typeof hintOf>;
  try {
    hint = hintOf(record, 0, streamArn);
  } catch {
    return [];
  }
  const { key, item, version: expected, before, after } = hint;
  if ('error' in after) return [];
  const observed: Observed[] = [];
  for (const view of views) {
    const entries = entriesIn(view, after.attributes, item);
    if (!entries) continue;
    const past = 'error' in before ? [] : (entriesIn(view, before.attributes, item) ?? []);
    const names = new Set(entries.map(nameOf));
    const ended = past.filter((entry: Entry) => !names.has(nameOf(entry)));
    for (const entry of [...entries, ...ended]) observed.push({ subject: subjectOf(view, entry, key), expected });
  }
  return observed;
}
