import { type MemberMutation, type Mutation, type Outcome, STALE } from '../../mutation.ts';
import { admit } from '../checks.ts';
import type { Cells } from './cell.ts';
import { deadlineIn } from './deadline.ts';
import { applyDocument, type DocumentCell } from './document.ts';
import type { Limits } from './limits.ts';
import { applyMembers, type ListCell } from './list.ts';

export interface MomentoKeys {
  document(key: string): string;
  list(list: string): string;
}

/** The mutations of one list, and where their outcomes go. */
interface Group {
  readonly mutations: MemberMutation[];
  readonly setters: ((applied: boolean) => void)[];
}

/** Returns the `apply` of the cache. It applies all mutations of one list as one edit of the list's cell. */
export function applier(documents: Cells<DocumentCell>, lists: Cells<ListCell>, keys: MomentoKeys, limits: Limits, deadlineMs: number) {
  return async (given: readonly Mutation[]): Promise<readonly Outcome[]> => {
    const deadline = deadlineIn(deadlineMs);
    const outcomes = new Array<Outcome>(given.length);
    const writes: Promise<void>[] = [];
    const groups = new Map<string, Group>();
    for (const [i, wanted] of given.entries()) {
      const { mutation, ifApplied } = admit(wanted, (put) =>
        put.kind === 'document' ? limits.document(keys.document(put.key), put.json) : limits.member(put.json),
      );
      const setOutcome = (applied: boolean): void => {
        outcomes[i] = applied ? ifApplied : STALE;
      };
      if (mutation.kind === 'document') {
        writes.push(documents.update(keys.document(mutation.key), deadline, applyDocument(mutation, limits.ttls)).then(setOutcome));
      } else {
        const group = groups.get(mutation.list) ?? { mutations: [], setters: [] };
        groups.set(mutation.list, group);
        group.mutations.push(mutation);
        group.setters.push(setOutcome);
      }
    }
    for (const [list, { mutations, setters }] of groups) {
      const write = lists.update(keys.list(list), deadline, applyMembers(mutations, limits.ttls));
      writes.push(
        write.then((applied) => {
          for (const [i, setOutcome] of setters.entries()) setOutcome(applied[i] === true);
        }),
      );
    }
    // Waits for all writes before it throws, so that a repeated call does not overlap with writes of this one.
    for (const write of await Promise.allSettled(writes)) if (write.status === 'rejected') throw write.reason;
    return outcomes;
  };
}
