import type { CacheClient } from '../cache.ts';
import { type Comparison, lookAtOurs, lookAtWorkshop } from './compare.ts';
import { isOrder, type Mirror } from './mirror.ts';
import { judgementsOf } from './shown.ts';
import type { Counters, WrongEntry } from './wire.ts';
import type { SimpleCache } from './workshop.ts';

export interface JudgeOptions {
  readonly cache: Pick<CacheClient, 'getMany' | 'list'>;
  readonly workshop: SimpleCache;
  /** The table. */
  readonly mirror: Mirror;
  /** Whether a record of the item is on its way to our worker, or to the workshop's. */
  readonly isLate: { ours(item: string): boolean; theirs(item: string): boolean };
}

const NOTHING: Comparison = { documents: [], lists: [] };

/** Compares both caches with the table, again and again. A difference counts when two looks in a row find it. */
export class Judge {
  readonly #options: JudgeOptions;
  readonly #ours = new Differences();
  readonly #theirs = new Differences();
  #comparison = NOTHING;
  #judged = 0;

  constructor(options: JudgeOptions) {
    this.#options = options;
  }

  /** What the last look found in our cache. */
  get comparison(): Comparison {
    return this.#comparison;
  }

  get wrong(): readonly WrongEntry[] {
    return this.#ours.confirmed;
  }

  get theirWrong(): readonly WrongEntry[] {
    return this.#theirs.confirmed;
  }

  /** How many entries of our cache were compared with the table, over all looks. */
  get judged(): number {
    return this.#judged;
  }

  get counters(): Pick<Counters, 'wrong' | 'everWrong' | 'compared' | 'late' | 'workshopWrong' | 'workshopEverWrong'> {
    return {
      wrong: this.wrong.length,
      everWrong: this.#ours.ever,
      compared: comparedIn(this.#comparison),
      late: judgementsOf(this.#comparison).filter((judgement) => judgement === 'late').length,
      workshopWrong: this.theirWrong.length,
      workshopEverWrong: this.#theirs.ever,
    };
  }

  async lookAtOurs(): Promise<void> {
    const { cache, mirror, isLate } = this.#options;
    const found = await lookAtOurs({
      cache,
      documents: mirror.documents,
      lists: mirror.lists,
      projected: () => mirror.projected,
      isLate: isLate.ours,
      itemOf: (list, member) => mirror.itemOfMember(list, member),
    });
    this.#comparison = found;
    this.#judged += comparedIn(found);
    this.#ours.found([...found.documents.flatMap(({ wrong }) => wrong ?? []), ...found.lists.flatMap(({ wrong }) => wrong)]);
  }

  lookAtTheirs(): void {
    const { mirror, workshop, isLate } = this.#options;
    const orders = new Map([...mirror.items.values()].filter(isOrder).map((order) => [String(order.id), order]));
    const wrong = lookAtWorkshop({
      entries: workshop.entries,
      orders,
      ids: mirror.orders.keys(),
      creators: mirror.creators,
      isLate: (id) => isLate.theirs(mirror.orders.get(id) ?? ''),
    });
    this.#theirs.found(wrong);
  }

  /** Our cache gives no answer: until the next look, nothing is known of it. */
  knowNothing(): void {
    this.#comparison = NOTHING;
  }

  /** The workshop's cache is empty now. */
  forgetTheirs(): void {
    this.#theirs.forget();
  }
}

function comparedIn(comparison: Comparison): number {
  return judgementsOf(comparison).filter((judgement) => judgement === 'equal' || judgement === 'wrong').length;
}

/** The differences of one cache. */
class Differences {
  /** Those that the last two looks found. */
  confirmed: readonly WrongEntry[] = [];
  /** Those that the last look found. */
  readonly #suspects = new Map<string, WrongEntry>();
  readonly #ever = new Set<string>();

  /** How many were confirmed, over all looks. */
  get ever(): number {
    return this.#ever.size;
  }

  found(differences: readonly WrongEntry[]): void {
    this.confirmed = differences.filter((one) => this.#suspects.get(nameOf(one))?.table === one.table);
    for (const one of this.confirmed) this.#ever.add(nameOf(one));
    this.#suspects.clear();
    for (const one of differences) this.#suspects.set(nameOf(one), one);
  }

  forget(): void {
    this.confirmed = [];
    this.#suspects.clear();
  }
}

/** The same difference has the same name at the next look, even if an entry is in its list more or fewer times than before. */
function nameOf({ place, fault }: WrongEntry): string {
  return `${place} ${fault.replace(/^\d+ /, '')}`;
}
