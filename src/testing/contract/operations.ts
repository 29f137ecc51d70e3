import type { Arbitrary } from 'fast-check';
import type { FastCheck } from '../fast-check.ts';
import { VERSIONS } from './case.ts';

/** How many documents and lists a history has, and the scores of its members. */
export interface Setting {
  readonly documents: number;
  readonly lists: number;
  readonly scores?: readonly number[];
}

interface Abilities {
  readonly evictions: { readonly whole: boolean; readonly parts: boolean };
  readonly tooLarge: boolean;
}

/** One mutation. Documents, lists and members are numbers. `list` absent: the mutation of a document. */
export interface Draft {
  readonly type: 'put' | 'delete' | 'forget';
  readonly list?: number;
  readonly name: number;
  readonly version: number;
  readonly score: number;
  readonly from?: number;
  readonly tooLarge: boolean;
}

export interface DraftFound {
  readonly name: number;
  readonly score: number;
  readonly tooLarge: boolean;
}

/** One step of a history. `lease` and `cursor` number the earlier leases and cursors, from the latest. */
export type Operation =
  | { readonly do: 'apply'; readonly mutations: readonly Draft[] }
  | { readonly do: 'page'; readonly list: number; readonly limit: number; readonly order: 'desc' | 'asc'; readonly cursor?: number }
  /** `onMiss`: the lease is taken by a read of the document, if that is a miss. */
  | { readonly do: 'lease'; readonly of: 'document' | 'list'; readonly n: number; readonly onMiss: boolean }
  /** `found`: what the table has. `partly`: the reader gives not all of it that the list keeps. */
  | { readonly do: 'settle'; readonly lease: number; readonly found: readonly DraftFound[]; readonly partly: boolean }
  /** One step of a survey on a list. Two surveys are under way at a time. */
  | { readonly do: 'mark' | 'seal'; readonly n: number; readonly survey: number }
  | { readonly do: 'fill'; readonly n: number; readonly survey: number; readonly found: readonly DraftFound[] }
  | { readonly do: 'evict'; readonly of: 'document' | 'list'; readonly n: number }
  | { readonly do: 'evictPart'; readonly n: number; readonly part: number };

const MEMBERS = 6;

/** Generates histories. All lists of a history have the same `keep`. */
export function operations(fc: FastCheck, setting: Setting & Abilities) {
  const { documents, lists, scores = [0, 1, 2, 3, 4, 5, 6, 7], evictions, tooLarge } = setting;
  const score = fc.constantFrom(...scores);
  const large = tooLarge ? fc.integer({ min: 0, max: 15 }).map((n) => n === 15) : fc.constant(false);
  const type = fc.constantFrom('put', 'put', 'put', 'delete', 'delete', 'forget');
  const name = fc.nat(MEMBERS - 1);
  const version = fc.integer({ min: 0, max: VERSIONS.length - 1 });
  const documentDraft: Arbitrary<Draft> = fc.record({
    type,
    name: fc.nat(Math.max(0, documents - 1)),
    version,
    score: fc.constant(0),
    tooLarge: large,
  });
  const memberDraft: Arbitrary<Draft> = fc.record(
    { type, list: fc.nat(Math.max(0, lists - 1)), name, version, score, from: score, tooLarge: large },
    { requiredKeys: ['type', 'list', 'name', 'version', 'score', 'tooLarge'] },
  );
  const drafts = [...(documents > 0 ? [documentDraft] : []), ...(lists > 0 ? [memberDraft] : [])];
  const target = fc.oneof(
    ...(documents > 0 ? [fc.record({ of: fc.constant('document' as const), n: fc.nat(documents - 1) })] : []),
    ...(lists > 0 ? [fc.record({ of: fc.constant('list' as const), n: fc.nat(lists - 1) })] : []),
  );
  const back = fc.nat(2);
  const found = fc.uniqueArray(fc.record({ name, score, tooLarge: large }), { selector: (it) => it.name, maxLength: MEMBERS });
  const apply = fc.record({ do: fc.constant('apply' as const), mutations: fc.array(fc.oneof(...drafts), { minLength: 1, maxLength: 3 }) });
  const page = fc.record(
    {
      do: fc.constant('page' as const),
      list: fc.nat(Math.max(0, lists - 1)),
      limit: fc.integer({ min: 1, max: 5 }),
      order: fc.constantFrom('desc', 'asc'),
      cursor: back,
    },
    { requiredKeys: ['do', 'list', 'limit', 'order'] },
  );
  const lease = fc.record({ target, onMiss: fc.boolean() }).map((it) => ({ do: 'lease' as const, ...it.target, onMiss: it.onMiss }));
  const settle = fc.record({
    do: fc.constant('settle' as const),
    lease: back,
    found,
    partly: fc.integer({ min: 0, max: 5 }).map((n) => n === 5),
  });
  const survey = { n: fc.nat(Math.max(0, lists - 1)), survey: fc.nat(1) };
  const surveyed = fc.oneof(
    fc.record({ do: fc.constantFrom('mark' as const, 'seal' as const), ...survey }),
    fc.record({ do: fc.constant('fill' as const), ...survey, found }),
  );
  const evict = target.map((it) => ({ do: 'evict' as const, ...it }));
  const evictPart = fc.record({ do: fc.constant('evictPart' as const), n: fc.nat(Math.max(0, lists - 1)), part: fc.nat(11) });
  const step: Arbitrary<Operation> = fc.oneof(
    { arbitrary: apply, weight: 10 },
    { arbitrary: page, weight: lists > 0 ? 4 : 0 },
    { arbitrary: lease, weight: 3 },
    { arbitrary: settle, weight: 4 },
    { arbitrary: surveyed, weight: lists > 0 ? 4 : 0 },
    { arbitrary: evict, weight: evictions.whole ? 1 : 0 },
    { arbitrary: evictPart, weight: evictions.parts ? 1 : 0 },
  );
  return fc.record({ keep: fc.integer({ min: 1, max: 4 }), steps: fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }) });
}
