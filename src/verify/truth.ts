import { type Attributes, itemOf } from '../change.ts';
import { attributesOf, type Marshalled } from '../dynamodb/record.ts';
import { type Entry, nameOf } from '../mutation.ts';
import { entriesOf, jsonOf, parse } from '../plan/projection.ts';
import type { TableAnswer } from '../table.ts';
import { type View, viewName } from '../view.ts';
import { ABSENT, addressOf, type Subject, type Truth, UNKNOWN } from './observation.ts';

/** An item as the table has it, decoded, and its key in the table's form. */
export interface TableItem {
  readonly key: Marshalled;
  /** See `itemOf`. */
  readonly name: string;
  readonly attributes: Attributes;
}

/** @returns `undefined` for an item that cannot be decoded */
export function tableItem(item: Marshalled, keys: readonly string[]): TableItem | undefined {
  try {
    const attributes = attributesOf(item);
    const key = Object.fromEntries(keys.map((name) => [name, item[name]]));
    return { key, name: itemOf(Object.fromEntries(keys.map((name) => [name, attributes[name]]))), attributes };
  } catch {
    return undefined;
  }
}

/** What a view gives for an item; `undefined` if the schema or the view throws. */
export function entriesIn(view: View, item: Attributes | undefined, itemName: string): readonly Entry[] | undefined {
  try {
    return entriesOf(view, parse(view.entity, item), itemName, jsonOf);
  } catch {
    return undefined;
  }
}

/** The address of an entry, as a subject that looks at the entry's score. */
export function subjectOf(view: View, entry: Entry, item: Marshalled): Subject {
  const common = { view: viewName(view), item };
  if (entry.kind === 'document') return { ...common, kind: 'document', key: entry.key };
  return { ...common, kind: 'member', list: entry.list, member: entry.member, score: entry.score };
}

export function truthOfEntry(entry: Entry | undefined): Truth {
  if (!entry) return ABSENT;
  return { type: 'value', json: entry.json, ...(entry.kind === 'member' && { score: entry.score }) };
}

/** What an item, as the table gives it, says of a subject that has the item's key. */
export function truthInAnswer(view: View, subject: Subject, answer: TableAnswer | undefined): Truth {
  if (!answer || 'error' in answer || !subject.item) return UNKNOWN;
  const name = nameOf(addressOf(subject));
  const entries = entriesIn(view, answer.item, itemOf(attributesOf(subject.item)));
  return entries ? truthOfEntry(entries.find((entry) => entry.kind === subject.kind && nameOf(entry) === name)) : UNKNOWN;
}

/** What the items of a list's query say of a member. */
export function truthInItems(view: View, subject: Subject, items: readonly Attributes[], keys: readonly string[]): Truth {
  const name = nameOf(addressOf(subject));
  for (const item of items) {
    const entries = entriesIn(view, item, itemOf(Object.fromEntries(keys.map((key) => [key, item[key]]))));
    // Nobody knows of which list the item is a member.
    if (!entries) return UNKNOWN;
    const entry = entries.find((entry) => entry.kind === 'member' && nameOf(entry) === name);
    if (entry) return truthOfEntry(entry);
  }
  return ABSENT;
}
