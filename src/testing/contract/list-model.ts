/**
 * The rules of docs/bounded-list.md by brute force. Every backend must behave as this model does; it shares no code with them. Each method is
 * one atomic step. Versions are ranks: 0 is `FLOOR`, and a greater rank is newer.
 */
export class ListModel {
  readonly members = new Map<string, ModelMember>();
  /** The list may lack members at or below this score. */
  bottom = -Infinity;
  /** How often a version or a value was dropped. */
  lost = 0;
  /** How often the list was filled from the table. While it is 0, any member may be missing. */
  settled = 0;
  /** The highest bottom so far. Nothing was ever dropped above it. */
  highest = -Infinity;
  /** The newest version that was dropped. */
  dropped = 0;
  /** The latest survey that marked this list; absent after a settle. */
  survey: string | undefined;

  apply(mutation: ModelMutation): 'applied' | 'stale' {
    const outcome = this.#apply(mutation, 'stream');
    if (outcome === 'applied') this.#trim(mutation.keep);
    return outcome;
  }

  #apply({ type, member, version, score, json, from = score }: ModelMutation, source: 'stream' | 'table'): 'applied' | 'stale' {
    const held = this.members.get(member);
    // R2 (peak)
    const peak = Math.max(held?.peak ?? -Infinity, score, from);
    // R1 (law)
    if (held && held.version > version) {
      // R3: an older record, replayed after the list was evicted. It may be replayed again, so remember its score as the peak.
      this.members.set(member, { ...held, peak });
      return 'stale';
    }
    // R23 (doubt)
    const reach = Math.max(score, from);
    const within = this.bottom < this.highest && reach <= this.highest && (held !== undefined || reach > this.bottom);
    const isDoubtful = source === 'stream' && within && version <= this.dropped;
    if (type === 'forget' || isDoubtful) {
      // R6 (forget)
      this.members.set(member, { state: 'forgotten', version, score, peak, json: '' });
    } else if (type === 'put' && score > this.bottom) {
      this.members.set(member, { state: 'live', version, score, peak, json: json ?? '' });
    } else {
      // R4 (bottom)
      this.members.set(member, { state: 'gone', version, score, peak, json: '' });
      // R5: the table has this member, the list does not. Counting it as lost keeps the next settle from lowering the bottom past it.
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
    // R12 (complete): the range of a descending page ends at its last member; that of an ascending page begins after its cursor.
    const lowest = descending ? (members.length === limit ? members.at(-1) : undefined) : after;
    const unknown = [...this.members.values()].some(({ state }) => state === 'forgotten');
    const within = (lowest?.score ?? -Infinity) > this.bottom || this.bottom === -Infinity;
    return { members, complete: this.settled > 0 && within && !unknown };
  }

  /** R13 (lease): take it before the table is read. */
  lease(): ModelListLease {
    const seen = new Map([...this.members].map(([member, { version }]) => [member, version]));
    return { list: this, seen, bottom: this.bottom, lost: this.lost, settled: this.settled };
  }

  /**
   * @param newest the `keep` newest members that the table had after the lease
   * @param next the score of the member that followed them; -Infinity if none did
   */
  settle(lease: ModelListLease, newest: readonly ModelFound[], next: number, keep: number): 'settled' | 'lost' {
    // R13 (lease), R14 (one settles)
    if (lease.list !== this || lease.settled !== this.settled) return 'lost';
    // R15 (nothing lost)
    this.bottom = this.bottom === lease.bottom && this.lost === lease.lost ? next : Math.max(this.bottom, next);
    // R16 (found above)
    const above = newest.filter(({ score }) => score > this.bottom);
    const found = new Set(above.map(({ member }) => member));
    // R17 (absent)
    for (const [member, version] of lease.seen) {
      const held = this.members.get(member);
      if (held?.version === version && !found.has(member)) this.members.set(member, { ...held, state: 'gone' });
    }
    // R18 (seen)
    for (const { member, score, json } of above) {
      const version = lease.seen.get(member) ?? 0;
      this.#apply({ type: json === undefined ? 'forget' : 'put', member, version, score, json, keep }, 'table');
    }
    // R28 (settle unmarks)
    this.survey = undefined;
    // R19 (trim last)
    this.settled += 1;
    this.#trim(keep);
    return 'settled';
  }

  /** R25 (mark), R29 (mark afresh) @returns the list that is now in the place of this one: this one, or an empty one */
  mark(survey: string, keep: number): ListModel {
    const isForgetful = [...this.members.values()].some(({ state }) => state === 'forgotten');
    const isLacking = this.bottom > -Infinity && this.#live().length < keep / 2;
    const marked = this.survey !== survey && (isForgetful || isLacking) ? new ListModel() : this;
    marked.survey = survey;
    return marked;
  }

  /** R26 (survey fill) @returns whether the list has the mark */
  fill(survey: string, members: readonly ModelFound[], keep: number): boolean {
    if (this.survey !== survey) return false;
    for (const { member, score, json } of members) {
      this.#apply({ type: json === undefined ? 'forget' : 'put', member, version: 0, score, json, keep }, 'table');
      this.#trim(keep);
    }
    return true;
  }

  /** R27 (seal) */
  seal(survey: string): 'settled' | 'lost' {
    if (this.survey !== survey) return 'lost';
    this.settled += 1;
    return 'settled';
  }

  #live(): NamedMember[] {
    return [...this.members].filter(([, { state }]) => state === 'live').map(([name, member]) => ({ member: name, ...member }));
  }

  #trim(keep: number): void {
    // R7 (keep)
    for (const { member, ...held } of this.#live().sort(newestFirst).slice(keep)) {
      this.bottom = Math.max(this.bottom, held.score);
      this.members.set(member, { ...held, state: 'gone' });
    }
    // R22 (dropped)
    this.highest = Math.max(this.highest, this.bottom);
    // R8 (tombstone)
    for (const [member, { state, peak, version }] of [...this.members]) {
      if (state === 'live' || peak > this.bottom) continue;
      this.members.delete(member);
      // R9 (count purged)
      this.lost += 1;
      this.dropped = Math.max(this.dropped, version);
    }
  }
}

interface ModelMember {
  readonly state: 'live' | 'gone' | 'forgotten';
  readonly version: number;
  readonly score: number;
  readonly peak: number;
  readonly json: string;
}

interface NamedMember extends ModelMember {
  readonly member: string;
}

interface ModelMutation {
  readonly type: 'put' | 'delete' | 'forget';
  readonly member: string;
  readonly version: number;
  readonly score: number;
  readonly json?: string;
  readonly from?: number;
  readonly keep: number;
}

interface ModelQuery {
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
  /** Absent: the cache rejects the value. */
  readonly json?: string;
}

/** Greatest score first; members of equal score by the bytes of their names, greatest first. */
export function newestFirst(a: { score: number; member: string }, b: { score: number; member: string }): number {
  return a.score === b.score ? Buffer.compare(Buffer.from(b.member), Buffer.from(a.member)) : b.score - a.score;
}
