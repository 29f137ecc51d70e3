import type { Entry } from '../mutation.ts';

/** Which views name the members of their lists by their items. Learned from items, because only a projection tells. */
export class MemberNames {
  readonly #byView = new Map<string, 'items' | 'others'>();

  /** Learns from what a view gave for an item. */
  learn(view: string, entries: readonly Entry[], itemName: string): void {
    for (const entry of entries) {
      if (entry.kind !== 'member' || this.#byView.get(view) === 'others') continue;
      this.#byView.set(view, entry.member === itemName ? 'items' : 'others');
    }
  }

  /** Whether all members that were seen have the names of their items, and one was seen. */
  areItems(view: string): boolean {
    return this.#byView.get(view) === 'items';
  }
}
