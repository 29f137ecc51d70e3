/**
 * A bounded list by brute force: what every backend must equal. Each method is one atomic step there. It shares no code with any
 * backend. Versions are ranks here: 0 is `FLOOR`, and a greater rank is newer.
 */
export class ListModel {
  readonly members = new Map<string, ModelMember>();
  /** What lies at or below this score is not held: a full list has no room for it. */
  bottom = -Infinity;
  /** How often a version or a value was thrown away. */
  lost = 0;
  /** How often it was filled from the table: not yet, and it may lack anything. */
  settled = 0;

  apply(mutation: ModelMutation): 'applied' | 'stale' {
    const outcome = this.#apply(mutation);
    if (outcome === 'applied') this.#trim(mutation.keep);
    return outcome;
  }

  #apply({ type, member, version, score, json, from = score }: ModelMutation): 'applied' | 'stale' {
    const held = this.members.get(member);
    // The highest score at which an older version of this member could come back. Its marker is needed until the bottom has passed it.
    const peak = Math.max(held?.peak ?? -Infinity, score, from);
    if (held && held.version > version) {
      this.members.set(member, { ...held, peak });
      return 'stale';
    }
    if (type === 'forget') this.members.set(member, { state: 'forgotten', version, score, peak, json: '' });
    else if (type === 'put' && score > this.bottom) this.members.set(member, { state: 'live', version, score, peak, json: json ?? '' });
    else {
      this.members.set(member, { state: 'gone', version, score, peak, json: '' });
      // It is in the table, and nobody here knows.
      if (type === 'put') this.lost += 1;
    }
    return 'applied';
  }

  page({ limit, descending, after }: ModelQuery): { members: readonly NamedMember[]; complete: boolean } {
    const order = descending ? 1 : -1;
    const rest = this.#live()
      .sort((a, b) => order * newestFirst(a, b))
      .filter((member) => after === undefined || order * newestFirst(after, member) < 0);
    const members = rest.slice(0, limit);
    // The lowest score of the page's range: of what it shows, or of where it began.
    const lowest = descending ? (members.length === limit ? members.at(-1) : undefined) : after;
    const unknown = [...this.members.values()].some(({ state }) => state === 'forgotten');
    const within = (lowest?.score ?? -Infinity) > this.bottom || this.bottom === -Infinity;
    return { members, complete: this.settled > 0 && within && !unknown };
  }

  /** Taken before the table is read. Lost with the list, when it is evicted. */
  lease(): ModelListLease {
    const seen = new Map([...this.members].map(([member, { version }]) => [member, version]));
    return { list: this, seen, bottom: this.bottom, lost: this.lost, settled: this.settled };
  }

  /** `newest`: the `keep` newest members that the table had after the lease; `more`: it had others. */
  settle(lease: ModelListLease, newest: readonly ModelFound[], more: boolean, keep: number): 'settled' | 'lost' {
    // Another has filled it, and may have lowered the bottom.
    if (lease.list !== this || lease.settled !== this.settled) return 'lost';
    const lowest = more ? (newest.at(-1)?.score ?? -Infinity) : -Infinity;
    // The bottom may sink to what was read only if no version was thrown away since: else something older than the stream could slip in.
    this.bottom = this.bottom === lease.bottom && this.lost === lease.lost ? lowest : Math.max(this.bottom, lowest);
    const above = newest.filter(({ score }) => score > this.bottom);
    const found = new Set(above.map(({ member }) => member));
    for (const [member, version] of lease.seen) {
      const held = this.members.get(member);
      if (held?.version === version && !found.has(member)) this.members.set(member, { ...held, state: 'gone' });
    }
    for (const { member, score, json } of above) {
      const version = lease.seen.get(member) ?? 0;
      this.#apply({ type: json === undefined ? 'forget' : 'put', member, version, score, json, keep });
    }
    this.settled += 1;
    // Once, at the end: a marker must not be purged while an older read is still to be compared with it.
    this.#trim(keep);
    return 'settled';
  }

  #live(): NamedMember[] {
    return [...this.members].filter(([, { state }]) => state === 'live').map(([name, member]) => ({ member: name, ...member }));
  }

  #trim(keep: number): void {
    for (const { member, ...held } of this.#live().sort(newestFirst).slice(keep)) {
      this.bottom = Math.max(this.bottom, held.score);
      this.members.set(member, { ...held, state: 'gone' });
    }
    for (const [member, { state, peak }] of [...this.members]) {
      if (state === 'live' || peak > this.bottom) continue;
      // The bottom is its tombstone now.
      this.members.delete(member);
      this.lost += 1;
    }
  }
}

export interface ModelMember {
  readonly state: 'live' | 'gone' | 'forgotten';
  readonly version: number;
  readonly score: number;
  readonly peak: number;
  readonly json: string;
}

export interface NamedMember extends ModelMember {
  readonly member: string;
}

export interface ModelMutation {
  readonly type: 'put' | 'delete' | 'forget';
  readonly member: string;
  readonly version: number;
  readonly score: number;
  readonly json?: string;
  readonly from?: number;
  readonly keep: number;
}

export interface ModelQuery {
  readonly limit: number;
  readonly descending: boolean;
  readonly after?: { readonly score: number; readonly member: string };
}

export interface ModelListLease {
  readonly list: ListModel;
  readonly seen: ReadonlyMap<string, number>;
  readonly bottom: number;
  readonly lost: number;
  readonly settled: number;
}

export interface ModelFound {
  readonly member: string;
  readonly score: number;
  /** Absent: a value that the cache will not take. */
  readonly json?: string;
}

/** Greatest score first; ties by the bytes of the names, greatest first. */
export function newestFirst(a: { score: number; member: string }, b: { score: number; member: string }): number {
  return a.score === b.score ? Buffer.compare(Buffer.from(b.member), Buffer.from(a.member)) : b.score - a.score;
}
