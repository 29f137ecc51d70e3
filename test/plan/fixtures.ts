import { expect } from 'vitest';
import { type Attributes, type Change, itemOf } from '../../src/change.ts';
import type { Mutation } from '../../src/mutation.ts';
import { planOf } from '../../src/plan/plan.ts';
import { versionOf } from '../../src/version.ts';
import { documentView, entity, listView, type View } from '../../src/view.ts';

export const version = versionOf('2026-11-01T09:00:00.123', '418800000000000004200117');

/** The change from one image to the other. Both have the keys `pk` and `sk`. */
export function change(before: Attributes | undefined, after: Attributes | undefined): Change {
  const { pk, sk } = (after ?? before) as { pk: string; sk: string };
  const keys = { pk, sk };
  return { table: 'shop', keys, item: itemOf(keys), ...(before && { before }), ...(after && { after }), version, expired: false };
}

/** The mutations that a change makes of one view, which must be able to project both images. */
export function mutationsOf(view: View, of: Change): readonly Mutation[] {
  const { mutations, poison } = planOf([view], of);
  expect(poison).toEqual([]);
  return mutations;
}

/** A mutation as one line: its type, its address, and what it writes. */
export function short(mutation: Mutation): string {
  if (mutation.kind === 'document') return `${mutation.type} ${mutation.key}${mutation.type === 'put' ? ` ${mutation.json}` : ''}`;
  const { type, list, member, score, keep } = mutation;
  const from = mutation.type === 'put' && mutation.from !== undefined ? ` from ${mutation.from}` : '';
  return `${type} ${list} ${member} @${score}${from} keep ${keep}${mutation.type === 'put' ? ` ${mutation.json}` : ''}`;
}

/** The mutations of `mutationsOf` as sorted lines. */
export function shorts(view: View, of: Change): readonly string[] {
  return mutationsOf(view, of).map(short).sort();
}

export const anything = entity<Attributes>({ name: 'anything', owns: () => true, schema: { parse: (item) => item as Attributes } });

/** A view of documents that takes every item. */
export function documentsOf(project: (item: Attributes) => readonly { key: string; value: unknown }[], name = 'odd'): View {
  return documentView({ name, revision: 1, entity: anything, project });
}

export interface Member {
  readonly list: string;
  readonly score: number;
  readonly value: unknown;
  readonly member?: string;
}

/** A view of lists that takes every item. */
export function membersOf(project: (item: Attributes) => readonly Member[], name = 'odd'): View {
  return listView({ name, revision: 1, keep: 10, entity: anything, project });
}
