import { itemOf } from '../change.ts';
import { attributesOf } from '../dynamodb/record.ts';
import { asError } from '../errors.ts';
import { parseLetter } from '../letters/letter.ts';
import type { LetterStore } from '../letters/store.ts';
import type { Version } from '../version.ts';
import { type View, viewName } from '../view.ts';
import { type Comparison, inBrief } from './compare.ts';
import type { Mirror } from './mirror.ts';
import type { CachedEntry, CachedView, Judgement, ShownLetter, TableRow } from './wire.ts';

const MOST_ROWS = 60;
const MOST_ENTRIES = 40;
const MOST_MEMBERS = 8;
const MOST_LETTERS = 20;

/** The rows of the table, the newest first. */
export function tableRows(views: readonly View[], keys: readonly string[], { items, projected }: Mirror): readonly TableRow[] {
  const entities = [...new Set(views.map(({ entity }) => entity))];
  return [...items]
    .slice(-MOST_ROWS)
    .reverse()
    .map(([item, attributes]) => ({
      item,
      entity: entities.find((entity) => entity.owns(attributes))?.name ?? 'of no view',
      brief: inBrief(attributes, keys),
      attributes,
      refusedBy: projected.refused.get(item) ?? [],
    }));
}

/** What the cache holds of a view: of documents the newest first. */
export function shownView(view: View, { documents, lists }: Comparison, numberOf: (version: Version) => number | undefined): CachedView {
  const name = viewName(view);
  const prefix = `${name}:`;
  const keyIn = (full: string): string => full.slice(prefix.length);
  const entries: readonly CachedEntry[] =
    view.kind === 'document'
      ? documents
          .filter(({ name }) => name.startsWith(prefix))
          .map(({ name, state, version, value, verdict }) => {
            const number = version && numberOf(version);
            return {
              ...{ name, key: keyIn(name), state, verdict },
              ...(number !== undefined && { number }),
              ...(value !== undefined && { value: inBrief(value) }),
            };
          })
          .sort((a, b) => (b.number ?? 0) - (a.number ?? 0) || (a.name < b.name ? -1 : 1))
      : lists
          .filter(({ name }) => name.startsWith(prefix))
          .map(({ name, complete, verdict, members }) => ({
            ...{ name, key: keyIn(name), state: 'list', verdict, complete, size: members.length },
            members: members
              .slice(0, MOST_MEMBERS)
              .map(({ member, value, version, verdict }) => ({ member, value: inBrief(value), number: numberOf(version), verdict })),
          }));
  return { name, kind: view.kind, count: entries.length, entries: entries.slice(0, MOST_ENTRIES) };
}

/** The judgements of documents and members of lists. */
export function judgementsOf({ documents, lists }: Comparison): readonly Judgement[] {
  return [...documents.map(({ verdict }) => verdict), ...lists.flatMap(({ members }) => members.map(({ verdict }) => verdict))];
}

/** The first letters of a store. */
export async function lettersIn(store: LetterStore): Promise<readonly ShownLetter[]> {
  const letters: ShownLetter[] = [];
  for await (const name of store.names()) {
    if (letters.length === MOST_LETTERS) break;
    try {
      const text = await store.get(name);
      if (text === undefined) continue;
      const { event, causes } = parseLetter(text);
      const keys = event.Records[0]?.dynamodb?.Keys;
      const views = [...new Set(causes.flatMap(({ view }) => view ?? []))].join(', ');
      const reasons = causes.slice(0, 1).map(({ error }) => error.message);
      letters.push({
        name,
        item: keys ? itemOf(attributesOf(keys)) : 'unknown',
        causes: [views, ...reasons].filter((text) => text !== ''),
      });
    } catch (error) {
      letters.push({ name, item: 'unknown', causes: [asError(error).message] });
    }
  }
  return letters;
}
