import { APPLIED, forgetInstead, type MemberMutation, type Mutation, type Outcome, STALE } from '../../mutation.ts';
import type { Cells } from './cell.ts';
import { deadlineIn } from './deadline.ts';
import { applyDocument, type DocumentCell } from './document.ts';
import type { Limits } from './limits.ts';
import { applyMembers, type ListCell } from './list.ts';

export interface Keys {
  document(key: string): string;
  list(list: string): string;
}

interface Group {
  readonly mutations: MemberMutation[];
  readonly slots: ((applied: boolean) => void)[];
}

/** Applies mutations, all those of one list as one change of it. */
export function applier(documents: Cells<DocumentCell>, lists: Cells<ListCell>, keys: Keys, limits: Limits, deadlineMs: number) {
  const reasonAgainst = (mutation: Mutation): string | undefined => {
    if (mutation.type !== 'put') return undefined;
    return mutation.kind === 'document' ? limits.document(keys.document(mutation.key), mutation.json) : limits.member(mutation.json);
  };

  return async (given: readonly Mutation[]): Promise<readonly Outcome[]> => {
    const deadline = deadlineIn(deadlineMs);
    const outcomes = new Array<Outcome>(given.length);
    const writes: Promise<void>[] = [];
    const groups = new Map<string, Group>();
    for (const [i, wanted] of given.entries()) {
      const reason = reasonAgainst(wanted);
      const mutation = wanted.type === 'put' && reason !== undefined ? forgetInstead(wanted) : wanted;
      const ifApplied: Outcome = reason === undefined ? APPLIED : { type: 'rejected', reason };
      const slot = (applied: boolean): void => {
        outcomes[i] = applied ? ifApplied : STALE;
      };
      if (mutation.kind === 'document') {
        writes.push(documents.update(keys.document(mutation.key), deadline, applyDocument(mutation, limits.ttls)).then(slot));
      } else {
        const group = groups.get(mutation.list) ?? { mutations: [], slots: [] };
        groups.set(mutation.list, group);
        group.mutations.push(mutation);
        group.slots.push(slot);
      }
    }
    for (const [list, { mutations, slots }] of groups) {
      const write = lists.update(keys.list(list), deadline, applyMembers(mutations, limits.ttls));
      writes.push(
        write.then((applied) => {
          for (const [i, slot] of slots.entries()) slot(applied[i] === true);
        }),
      );
    }
    // All of them end before one that failed is told: a caller that repeats the call meets none of its own.
    for (const write of await Promise.allSettled(writes)) if (write.status === 'rejected') throw write.reason;
    return outcomes;
  };
}
