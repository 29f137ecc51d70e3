/** How often each thing happened, over many histories. */
export class Tally {
  readonly counts = new Map<string, number>();

  add(what: string, times = 1): void {
    if (times > 0) this.counts.set(what, (this.counts.get(what) ?? 0) + times);
  }

  addAll(counts: Iterable<readonly [string, number]>): void {
    for (const [what, times] of counts) this.add(what, times);
  }
}
